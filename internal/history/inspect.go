package history

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Value is what an expression is worth at one time. Which field holds it depends on the expression's type.
type Value struct {
	Vector promql.Vector
	Matrix promql.Matrix
	Scalar *float64
	Text   *string
	// Warnings are what the engine found doubtful about the expression or the samples.
	Warnings []string
}

// maxWarnings bounds the warnings of one query.
const maxWarnings = 10

// Instant runs an expression of any type at one time on the upstream engine, as a query of a person's.
func (s *Store) Instant(ctx context.Context, text string, at time.Time) (Value, error) {
	q, err := s.QueryEngine().NewInstantQuery(ctx, s, nil, text, at)
	if err != nil {
		return Value{}, err
	}
	defer q.Close()
	res := q.Exec(ctx)
	if res.Err != nil {
		return Value{}, res.Err
	}
	var out Value
	warnings, infos := res.Warnings.AsStrings(text, maxWarnings, maxWarnings)
	out.Warnings = append(warnings, infos...)
	switch v := res.Value.(type) {
	case promql.Vector:
		out.Vector = v
	case promql.Scalar:
		out.Scalar = &v.V
	case promql.String:
		out.Text = &v.V
	case promql.Matrix:
		for _, series := range v { // Close takes back the memory of the points.
			out.Matrix = append(out.Matrix, promql.Series{
				Metric: series.Metric, Floats: slices.Clone(series.Floats), Histograms: slices.Clone(series.Histograms),
			})
		}
	default:
		return Value{}, fmt.Errorf("a result of an unknown type %T", res.Value)
	}
	return out, nil
}

// Reading says which samples to read as they are stored.
type Reading struct {
	Matchers []*labels.Matcher
	// From and To enclose the samples, both included.
	From, To time.Time
	// MaxSeries is how many series are returned, MaxSamples how many samples of each, the newest. MaxSamples 0 asks for the
	// labels of the series that the index knows in the blocks of that time, which costs no samples.
	MaxSeries, MaxSamples int
}

// Stored is one series of a Reading's answer.
type Stored struct {
	Labels labels.Labels
	// Points are the newest samples, oldest first, Count how many there are in all.
	Points []StoredPoint
	Count  int
}

// StoredPoint is one sample. Staleness markers are samples here.
type StoredPoint struct {
	T     int64
	V     float64
	H     *histogram.FloatHistogram // nil for a float
	Stale bool
}

// Read returns the series in the order of their labels, and how many there are in all.
func (s *Store) Read(ctx context.Context, r Reading) (found []Stored, total int, err error) {
	from, to := r.From.UnixMilli(), r.To.UnixMilli()
	q, err := s.Querier(from, to)
	if err != nil {
		return nil, 0, err
	}
	defer q.Close()
	hints := &storage.SelectHints{Start: from, End: to}
	if r.MaxSamples == 0 {
		hints.Func = "series" // No chunks are loaded.
	}
	set := q.Select(ctx, true, hints, r.Matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		if err := ctx.Err(); err != nil {
			return nil, 0, err
		}
		if len(found) == r.MaxSeries && r.MaxSamples == 0 {
			total++
			continue
		}
		series := set.At()
		one := Stored{Labels: series.Labels()}
		if r.MaxSamples > 0 {
			it = series.Iterator(it)
			if len(found) == r.MaxSeries { // Only whether it has any counts.
				if it.Next() != chunkenc.ValNone {
					total++
				}
				continue
			}
			if err := one.read(it, r.MaxSamples); err != nil {
				return nil, 0, err
			}
			if one.Count == 0 {
				continue
			}
		}
		total++
		found = append(found, one)
	}
	return found, total, set.Err()
}

// read keeps the newest of it's samples.
func (s *Stored) read(it chunkenc.Iterator, keep int) error {
	for {
		kind := it.Next()
		if kind == chunkenc.ValNone {
			break
		}
		var p StoredPoint
		switch kind {
		case chunkenc.ValFloat:
			p.T, p.V = it.At()
			p.Stale = value.IsStaleNaN(p.V)
		default:
			p.T, p.H = it.AtFloatHistogram(nil)
			p.Stale = value.IsStaleNaN(p.H.Sum)
		}
		s.Count++
		if len(s.Points) >= 2*keep { // Now and then, so that a sample costs little.
			s.Points = append(s.Points[:0], s.Points[len(s.Points)-keep:]...)
		}
		s.Points = append(s.Points, p)
	}
	s.Points = s.Points[max(0, len(s.Points)-keep):]
	return it.Err()
}

// Beginning returns the time of the oldest sample; false where there is none.
func (s *Store) Beginning() (time.Time, bool) {
	ms, err := s.StartTime()
	if err != nil || ms == math.MaxInt64 || ms == math.MinInt64 {
		return time.Time{}, false
	}
	return time.UnixMilli(ms), true
}
