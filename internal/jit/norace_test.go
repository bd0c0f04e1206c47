//go:build !race

package jit

// raceDetector says that the race detector is off.
const raceDetector = false
