package e2e_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
)

// What the series of the test say: more than 8 is hot, less than 3 is cold.
const (
	hot, warm, cold = 10.0, 5.0, 1.0
	hotFrom         = 8.0
	coldTo          = 3.0
)

// kind is one alerting rule of the test and how its series behave.
type kind struct {
	alert   string
	hold    time.Duration // for
	keep    time.Duration // keep_firing_for
	clears  bool          // whether it has a `clear` expression
	goes    bool          // whether its series disappear now and then; on_missing holds it
	steady  bool          // hot as long as the test goes on
	pushed  bool          // through the push gateway
	series  int
	grouped string // its rule group
}

// kinds of alerts: with no `for`, with one shorter and one longer than a typical life of the process, and whatever else
// has a time of its own. All are shorter than the outage tolerance and the grace period.
var kinds = []kind{
	{alert: "Now", series: 6, grouped: "plain"},
	{alert: "Second", hold: time.Second, series: 6, grouped: "plain"},
	{alert: "Short", hold: 3 * time.Second, series: 6, grouped: "plain"},
	{alert: "Long", hold: 8 * time.Second, series: 6, grouped: "plain"},
	{alert: "Pushed", hold: time.Second, pushed: true, series: 4, grouped: "plain"},
	{alert: "Keep", hold: time.Second, keep: 4 * time.Second, series: 6, grouped: "more"},
	{alert: "Hyst", hold: time.Second, clears: true, series: 6, grouped: "more"},
	{alert: "Gone", hold: 2 * time.Second, goes: true, series: 6, grouped: "more"},
	{alert: "Steady", hold: 2 * time.Second, steady: true, series: 3, grouped: "more"},
}

const killRules = `
groups:
- name: plain
  interval: 1s
  rules:
  - {alert: Now, expr: 'crash_load{kind="Now"} > 8'}
  - {alert: Second, expr: 'crash_load{kind="Second"} > 8', for: 1s}
  - {alert: Short, expr: 'crash_load{kind="Short"} > 8', for: 3s}
  - {alert: Long, expr: 'crash_load{kind="Long"} > 8', for: 8s}
  - {alert: Pushed, expr: 'crash_load{kind="Pushed"} > 8', for: 1s}
  - {record: crash_tick, expr: vector(1), labels: {group: plain}}
- name: more
  interval: 1s
  rules:
  - {alert: Keep, expr: 'crash_load{kind="Keep"} > 8', for: 1s, keep_firing_for: 4s}
  - {alert: Hyst, expr: 'crash_load{kind="Hyst"} > 8', for: 1s}
  - {alert: Gone, expr: 'crash_load{kind="Gone"} > 8', for: 2s}
  - {alert: Steady, expr: 'crash_load{kind="Steady"} > 8', for: 2s}
  - {record: crash_tick, expr: vector(1), labels: {group: more}}
`

const killSideRules = `
groups:
- name: more
  rules:
  - {alert: Hyst, clear: 'crash_load{kind="Hyst"} < 3'}
  - {alert: Gone, on_missing: hold}
`

// said is one sample that was sent.
type said struct {
	at    time.Time // its timestamp; when it was sent, but for the fraction of a millisecond
	value float64
	acked time.Time // when tocsin's answer was there that it is taken; zero where none came
}

// teller is one series: what it says, and what it has said.
type teller struct {
	kind *kind
	id   string

	mu     sync.Mutex
	value  float64 // NaN: it is gone
	until  time.Time
	absent bool // its end was said
	frozen bool
	log    []said
}

func (s *teller) name() string { return s.kind.alert + "/" + s.id }

