package history

import (
	"sync"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
)

// Sample is one committed sample as an observer sees it. Exactly one of V, H and FH is its value: FH or H where set, V
// otherwise (a staleness marker is a V, also for series of histograms).
type Sample struct {
	// Ref is the series' reference in the database: unique and stable while the store is open.
	Ref storage.SeriesRef
	// Labels are the series'. They are empty where the appender's caller gave nothing but a reference.
	Labels labels.Labels
	// T is in Unix milliseconds.
	T  int64
	V  float64
	H  *histogram.Histogram
	FH *histogram.FloatHistogram
}

// keepBatch is the largest batch, in samples, whose memory is kept for the next one.
const keepBatch = 1 << 16

// batchPool recycles batches; nothing of a batch survives in it.
type batchPool struct {
	pool sync.Pool
}

func (p *batchPool) get() *[]Sample {
	if b, ok := p.pool.Get().(*[]Sample); ok {
		return b
	}
	return new([]Sample)
}

func (p *batchPool) put(b *[]Sample) {
	if cap(*b) > keepBatch {
		return
	}
	clear(*b) // Let go of labels and histograms.
	*b = (*b)[:0]
	p.pool.Put(b)
}
