package exec_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/window"
)

// sampleOf is a sample of name{i="…"}; names get references of their own.
func sampleOf(name string, i int, t int64, v float64) window.Sample {
	ref := labels.FromStrings("a", name).Hash()%1000*100_000 + uint64(i) + 1
	return window.Sample{Ref: ref, Labels: labels.FromStrings("__name__", name, "i", fmt.Sprint(i)), T: t, V: v}
}

// TestDroppedWhileStepping: a reload takes a plan away while tier 0 works on its subquery.
func TestDroppedWhileStepping(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	p := compile(t, `m and on () max_over_time(sum(n)[5m:1m])`)
	var core *exec.Core
	core = exec.New(exec.Options{Range: func(ctx context.Context, text string, s, e time.Time, d time.Duration) (promql.Matrix, error) {
		require.NoError(t, core.Load(ctx, nil, w.storage, w.now))
		return promql.Matrix{{Metric: labels.EmptyLabels(), Floats: []promql.FPoint{{T: e.UnixMilli(), F: 1}}}}, nil
	}})
	require.NoError(t, core.Load(context.Background(), []*plan.Plan{p}, w.storage, w.now))
	core.Feed([]window.Sample{sampleOf("m", 0, w.now, 1)}, w.now)
	require.NotPanics(t, func() {
		_, err := core.Eval(context.Background(), p, w.now, nil)
		require.Equal(t, exec.ReasonUnknown, exec.AsBail(err).Reason)
	})
}

// TestResultWithSubquery: where another plan moved steps that are shared, there is no result without fetching them.
func TestResultWithSubquery(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	p1 := compile(t, `max_over_time(up[5m:1m]) > 1`)
	p2 := compile(t, `max_over_time(up[5m:1m]) > 0`)
	val := 5.0
	core := exec.New(exec.Options{Range: func(ctx context.Context, text string, s, e time.Time, d time.Duration) (promql.Matrix, error) {
		var f []promql.FPoint
		for x := s; !x.After(e); x = x.Add(d) {
			f = append(f, promql.FPoint{T: x.UnixMilli(), F: val})
		}
		return promql.Matrix{{Metric: labels.FromStrings("a", "b"), Floats: f}}, nil
	}})
	require.NoError(t, core.Load(context.Background(), []*plan.Plan{p1, p2}, w.storage, w.now))
	core.Stream([]*plan.Plan{p1, p2})
	_, err := core.Eval(context.Background(), p1, w.now, nil)
	require.NoError(t, err)
	_, err = core.Eval(context.Background(), p2, w.now+10, nil)
	require.NoError(t, err)
	val = 50
	at := w.now + 120_000
	got, err := core.Result(p1, at, nil)
	want, err2 := core.Eval(context.Background(), p1, at, nil)
	require.NoError(t, err2)
	if err == nil {
		require.Equal(t, want, got)
	}
}

// TestLaterThanBefore: series that went under a shorter slack are not taken to have never been.
func TestLaterThanBefore(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	p := compile(t, `m`)
	core := exec.New(exec.Options{})
	require.NoError(t, core.Load(context.Background(), []*plan.Plan{p}, w.storage, w.now))
	at := w.now
	core.Feed([]window.Sample{sampleOf("m", 0, at, 1)}, at)
	at += 400_000
	core.Feed([]window.Sample{sampleOf("m", 1, at-240_000, 1), sampleOf("m", 1, at, 1)}, at)
	core.Pulse(at, nil) // m{0} evicted
	core.SetLate(5 * time.Minute)
	require.NoError(t, core.Load(context.Background(), []*plan.Plan{p}, w.storage, at))
	v, err := core.Eval(context.Background(), p, at-280_000, nil)
	if err == nil {
		require.Len(t, v, 1)
	}
}

// TestScalarOfAnotherTick: an arrival is seen though a tick of another plan has computed the scalar already.
func TestScalarOfAnotherTick(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	r1, r2 := compile(t, `vector(scalar(x))`), compile(t, `m > scalar(x)`)
	core := exec.New(exec.Options{})
	all := []*plan.Plan{r1, r2}
	require.NoError(t, core.Load(context.Background(), all, w.storage, w.now))
	core.Stream(all)
	at := w.now
	core.Feed([]window.Sample{sampleOf("m", 0, at, 5), sampleOf("x", 0, at, 10)}, at)
	for _, p := range all {
		_, err := core.Eval(context.Background(), p, at, nil)
		require.NoError(t, err)
	}
	core.Pulse(at, nil)
	at += 1000
	core.Feed([]window.Sample{sampleOf("x", 0, at, 1)}, at)
	_, err := core.Eval(context.Background(), r1, at, nil)
	require.NoError(t, err)
	touched, _ := core.Pulse(at, nil)
	for _, x := range touched {
		if x.Plan == r2 {
			require.True(t, x.Presence, "m > scalar(x) has become true: %+v", x)
			return
		}
	}
	t.Fatal("not touched at all")
}

