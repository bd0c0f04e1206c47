package baddisk

import (
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Disk is a mounted file system. All methods are safe for concurrent use.
type Disk struct {
	server *fuse.Server
	raw    *failing
}

// Mount shows the directory behind at the directory at. It fails where there is no FUSE, or where this user may not mount.
func Mount(behind, at string) (*Disk, error) {
	root, err := fs.NewLoopbackRoot(behind)
	if err != nil {
		return nil, err
	}
	known := time.Second // Names and sizes change through this mount only.
	opts := &fs.Options{EntryTimeout: &known, AttrTimeout: &known, NullPermissions: true}
	// DirectMountStrict: fusermount, which those who are not root would need, is not asked.
	opts.MountOptions = fuse.MountOptions{
		FsName: "tocsin-test", Name: "baddisk", DirectMountStrict: true, AllowOther: true, DisableXAttrs: true, MaxWrite: 1 << 20,
		Options: []string{"default_permissions"},
		// Open files are not handed to the kernel: then nothing of them would come by here any more. And mapped pages are never taken
		// for out of date.
		DisabledCapabilities: fuse.CAP_PASSTHROUGH, ExplicitDataCacheControl: true,
	}
	raw := &failing{RawFileSystem: fs.NewNodeFS(root, opts)}
	server, err := fuse.NewServer(raw, at, &opts.MountOptions)
	if err != nil {
		return nil, err
	}
	go server.Serve() // It ends with Close.
	if err := server.WaitMount(); err != nil {
		return nil, err
	}
	return &Disk{server, raw}, nil
}

// Fail lets all that would change something fail with the error from now on:
//
//	EROFS   the file system is read-only, open files too. What was written before may still be synced.
//	ENOSPC  there is not a byte left, as where a quota is used up: what is to be larger fails, deleting works.
//	EIO     the disk fails: writing and syncing.
func (d *Disk) Fail(errno syscall.Errno) { d.raw.errno.Store(uint32(errno)) }

// Mend ends what Fail began.
func (d *Disk) Mend() { d.raw.errno.Store(0) }

// Refused returns how many operations failed because they were told to.
func (d *Disk) Refused() uint64 { return d.raw.refused.Load() }

// Close unmounts it. Nobody may have a file of it open; that the kernel has not yet heard so of a process that ended is waited for.
func (d *Disk) Close() (err error) {
	for range 50 {
		if err = d.server.Unmount(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// failing stands between the kernel and the file system that works.
type failing struct {
	fuse.RawFileSystem
	errno   atomic.Uint32
	refused atomic.Uint64
}

// need is what an operation needs of a disk.
type need int

const (
	room  need = iota // it makes something larger
	write             // it changes something, and needs no room
	sync              // it waits for the disk
)

// refuse returns OK, or what an operation is to fail with.
func (f *failing) refuse(n need) fuse.Status {
	errno := syscall.Errno(f.errno.Load())
	switch {
	case errno == 0,
		errno == syscall.ENOSPC && n != room,
		errno == syscall.EROFS && n == sync:
		return fuse.OK
	}
	f.refused.Add(1)
	return fuse.Status(errno)
}

func (f *failing) Mknod(c <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Mknod(c, in, name, out)
}

func (f *failing) Mkdir(c <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Mkdir(c, in, name, out)
}

func (f *failing) Create(c <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Create(c, in, name, out)
}

func (f *failing) Tmpfile(c <-chan struct{}, in *fuse.CreateIn, out *fuse.CreateOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Tmpfile(c, in, out)
}

func (f *failing) Symlink(c <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Symlink(c, in, to, name, out)
}

func (f *failing) Link(c <-chan struct{}, in *fuse.LinkIn, name string, out *fuse.EntryOut) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Link(c, in, name, out)
}

func (f *failing) Unlink(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s := f.refuse(write); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Unlink(c, in, name)
}

func (f *failing) Rmdir(c <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	if s := f.refuse(write); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Rmdir(c, in, name)
}

func (f *failing) Rename(c <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	if s := f.refuse(write); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Rename(c, in, from, to)
}

func (f *failing) SetAttr(c <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if s := f.refuse(write); !s.Ok() {
		return s
	}
	return f.RawFileSystem.SetAttr(c, in, out)
}

// Open refuses to open for writing, as a file system does that is mounted read-only; where there is only no room it can be.
func (f *failing) Open(c <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.Flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		if s := f.refuse(write); !s.Ok() {
			return s
		}
	}
	return f.RawFileSystem.Open(c, in, out)
}

func (f *failing) Write(c <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if s := f.refuse(room); !s.Ok() {
		return 0, s
	}
	return f.RawFileSystem.Write(c, in, data)
}

func (f *failing) Writev(c <-chan struct{}, in *fuse.WriteIn, data [][]byte) (uint32, fuse.Status) {
	if s := f.refuse(room); !s.Ok() {
		return 0, s
	}
	return f.RawFileSystem.Writev(c, in, data)
}

func (f *failing) CopyFileRange(c <-chan struct{}, in *fuse.CopyFileRangeIn) (uint32, fuse.Status) {
	if s := f.refuse(room); !s.Ok() {
		return 0, s
	}
	return f.RawFileSystem.CopyFileRange(c, in)
}

func (f *failing) Fallocate(c <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	if s := f.refuse(room); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Fallocate(c, in)
}

func (f *failing) Fsync(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s := f.refuse(sync); !s.Ok() {
		return s
	}
	return f.RawFileSystem.Fsync(c, in)
}

func (f *failing) FsyncDir(c <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if s := f.refuse(sync); !s.Ok() {
		return s
	}
	return f.RawFileSystem.FsyncDir(c, in)
}
