package exec_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// loaded returns a core with the plans of texts over a storage without series, and the present time.
func loaded(t *testing.T, texts ...string) (*exec.Core, []*plan.Plan, int64) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	var all []*plan.Plan
	for _, s := range texts {
		all = append(all, compile(t, s))
	}
	core := exec.New(exec.Options{})
	require.NoError(t, core.Load(context.Background(), all, w.storage, w.now))
	return core, all, w.now
}

func elements(t *testing.T, core *exec.Core, p *plan.Plan, at int64) int {
	v, err := core.Eval(context.Background(), p, at, nil)
	require.NoError(t, err)
	return len(v)
}

// TestLinesAtDifferentTimes: comparisons that share an index may be asked for at different times, in any order.
func TestLinesAtDifferentTimes(t *testing.T) {
	core, all, now := loaded(t, "m > 1", "m > 2", "m > 3", "m > 4")
	core.Feed([]window.Sample{sampleOf("m", 0, now, 0), sampleOf("m", 0, now+1000, 10)}, now+1000)
	for range 2 {
		require.Equal(t, 0, elements(t, core, all[0], now))
		require.Equal(t, 1, elements(t, core, all[1], now+1000))
	}

	core, all, now = loaded(t, "m > 1", "m > 2", "m > 3", "m > 4")
	core.Stream(all)
	core.Feed([]window.Sample{sampleOf("m", 0, now, 0), sampleOf("m", 0, now+1000, 10)}, now+1000)
	core.Pulse(now+1000, nil)
	require.Equal(t, 1, elements(t, core, all[0], now+1000))
	require.Equal(t, 0, elements(t, core, all[1], now), "a tick of another group that is late")
	v, err := core.Result(all[0], now+1000, nil)
	require.NoError(t, err)
	require.Len(t, v, 1)
}

// TestKernelsAndWhatGoesWithNames: a type or a unit goes with the name, so that views of one series may not meet.
func TestKernelsAndWhatGoesWithNames(t *testing.T) {
	texts := []string{"-m + m", "m and -m", "m > -m", "-m unless m", "rate(m[1m]) + m", "sum by (__type__) (m) * 2", "sum without () (m) and sum without () (m) * 2"}
	core, all, now := loaded(t, texts...)
	core.Feed([]window.Sample{{Ref: 1, Labels: labels.FromStrings("__name__", "m", "i", "1", "__type__", "gauge"), T: now, V: 1}}, now)
	for i, p := range all {
		v, err := core.Eval(context.Background(), p, now, nil)
		switch {
		case exec.AsBail(err) != nil:
		case i == 3:
			require.Len(t, v, 1, texts[i])
		case i == 5:
			require.True(t, v[0].Metric.IsEmpty(), texts[i])
		default:
			require.NoError(t, err)
			require.Empty(t, v, texts[i])
		}
	}
}

// TestMatchOfLanesThatWere: series may be gone before a match has seen them, and leave lanes.
func TestMatchOfLanesThatWere(t *testing.T) {
	core, all, now := loaded(t, "m / on (i) n")
	core.Feed([]window.Sample{sampleOf("m", 0, now, 1)}, now)
	now += time.Hour.Milliseconds()
	core.Pulse(now, nil)
	require.Equal(t, 0, elements(t, core, all[0], now))
}

// TestLongChains: how long it takes to find what goes into a kernel does not double with each operation.
func TestLongChains(t *testing.T) {
	core, all, now := loaded(t, "m"+strings.Repeat(" + m", 300), "m"+strings.Repeat(" or m", 300))
	core.Feed([]window.Sample{sampleOf("m", 0, now, 1)}, now)
	for _, p := range all {
		require.Equal(t, 1, elements(t, core, p, now))
	}
}
