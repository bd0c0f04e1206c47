package loops

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns the processor time of the calling thread.
func cpuTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(fmt.Sprintf("BUG: the clock of a thread's processor time: %v", err))
	}
	return time.Duration(t.Nano())
}
