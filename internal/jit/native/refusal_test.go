//go:build linux && (amd64 || arm64)

package native

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// childVariable names what TestChild does in a process of its own: restrictions last for a process's life.
const childVariable = "TOCSIN_TEST_NATIVE_CHILD"

// children are the restricted processes, by what they may not do.
func children() map[string]func(*testing.T) {
	return map[string]func(*testing.T){
		"gain of execution": underMDWE,
		"memfd_create":      withoutMemfd,
		"executable mmap":   withoutExecutableMemory,
		"membarrier":        withoutMembarrier,
		"descriptors":       withoutDescriptors,
	}
}

func TestRestrictedProcesses(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for name := range children() {
		t.Run(name, func(t *testing.T) {
			child := exec.Command(self, "-test.run=^TestChild$", "-test.v")
			child.Env = append(os.Environ(), childVariable+"="+name)
			out, err := child.CombinedOutput()
			if errors.Is(err, unix.ENOEXEC) {
				t.Skip("LOUD SKIP: under this emulator a test cannot start itself")
			}
			t.Logf("%s", out)
			require.NoError(t, err)
			if strings.Contains(string(out), "LOUD SKIP") {
				t.SkipNow()
			}
			require.Contains(t, string(out), "--- PASS: TestChild")
		})
	}
}

func TestChild(t *testing.T) {
	name := os.Getenv(childVariable)
	if name == "" {
		t.Skip("this is for TestRestrictedProcesses")
	}
	children()[name](t)
}

// underMDWE forbids the process to make memory executable that was not, or was writable.
func underMDWE(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_MDWE, unix.PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0); err != nil {
		t.Skipf("LOUD SKIP: this kernel has no PR_SET_MDWE: %v", err)
	}
	page, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	require.NoError(t, err)
	require.ErrorIs(t, unix.Mprotect(page, unix.PROT_READ|unix.PROT_EXEC), unix.EACCES, "the process is restricted")
	requireWorks(t, Open)
	requireWorks(t, OpenForProfilers)
}

func requireWorks(t *testing.T, how func(int) (*Arena, error)) {
	t.Helper()
	a := opened(t, 1<<20, how)
	for range 3 {
		f := add(t, a, addParam())
		b := block(2, 1)
		f.Run(b, sum(1), 0)
		requireSum(t, b)
		f.Free()
	}
}

func withoutMemfd(t *testing.T) {
	restrict(t, refuse(unix.SYS_MEMFD_CREATE, unix.EPERM)...)
	_, err := Open(1 << 20)
	require.ErrorIs(t, err, unix.EPERM)
	require.ErrorContains(t, err, `memfd_create`)
	require.ErrorContains(t, err, `set "tocsin.jit: off"`)
}

func withoutExecutableMemory(t *testing.T) {
	const prot = 16 + 2*8 // where the filter finds the third argument
	restrict(t,
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_MMAP, Jf: 3},
		unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: prot},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K, K: unix.PROT_EXEC, Jf: 1},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)})
	for _, how := range []func(int) (*Arena, error){Open, OpenForProfilers} {
		_, err := how(1 << 20)
		require.ErrorIs(t, err, unix.EACCES)
		require.ErrorContains(t, err, "executable")
		require.ErrorContains(t, err, `set "tocsin.jit: off"`)
		require.Empty(t, codeMappings(t), "what was mapped before the refusal is gone")
	}
}

// withoutMembarrier shows that amd64 does without; arm64 cannot.
func withoutMembarrier(t *testing.T) {
	restrict(t, refuse(unix.SYS_MEMBARRIER, unix.ENOSYS)...)
	if runtime.GOARCH == "amd64" {
		requireWorks(t, Open)
		return
	}
	_, err := Open(1 << 20)
	require.ErrorIs(t, err, unix.ENOSYS)
	require.ErrorContains(t, err, "membarrier")
	require.Empty(t, codeMappings(t))
}

// withoutDescriptors has an arena that cannot grow any more: that is an error, and not ErrFull.
func withoutDescriptors(t *testing.T) {
	a := opened(t, 1<<30, Open)
	f := add(t, a, addParam())
	var limit unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &limit))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)) }()
	_, err := a.Add(padded(segmentSize))
	require.ErrorIs(t, err, unix.EMFILE)
	require.NotErrorIs(t, err, ErrFull)
	b := block(1, 1)
	f.Run(b, sum(1), 0)
	requireSum(t, b)
	require.Equal(t, f.room(), a.Used())
}

// refuse has the system call fail with the error.
func refuse(call uint32, errno unix.Errno) []unix.SockFilter {
	return []unix.SockFilter{
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: call, Jf: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
	}
}

// restrict puts a seccomp filter on all threads of the process. The filter begins with the number of the system call in
// its register, and allows what falls through.
func restrict(t *testing.T, rules ...unix.SockFilter) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
	filter = append(filter, rules...)
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC,
		uintptr(unsafe.Pointer(&program)))
	if errno == unix.ENOSYS || errno == unix.EINVAL {
		t.Skipf("LOUD SKIP: this kernel has no seccomp filters: %v", errno)
	}
	require.Zero(t, errno)
}
