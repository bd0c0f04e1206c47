package web

import (
	"sync"
	"time"
)

const (
	// rateEvery is how often the running totals are read, rateReadings how many readings are kept: a minute's worth.
	rateEvery    = 5 * time.Second
	rateReadings = 13
)

// rates makes samples per second of running totals. Its memory is a minute of readings.
type rates struct {
	mu       sync.Mutex
	readings []reading // oldest first
}

type reading struct {
	at     time.Time
	totals map[string]float64
}

func totalsOf(ingested []Ingested) map[string]float64 {
	out := make(map[string]float64, len(ingested))
	for _, i := range ingested {
		out[i.Protocol] += i.Samples
	}
	return out
}

func (r *rates) observe(at time.Time, totals map[string]float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.readings) == rateReadings {
		r.readings = append(r.readings[:0], r.readings[1:]...)
	}
	r.readings = append(r.readings, reading{at, totals})
}

// perSecond returns samples per second by protocol, from the oldest reading to the newest; empty with fewer than two. A
// total that fell started again from zero.
func (r *rates) perSecond() map[string]float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]float64{}
	if len(r.readings) < 2 {
		return out
	}
	first, last := r.readings[0], r.readings[len(r.readings)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return out
	}
	for protocol, total := range last.totals {
		grown := total - first.totals[protocol]
		if grown < 0 {
			grown = total
		}
		out[protocol] = grown / seconds
	}
	return out
}

// sampleRates reads every tenant's totals until done is closed.
func (s *Server) sampleRates(done <-chan struct{}) {
	ticker := time.NewTicker(rateEvery)
	defer ticker.Stop()
	for {
		if all := s.tenants.Load(); all != nil {
			for _, m := range *all {
				if m.tenant.Ingested != nil {
					m.rates.observe(s.options.Clock(), totalsOf(m.tenant.Ingested()))
				}
			}
		}
		select {
		case <-done:
			return
		case <-ticker.C:
		}
	}
}

func (m *mounted) ingestStatus() ingestStatus {
	stats := m.tenant.History.Stats()
	out := ingestStatus{
		SamplesPerSecond: stats.SamplesPerSecond,
		ByProtocol:       m.rates.perSecond(),
		SamplesTotal:     map[string]float64{},
		HeadSeries:       stats.Series,
		Blocks:           stats.Blocks,
		DiskBytes:        stats.DiskBytes,
		Oldest:           stats.Oldest,
	}
	if m.tenant.Ingested != nil {
		out.SamplesTotal = totalsOf(m.tenant.Ingested())
	}
	return out
}
