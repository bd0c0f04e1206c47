//go:build race

package jit

// raceDetector says that the race detector is on, under which Go runs several times slower.
const raceDetector = true
