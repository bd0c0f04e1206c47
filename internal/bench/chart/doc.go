// Package chart writes down latencies of batches: as CSV, and as a picture of their distribution and their time line.
//
// It must not know what was measured or how.
package chart
