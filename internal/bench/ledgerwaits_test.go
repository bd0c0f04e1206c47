package bench

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWaitsSince(t *testing.T) {
	before := waits{n: 10, seconds: 1, buckets: []bucket{{0.001, 5}, {0.01, 10}, {0.1, 10}}}
	after := waits{n: 110, seconds: 2, buckets: []bucket{{0.001, 90}, {0.01, 109}, {0.1, 110}}}
	n, mean, p99 := after.since(before)
	require.Equal(t, 100, n)
	require.InDelta(t, 10, mean, 1e-9)
	require.InDelta(t, 10, p99, 1e-9)
	n, mean, p99 = before.since(before)
	require.Zero(t, n)
	require.Zero(t, mean)
	require.Zero(t, p99)
}
