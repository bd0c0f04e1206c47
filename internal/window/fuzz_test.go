package window

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"

	"github.com/tocsin/tocsin/internal/plan"
)

// input reads operations from a fuzzer's bytes; at the end all is zero.
type input []byte

func (b *input) byte() byte {
	if len(*b) == 0 {
		return 0
	}
	c := (*b)[0]
	*b = (*b)[1:]
	return c
}

// time is near zero, near the present, or anything.
func (b *input) time() int64 {
	switch kind := b.byte(); kind % 4 {
	case 0:
		return int64(int8(b.byte()))
	case 1, 2:
		return 1_700_000_000_000 + int64(kind/4)*100 + int64(int8(b.byte()))
	}
	var raw [8]byte
	for i := range raw {
		raw[i] = b.byte()
	}
	return int64(binary.LittleEndian.Uint64(raw[:]))
}

func (b *input) sample() Sample {
	c := b.byte()
	s := Sample{
		Ref: uint64(c % 8), T: b.time(), V: float64(c),
		Labels: labels.FromStrings("__name__", string(rune('a'+c%3)), "i", string(rune('0'+c%8))),
	}
	switch {
	case c&0x80 != 0:
		s.V = math.Float64frombits(value.StaleNaN)
	case c&0x78 == 0x78:
		s.Histogram = true
	case c&0x78 == 0x70:
		s.Labels = labels.EmptyLabels()
	case c&0x78 == 0x68:
		s.Ref += 1 << 50
	}
	return s
}

// FuzzFeed runs any operations at any times. What is kept has to be ascending, above the floor, and the lanes' own.
func FuzzFeed(f *testing.F) {
	f.Add([]byte{0, 0, 1, 10, 0, 0, 5, 0, 6, 2, 9, 8}, false)
	f.Add([]byte{3, 1, 2, 3, 255, 255, 255, 255, 255, 255, 255, 127, 7, 7, 7, 7, 1, 0}, true)
	f.Fuzz(func(t *testing.T, data []byte, outOfOrder bool) { fuzzOne(t, data, outOfOrder) })
}

// fuzzOne works through one input.
func fuzzOne(t *testing.T, data []byte, outOfOrder bool) {
	b := input(data[:min(len(data), 2000)])
	s := New(Options{
		Lookback: 50, Slack: int64(b.byte() % 32), SlackSamples: int(b.byte() % 4), MaxBytes: int64(b.byte()) << 12,
		OutOfOrder: outOfOrder,
	})
	type use struct {
		x   *Selector
		sel *plan.Select
	}
	var uses []use
	for len(b) > 0 {
		switch op := b.byte(); op % 8 {
		case 0:
			name := matcher(labels.MatchEqual, "__name__", string(rune('a'+b.byte()%3)))
			sel := selectOf(int64(op/64)*40, int64(int8(b.byte())), name)
			uses = append(uses, use{s.Select(sel), sel})
		case 1:
			sel := selectOf(int64(op/64)*40, int64(int8(b.byte())), matcher(labels.MatchRegexp, "i", "[0-4]"))
			uses = append(uses, use{s.Select(sel), sel})
		case 2:
			if len(uses) > 0 {
				u := uses[0]
				uses = uses[1:]
				s.Release(u.x, u.sel)
			}
		case 3:
			s.Expire(b.time())
		case 4:
			at := b.time()
			p := b.sample()
			s.Fill(p.Labels, []int64{at, plus(at, 1), plus(at, 70)}, []float64{1, 2, p.V}, b.time(), math.MinInt64)
		case 5:
			s.SetComplete(b.time())
		default:
			now := b.time()
			var batch []Sample
			for range op / 32 {
				batch = append(batch, b.sample())
			}
			s.Feed(batch, now)
		}
		s.NextExpiry()
		sound(t, s)
	}
}

// sound fails where a store contradicts itself.
func sound(t *testing.T, s *Store) {
	t.Helper()
	lastT, lastV := s.Last()
	live, samples := 0, 0
	for i := range s.series {
		r := &s.series[i]
		if r.flags&flagLive == 0 {
			continue
		}
		live++
		ts, vs := s.Samples(ID(i))
		samples += len(ts)
		for k, at := range ts {
			if k > 0 && at <= ts[k-1] || at <= s.Floor(ID(i)) && s.Floor(ID(i)) != math.MaxInt64 {
				t.Fatalf("series %d has %v, floor %d", i, ts, s.Floor(ID(i)))
			}
		}
		if n := len(ts); n > 0 && (ts[n-1] != lastT[i] || math.Float64bits(vs[n-1]) != math.Float64bits(lastV[i])) {
			t.Fatalf("series %d has %v, the newest is said to be %d", i, ts, lastT[i])
		}
		if int(markers(vs)) != s.Markers(ID(i)) {
			t.Fatalf("series %d has %d markers, not %d", i, markers(vs), s.Markers(ID(i)))
		}
		s.each(ID(i), func(x *Selector, lane uint32) {
			if !x.lanes.Live().Has(lane) || x.ids[lane] != ID(i) {
				t.Fatalf("series %d is not in lane %d", i, lane)
			}
		})
		if !s.wheel.Scheduled(uint32(i)) && !planned(s, ID(i)) {
			t.Fatalf("series %d is not scheduled", i)
		}
	}
	if st := s.Stats(); st.Series != live || st.Samples != int64(samples) {
		t.Fatalf("%d series with %d samples, said are %d with %d", live, samples, st.Series, st.Samples)
	}
}

func planned(s *Store, id ID) bool {
	for _, e := range s.soon {
		if e.id == id {
			return true
		}
	}
	return false
}
