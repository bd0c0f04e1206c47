package exec

import (
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// matchSample is a sample at time 0.
type matchSample float64

var _ chunks.Sample = matchSample(0)

func (s matchSample) ST() int64                     { return 0 }
func (s matchSample) T() int64                      { return 0 }
func (s matchSample) F() float64                    { return float64(s) }
func (s matchSample) H() *histogram.Histogram       { return nil }
func (s matchSample) FH() *histogram.FloatHistogram { return nil }
func (s matchSample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s matchSample) Copy() chunks.Sample           { return s }

// matchSeriesSet lists series.
type matchSeriesSet struct {
	series []storage.Series
	at     int
}

func (s *matchSeriesSet) Next() bool                        { s.at++; return s.at < len(s.series) }
func (s *matchSeriesSet) At() storage.Series                { return s.series[s.at] }
func (s *matchSeriesSet) Err() error                        { return nil }
func (s *matchSeriesSet) Warnings() annotations.Annotations { return nil }
