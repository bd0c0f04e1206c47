package window

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

const (
	benchStart  = 1_700_000_000_000
	benchScrape = 15_000
)

// benchStore has n series of 10 names that instant selectors take, and every other one a range selector as well.
func benchStore(n int) (*Store, []Sample) {
	s := New(Options{Lookback: 300_000, Slack: 30_000, SlackSamples: 64})
	for i := range 10 {
		name := matcher(labels.MatchEqual, "__name__", fmt.Sprintf("metric_%d", i))
		s.Select(selectOf(0, 0, name))
		if i%2 == 0 {
			s.Select(selectOf(0, 0, name, matcher(labels.MatchEqual, "job", "node")))
		}
	}
	s.SetComplete(benchStart)
	return s, benchSamples(0, n)
}

func benchSamples(from, n int) []Sample {
	all := make([]Sample, n)
	for i := range all {
		k := from + i
		all[i] = Sample{
			Ref: uint64(k + 1), V: float64(k),
			Labels: labels.FromStrings(
				"__name__", fmt.Sprintf("metric_%d", k%10), "instance", fmt.Sprint("host-", k/10), "job", "node"),
		}
	}
	return all
}

// scrape feeds all samples once, in batches of 1000.
func scrape(s *Store, all []Sample, now int64) {
	for from := 0; from < len(all); from += 1000 {
		batch := all[from:min(from+1000, len(all))]
		for i := range batch {
			batch[i].T = now
		}
		s.Feed(batch, now)
	}
	for _, x := range s.Selectors() {
		x.Marks().Clear()
	}
}

// BenchmarkFeed is a sample of a series that is known.
func BenchmarkFeed(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s, all := benchStore(n)
			now := int64(benchStart)
			for range 25 {
				now += benchScrape
				scrape(s, all, now)
				s.Expire(now)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for at := 0; b.Loop(); at += 1000 {
				if at == len(all) {
					at = 0
				}
				if at == 0 {
					now += benchScrape
					for _, x := range s.Selectors() {
						x.Marks().Clear()
					}
				}
				batch := all[at : at+1000]
				for i := range batch {
					batch[i].T = now
				}
				s.Feed(batch, now)
				if at%50_000 == 0 {
					s.Expire(now)
					s.NextExpiry()
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/sample")
			st := s.Stats()
			b.ReportMetric(float64(st.Bytes)/float64(st.Series), "B/series")
		})
	}
}

// BenchmarkChurn is a series that comes, gets two samples, and is evicted.
func BenchmarkChurn(b *testing.B) {
	s, _ := benchStore(0)
	now := int64(benchStart)
	ref := 0
	const generation = 1000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		all := benchSamples(ref, generation)
		ref += generation
		b.StartTimer()
		for range 2 {
			now += benchScrape
			scrape(s, all, now)
			s.Expire(now)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/generation, "ns/series")
	require.Less(b, s.Stats().Series, 20*generation)
}

// BenchmarkSelect is a selector that comes while 100 000 series are here.
func BenchmarkSelect(b *testing.B) {
	s, all := benchStore(100_000)
	scrape(s, all, benchStart)
	sel := selectOf(60_000, 0,
		matcher(labels.MatchEqual, "__name__", "metric_3"), matcher(labels.MatchRegexp, "instance", "host-.*1"))
	for b.Loop() {
		s.Release(s.Select(sel), sel)
	}
}

// TestSteadyStateAllocatesNothing feeds known series round after round.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	s, all := benchStore(5000)
	now := int64(benchStart)
	round := func() {
		now += benchScrape
		scrape(s, all, now)
		s.Expire(now)
		s.NextExpiry()
	}
	for range 60 {
		round()
	}
	require.Zero(t, testing.AllocsPerRun(60, round))
}

// TestStatsCountBytes compares what Stats says with what the runtime says.
func TestStatsCountBytes(t *testing.T) {
	const n = 100_000
	all := benchSamples(0, n)
	var labelBytes int64
	for i := range all {
		labelBytes += int64(all[i].Labels.ByteSize())
	}
	before := heapBytes()
	s, _ := benchStore(0)
	now := int64(benchStart)
	for range 30 {
		now += benchScrape
		scrape(s, all, now)
		s.Expire(now)
	}
	used := float64(heapBytes() - before)
	st := s.Stats()
	said := float64(st.Bytes - st.LabelBytes) // the labels are all's
	t.Logf("%.0f bytes a series, %.0f said; %.0f are the samples'", used/n, said/n, float64(st.BufferBytes)/n)
	require.Equal(t, labelBytes, st.LabelBytes)
	require.InEpsilon(t, used, said, 0.1)
	runtime.KeepAlive(all)
	runtime.KeepAlive(s)
}

func heapBytes() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
