package bench

import (
	"context"
	"fmt"
	"math"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

const ledgerMetric = "tocsin_ledger_record_seconds"

// waits is a histogram of waits at a moment.
type waits struct {
	n, seconds float64
	buckets    []bucket
}

// bucket counts the waits up to a bound in seconds.
type bucket struct{ bound, n float64 }

// ledgerWaits asks the server how long changes of alerts have waited for the disk so far.
func ledgerWaits(ctx context.Context, s *sender) (w waits, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"/metrics", nil)
	if err != nil {
		return w, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return w, fmt.Errorf("asking the server for its metrics: %w", err)
	}
	defer resp.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return w, fmt.Errorf("reading the server's metrics: %w", err)
	}
	family := families[ledgerMetric]
	if family == nil || len(family.Metric) == 0 {
		return w, fmt.Errorf("the server has no metric %s", ledgerMetric)
	}
	return waitsOf(family.Metric[0].GetHistogram()), nil
}

func waitsOf(h *dto.Histogram) waits {
	w := waits{n: float64(h.GetSampleCount()), seconds: h.GetSampleSum()}
	for _, b := range h.Bucket {
		w.buckets = append(w.buckets, bucket{b.GetUpperBound(), float64(b.GetCumulativeCount())})
	}
	return w
}

// since returns what came after before: how many, their mean and their 99th percentile in milliseconds, the latter the
// upper bound of the bucket that it falls into.
func (w waits) since(before waits) (n int, mean, p99 float64) {
	count := w.n - before.n
	if count <= 0 {
		return 0, 0, 0
	}
	for i, b := range w.buckets {
		was := 0.0
		if i < len(before.buckets) {
			was = before.buckets[i].n
		}
		if b.n-was >= 0.99*count {
			p99 = b.bound
			break
		}
	}
	if math.IsInf(p99, 0) {
		p99 = 0
	}
	return int(count), (w.seconds - before.seconds) / count * 1000, p99 * 1000
}
