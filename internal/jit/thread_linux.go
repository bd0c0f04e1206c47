package jit

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// settleThread binds the calling thread to processors, all where none is named, and gives it a nice value, its own where
// 0. It does as much as it can, and says what it could not. The goroutine must be locked to the thread.
func settleThread(cpus []int, nice int) error {
	var errs []error
	if len(cpus) > 0 {
		var set unix.CPUSet
		for _, cpu := range cpus {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			errs = append(errs, fmt.Errorf("binding the thread to processors %v: %w", cpus, err))
		}
	}
	if nice != 0 {
		// On Linux, the priority of a "process" is that of one thread, 0 is the calling one.
		if err := unix.Setpriority(unix.PRIO_PROCESS, 0, nice); err != nil {
			errs = append(errs, fmt.Errorf("giving the thread the nice value %d: %w", nice, err))
		}
	}
	return errors.Join(errs...)
}

// threadTime is the processor time of the calling thread. The goroutine must be locked to it.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// onFirstThread reports whether the calling thread is the one that the process began with.
func onFirstThread() bool { return unix.Gettid() == unix.Getpid() }
