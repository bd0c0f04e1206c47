//go:build race

package e2e_test

// raceDetector says whether these tests, and so the binary that they start, run under the race detector.
const raceDetector = true
