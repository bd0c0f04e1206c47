//go:build !amd64 && !arm64

package jit

import "runtime"

// thisMachine returns a machine that cannot compile.
func thisMachine() machine {
	return noMachine("there is machine code for amd64 and arm64, not for " + runtime.GOARCH)
}