// turn moves the series to now.
func (s *teller) turn(now time.Time, chance *rand.Rand) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen || s.kind.steady || now.Before(s.until) {
		return
	}
	between := func(from, to time.Duration) time.Duration {
		return from + time.Duration(chance.Int64N(int64(to-from)))
	}
	was := s.value
	s.absent = false
	switch roll := chance.IntN(10); {
	case s.kind.goes && roll < 3:
		s.value, s.until = math.NaN(), now.Add(between(500*time.Millisecond, 4*time.Second))
	case s.kind.clears && roll < 4 && was != warm:
		s.value, s.until = warm, now.Add(between(300*time.Millisecond, 4*time.Second))
	case was == hot:
		s.value, s.until = cold, now.Add(between(200*time.Millisecond, 4*time.Second))
	case roll < 3: // Not long enough to fire.
		s.value, s.until = hot, now.Add(between(100*time.Millisecond, s.kind.hold+200*time.Millisecond))
	default:
		s.value, s.until = hot, now.Add(s.kind.hold+between(500*time.Millisecond, 5*time.Second))
	}
}

// next returns what the series says now, and false where it says nothing. Its place in the log is for ack.
func (s *teller) next(now time.Time) (sample prompb.Sample, place int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := now.Truncate(time.Millisecond)
	if n := len(s.log); n > 0 && !at.After(s.log[n-1].at) {
		return prompb.Sample{}, 0, false
	}
	v := s.value
	if math.IsNaN(v) {
		if s.absent {
			return prompb.Sample{}, 0, false
		}
		s.absent = true
		v = math.Float64frombits(value.StaleNaN)
	}
	s.log = append(s.log, said{at: at, value: s.value})
	return prompb.Sample{Value: v, Timestamp: at.UnixMilli()}, len(s.log) - 1, true
}

// ack notes whether what stands at a place of the log was taken. The end of a series that was not is said again.
func (s *teller) ack(place int, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case taken:
		s.log[place].acked = time.Now()
	case math.IsNaN(s.log[place].value):
		s.absent = false
	}
}

func (s *teller) said() []said {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log
}

// world is all series, and who writes and pushes them to whatever tocsin is there.
type world struct {
	series []*teller
	base   atomic.Pointer[string] // tocsin's URL; nil while there is none

	writes, refused, unanswered atomic.Int64

	stop chan struct{}
	work sync.WaitGroup
}

func newWorld(seed uint64) *world {
	w := &world{stop: make(chan struct{})}
	chance := rand.New(rand.NewPCG(seed, 1))
	now := time.Now()
	for i := range kinds {
		for id := range kinds[i].series {
			s := &teller{kind: &kinds[i], id: fmt.Sprint(id), value: cold}
			if s.kind.steady {
				s.value = hot
			}
			s.until = now.Add(time.Duration(chance.Int64N(int64(3 * time.Second))))
			w.series = append(w.series, s)
		}
	}
	return w
}

// start begins to write, a few times a second, with as many samples of no interest beside each series.
func (w *world) start(seed uint64) {
	w.work.Go(func() {
		chance := rand.New(rand.NewPCG(seed, 2))
		ticks := time.NewTicker(100 * time.Millisecond)
		defer ticks.Stop()
		for {
			select {
			case <-w.stop:
				return
			case now := <-ticks.C:
				for _, s := range w.series {
					s.turn(now, chance)
				}
			}
			w.writeAll()
		}
	})
	w.work.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-w.stop:
				return
			case <-time.After(30 * time.Millisecond):
				w.pushOne(i)
			}
		}
	})
}

// freeze lets every series stay what it is.
func (w *world) freeze() {
	for _, s := range w.series {
		s.mu.Lock()
		s.frozen = true
		s.mu.Unlock()
	}
}

// end lets every series be cold for good, steady ones included.
func (w *world) end() {
	for _, s := range w.series {
		s.mu.Lock()
		s.frozen, s.value, s.absent = true, cold, false
		s.mu.Unlock()
	}
}

func (w *world) halt() {
	close(w.stop)
	w.work.Wait()
}

// noise is how many samples of no interest go with each write.
const noise = 400

