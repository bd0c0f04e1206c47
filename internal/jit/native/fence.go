//go:build linux && (amd64 || arm64)

package native

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Commands of membarrier(2): all threads of the process forget instructions that they fetched ahead. A process says once
// that it is going to ask for that; it may take some milliseconds, asking takes one or two microseconds.
const (
	membarrierSyncCore         = 1 << 5
	membarrierRegisterSyncCore = 1 << 6
)

// fence stands between writing code and running it: a processor that fetched what stood there before must not go on with
// that. Both architectures' manuals ask for a synchronizing instruction on the processor that executes; the system
// executes it for us.
type fence struct{ registered bool }

// pass returns when it is safe to run code that was just written; reused says that other code stood in its place.
func (f *fence) pass(reused bool) error {
	if !fenceFresh && !reused {
		return nil
	}
	if !f.registered {
		if err := membarrier(membarrierRegisterSyncCore); err != nil {
			return err
		}
		f.registered = true
	}
	return membarrier(membarrierSyncCore)
}

func membarrier(command uintptr) error {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, command, 0, 0)
	if errno == 0 || !fenceFresh {
		// Where the system knows no such call, amd64 does without: its processors notice writes to what they fetched.
		return nil
	}
	return fmt.Errorf("code memory: the system refuses to synchronize processors (membarrier command %#x; kernels before "+
		"4.16 and seccomp filters do)%s: %w", command, advice, errno)
}