// TestMovedBack: a late tick of another plan takes a shared leaf back in time; the next arrival is seen all the same.
func TestMovedBack(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	r1, r2 := compile(t, `m > 1e9`), compile(t, `sum(m) > 100`)
	core := exec.New(exec.Options{})
	all := []*plan.Plan{r1, r2}
	require.NoError(t, core.Load(context.Background(), all, w.storage, w.now))
	core.Stream(all)
	at := w.now
	var b []window.Sample
	for i := range 70 {
		b = append(b, sampleOf("m", i, at, 0))
	}
	core.Feed(b, at)
	for _, p := range all {
		_, err := core.Eval(context.Background(), p, at, nil)
		require.NoError(t, err)
	}
	core.Pulse(at, nil)
	core.Feed([]window.Sample{sampleOf("m", 69, at+1000, 60)}, at+1000)
	core.Pulse(at+1000, nil)
	// The tick of r1, due at+500, comes late.
	_, err := core.Eval(context.Background(), r1, at+500, nil)
	require.NoError(t, err)
	core.Feed([]window.Sample{sampleOf("m", 0, at+1500, 50)}, at+1500)
	touched, _ := core.Pulse(at+1500, nil)
	v, err := core.Eval(context.Background(), r2, at+1500, nil)
	require.NoError(t, err)
	require.Len(t, v, 1)
	for _, x := range touched {
		if x.Plan == r2 {
			require.True(t, x.Presence, "sum(m) is 110 now: %+v", x)
			return
		}
	}
	t.Fatal("not touched at all")
}

// TestSlowSubquery: one that tier 0 is slow with holds up nobody else's.
func TestSlowSubquery(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	slow, quick := compile(t, `max_over_time(slow[5m:1m])`), compile(t, `max_over_time(quick[5m:1m])`)
	release := make(chan struct{})
	began := make(chan struct{})
	core := exec.New(exec.Options{Range: func(ctx context.Context, text string, s, e time.Time, d time.Duration) (promql.Matrix, error) {
		if text == "slow" {
			close(began)
			<-release
		}
		return nil, nil
	}})
	require.NoError(t, core.Load(context.Background(), []*plan.Plan{slow, quick}, w.storage, w.now))
	go func() { _, _ = core.Eval(context.Background(), slow, w.now, nil) }()
	<-began
	done := make(chan struct{})
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	go func() {
		defer close(done)
		_, _ = core.Eval(ctx, quick, w.now, nil)
	}()
	select {
	case <-done:
	case <-time.After(time.Second):
		t.Error("quick waits for slow, past its own deadline")
	}
	close(release)
}

// TestStress runs everything that may run at once, for the race detector.
func TestStress(t *testing.T) {
	w := newWorld(t, rand.New(rand.NewPCG(1, 1)))
	var all []*plan.Plan
	for _, text := range append(steady, `max_over_time(sum(m)[5m:1m]) + on() sum(m)`, `count_over_time(m[5m:1m]) > 1`) {
		all = append(all, compile(t, text))
	}
	core := exec.New(exec.Options{Range: func(ctx context.Context, text string, s, e time.Time, d time.Duration) (promql.Matrix, error) {
		time.Sleep(time.Millisecond)
		return promql.Matrix{{Metric: labels.EmptyLabels(), Floats: []promql.FPoint{{T: e.UnixMilli(), F: 1}}}}, nil
	}})
	stop := time.Now().Add(time.Second)
	var wg sync.WaitGroup
	loop := func(f func(i int64)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := int64(0); time.Now().Before(stop); i++ {
				f(i)
			}
		}()
	}
	at := w.now
	now := func() int64 { return at + (1000-time.Until(stop).Milliseconds())*100 }
	loop(func(i int64) {
		b := batchOf(300, now(), float64(i))
		core.Feed(b[i%200:], now())
	})
	loop(func(i int64) { _, _ = core.Pulse(now(), nil) })
	loop(func(i int64) { _, _ = core.Eval(context.Background(), all[i%int64(len(all))], now()-i%20000, nil) })
	loop(func(i int64) { _, _ = core.Eval(context.Background(), all[i%int64(len(all))], now(), nil) })
	loop(func(i int64) { _, _ = core.Result(all[i%int64(len(all))], now(), nil) })
	loop(func(i int64) {
		s := all[:len(all)-int(i%5)]
		_ = core.Load(context.Background(), s, w.storage, now())
		core.Stream(s)
		core.SetLate(time.Duration(i%3) * time.Minute)
		core.Stats()
		time.Sleep(5 * time.Millisecond)
	})
	wg.Wait()
}
