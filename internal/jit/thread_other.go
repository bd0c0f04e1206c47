//go:build !linux

package jit

import (
	"errors"
	"time"
)

// settleThread fails: only Linux lets one thread be settled.
func settleThread([]int, int) error {
	return errors.New("the processors and the priority of one thread can be set on Linux only")
}

// threadTime is the time of day: elsewhere, compiling is measured by the clock on the wall.
func threadTime() time.Duration { return time.Duration(time.Now().UnixNano()) }

// onFirstThread cannot be told, and need not be.
func onFirstThread() bool { return false }
