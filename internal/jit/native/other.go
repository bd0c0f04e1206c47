//go:build !linux || !(amd64 || arm64)

package native

import (
	"fmt"
	"runtime"

	"github.com/tocsin/tocsin/internal/kernel"
)

// Features returns what machine code may use here: nothing.
func Features() CPU { return CPU{} }

// Arena would be memory for machine code. There is none here.
type Arena struct{}

// OpenForProfilers returns an error, as Open does.
func OpenForProfilers(bytes int) (*Arena, error) { return Open(bytes) }

// Open returns an error: there is no machine code for this system and processor.
func Open(int) (*Arena, error) {
	return nil, fmt.Errorf("machine code runs on linux/amd64 and linux/arm64, not on %s/%s", runtime.GOOS, runtime.GOARCH)
}

// Add cannot be called.
func (*Arena) Add([]byte) (*Function, error) { panic("BUG: code memory where there is none") }

// Used returns 0.
func (*Arena) Used() int { return 0 }

// Reserved returns 0.
func (*Arena) Reserved() int { return 0 }

// Close does nothing.
func (*Arena) Close() error { return nil }

// Function would be machine code that can run. There is none here.
type Function struct{}

// Run cannot be called.
func (*Function) Run(*kernel.Block, *kernel.Program, int) {
	panic("BUG: machine code where there is none")
}

// Address returns 0.
func (*Function) Address() uintptr { return 0 }

// Size returns 0.
func (*Function) Size() int { return 0 }

// Free does nothing.
func (*Function) Free() {}