func (w *world) writeAll() {
	base := w.base.Load()
	if base == nil {
		return
	}
	type place struct {
		s  *teller
		at int
	}
	var req prompb.WriteRequest
	var told []place
	for _, s := range w.series {
		if s.kind.pushed {
			continue
		}
		sample, at, ok := s.next(time.Now())
		if !ok {
			continue
		}
		told = append(told, place{s, at})
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  prompb.FromLabels(labels.FromStrings("__name__", "crash_load", "id", s.id, "kind", s.kind.alert), nil),
			Samples: []prompb.Sample{sample},
		})
	}
	now := time.Now().UnixMilli()
	for i := range noise {
		req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
			Labels:  prompb.FromLabels(labels.FromStrings("__name__", "crash_noise", "i", fmt.Sprint(i)), nil),
			Samples: []prompb.Sample{{Value: float64(now), Timestamp: now}},
		})
	}
	raw, err := req.Marshal()
	if err != nil {
		panic(err)
	}
	taken := w.send(http.MethodPost, *base+"/api/v1/write",
		http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}}, snappy.Encode(nil, raw))
	for _, p := range told {
		p.s.ack(p.at, taken)
	}
}

// pushOne pushes the i-th of the pushed series. The gateway gives the sample its time, which is later than the one noted.
func (w *world) pushOne(i int) {
	base := w.base.Load()
	if base == nil {
		return
	}
	var pushed []*teller
	for _, s := range w.series {
		if s.kind.pushed {
			pushed = append(pushed, s)
		}
	}
	s := pushed[i%len(pushed)]
	sample, at, ok := s.next(time.Now())
	if !ok {
		return
	}
	s.ack(at, w.send(http.MethodPut, *base+"/metrics/job/crash/id/"+s.id, http.Header{},
		fmt.Appendf(nil, "crash_load{kind=\"Pushed\"} %g\n", sample.Value)))
}

var worldClient = &http.Client{Timeout: 20 * time.Second}

// send reports whether the request was answered with success.
func (w *world) send(method, url string, header http.Header, body []byte) bool {
	w.writes.Add(1)
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	req.Header = header
	resp, err := worldClient.Do(req)
	if err != nil {
		w.unanswered.Add(1)
		return false
	}
	resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		w.refused.Add(1)
	}
	return resp.StatusCode/100 == 2
}

// candidates calls f with every value that an evaluation as of t may have seen of the series: the last one that was
// taken before t, and those that were sent after it and before t. It reports false where nothing is known.
func candidates(log []said, t time.Time, f func(v float64)) bool {
	last := len(log) // Those from last on came after t.
	for last > 0 && log[last-1].at.After(t) {
		last--
	}
	for i := last - 1; i >= 0; i-- {
		f(log[i].value)
		if !log[i].acked.IsZero() && !log[i].acked.After(t) {
			return true
		}
	}
	return false
}

// possibly reports whether an evaluation as of t may have seen a value of which f holds, surely whether it must have.
func possibly(log []said, t time.Time, f func(v float64) bool) bool {
	any := false
	known := candidates(log, t, func(v float64) { any = any || f(v) })
	return any || !known
}

func surely(log []said, t time.Time, f func(v float64) bool) bool {
	all := true
	return candidates(log, t, func(v float64) { all = all && f(v) }) && all
}

func isHot(v float64) bool    { return v > hotFrom }
func isCold(v float64) bool   { return v < coldTo }
func isNotHot(v float64) bool { return v <= hotFrom }

// TestCandidates keeps the test's own reasoning honest.
func TestCandidates(t *testing.T) {
	base := time.Unix(1000, 0)
	at := func(ms int) time.Time { return base.Add(time.Duration(ms) * time.Millisecond) }
	log := []said{{at: at(0), value: cold, acked: at(5)}, {at: at(100), value: hot}, {at: at(200), value: hot, acked: at(210)}}
	for _, c := range []struct {
		ms                             int
		mayHot, mustHot, mayCold, must bool
	}{
		{3, true, false, true, false}, // Nothing was taken before: all is possible.
		{50, false, false, true, true},
		{150, true, false, true, false},
		{205, true, false, true, false},
		{220, true, true, false, false},
	} {
		got := []bool{possibly(log, at(c.ms), isHot), surely(log, at(c.ms), isHot), possibly(log, at(c.ms), isCold), surely(log, at(c.ms), isCold)}
		if want := []bool{c.mayHot, c.mustHot, c.mayCold, c.must}; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("at %d ms: %v, want %v", c.ms, got, want)
		}
	}
}
