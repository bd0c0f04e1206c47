//go:build linux && (amd64 || arm64)

package native

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// views are two mappings of the same pages. No file descriptor refers to them any more.
type views struct {
	writable   []byte // read and write
	executable []byte // read and execute
}

// viewMaker maps so many bytes, a multiple of the page size, all zero. The pages are there when it returns: a lack of
// memory is an error, rather than a SIGBUS when code is written, and no run waits for a page.
type viewMaker func(size int) (views, error)

// advice is what all refusals of executable memory end in.
const advice = `; allow it, or set "tocsin.jit: off" to run without machine code`

// sealedViews maps a memfd twice. What was writable never becomes executable or the other way round, so PR_SET_MDWE has
// nothing against it.
func sealedViews(size int) (views, error) {
	fd, err := memoryFile()
	if err != nil {
		return views{}, err
	}
	defer unix.Close(fd)
	if err := unix.Fallocate(fd, 0, 0, int64(size)); err != nil {
		return views{}, fmt.Errorf("code memory: a memfd of %d bytes: %w", size, err)
	}
	const flags = unix.MAP_SHARED | unix.MAP_POPULATE
	writable, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_WRITE, flags)
	if err != nil {
		return views{}, fmt.Errorf("code memory: mapping %d bytes of a memfd to write: %w", size, err)
	}
	// From here on nobody can map the file to write once more, which includes turning the executable view into a writable
	// one, nor cut it short. Kernels before 5.1 do not know all of these seals; the views are the same without.
	_, _ = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS,
		unix.F_SEAL_FUTURE_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	executable, err := unix.MmapPtr(fd, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_EXEC, flags)
	if err != nil {
		return views{}, errors.Join(fmt.Errorf("code memory: the system refuses to map a memfd executable (SELinux, seccomp "+
			"filters and hardened kernels do)%s: %w", advice, err), unix.MunmapPtr(writable, uintptr(size)))
	}
	return bothViews(writable, executable, size), nil
}

// memoryFile returns a file that stands in memory only. It may be mapped executable, but not be started as a program: that
// is what the sysctl vm.memfd_noexec is about.
func memoryFile() (int, error) {
	const name, flags = "tocsin-code", unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate(name, flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Kernels before 6.3 do not know the flag.
		fd, err = unix.MemfdCreate(name, flags)
	}
	if err != nil {
		return 0, fmt.Errorf("code memory: the system refuses a memfd (memfd_create; seccomp filters do)%s: %w", advice, err)
	}
	return fd, nil
}

// anonymousViews maps shared anonymous memory to execute, and the same pages once more, which then change from executable
// to writable. PR_SET_MDWE forbids the opposite only.
func anonymousViews(size int) (views, error) {
	const flags = unix.MAP_SHARED | unix.MAP_ANONYMOUS | unix.MAP_POPULATE
	executable, err := unix.MmapPtr(-1, 0, nil, uintptr(size), unix.PROT_READ|unix.PROT_EXEC, flags)
	if err != nil {
		return views{}, fmt.Errorf("code memory: the system refuses executable anonymous memory (SELinux, seccomp filters and "+
			"hardened kernels do)%s: %w", advice, err)
	}
	// An old size of 0 asks for a second mapping rather than a move: mremap(2).
	writable, err := unix.MremapPtr(executable, 0, nil, uintptr(size), unix.MREMAP_MAYMOVE)
	if err != nil {
		return views{}, errors.Join(fmt.Errorf("code memory: mapping %d bytes twice: %w", size, err),
			unix.MunmapPtr(executable, uintptr(size)))
	}
	v := bothViews(writable, executable, size)
	if err := unix.Mprotect(v.writable, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return views{}, errors.Join(fmt.Errorf("code memory: making %d bytes writable: %w", size, err), v.unmap())
	}
	return v, nil
}

func bothViews(writable, executable unsafe.Pointer, size int) views {
	return views{unsafe.Slice((*byte)(writable), size), unsafe.Slice((*byte)(executable), size)}
}

// unmap gives the pages back.
func (v *views) unmap() error {
	size := uintptr(len(v.writable))
	err := errors.Join(
		unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(v.executable)), size),
		unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(v.writable)), size))
	*v = views{}
	if err != nil {
		return fmt.Errorf("code memory: giving it back: %w", err)
	}
	return nil
}
