package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

const (
	// warmPatience is how long the server may take to follow arrivals.
	warmPatience = 30 * time.Second
	// loadLead is for how long the background is there before the first probe.
	loadLead = 500 * time.Millisecond
)

// LatencyOptions says what RunLatency measures.
type LatencyOptions struct {
	// Binary is the tocsin to run.
	Binary string
	// Quick ends soon: 4 seconds a background.
	Quick bool
	// Duration is how long probes are sent at each background; default 4 s if Quick, 60 s otherwise.
	Duration time.Duration
	// Background are the loads in samples per second; default 0, 50,000 and 200,000.
	Background []int
	// Reload is how many new rules a reload brings whose effect is measured, too, if any.
	Reload int
	// Dir is where temporary directories are made; empty means the system's.
	Dir string
	// Progress is told what is being done; nil is fine.
	Progress func(string)
}

// WithDefaults returns o with defaults in place of zeros.
func (o LatencyOptions) WithDefaults() LatencyOptions {
	if o.Duration == 0 {
		o.Duration = time.Minute
		if o.Quick {
			o.Duration = 4 * time.Second
		}
	}
	if len(o.Background) == 0 {
		o.Background = []int{0, 50_000, 200_000}
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// LatencyResult is how long samples took from just before they were posted to the webhook's hit, at one background.
type LatencyResult struct {
	BackgroundPerS int `json:"background_per_s"`
	// N is how many probes were sent, Lost how many the webhook did not hear of within 5 seconds.
	N    int `json:"n"`
	Lost int `json:"lost"`
	// The times are of those that were not lost, in milliseconds.
	P50MS float64 `json:"p50_ms"`
	P99MS float64 `json:"p99_ms"`
	MaxMS float64 `json:"max_ms"`

	// LedgerN is how many changes of alerts the server put on disk meanwhile, each before anybody was told; LedgerMeanMS
	// and LedgerP99MS are how long each waited for that. That is part of the times above.
	LedgerN      int     `json:"ledger_n"`
	LedgerMeanMS float64 `json:"ledger_mean_ms"`
	LedgerP99MS  float64 `json:"ledger_p99_ms"`

	// AchievedPerS is the background that the server really took.
	AchievedPerS float64 `json:"-"`
	// PostP50MS is the part until the server's answer to the POST.
	PostP50MS float64 `json:"-"`
}

// LatencyReport is all that RunLatency found.
type LatencyReport struct {
	Machine  Machine
	Duration time.Duration
	Results  []LatencyResult
	Reload   *ReloadResult // nil where not asked for
}

// MarshalJSON writes {"results":[…]}, and "reload" where it was measured.
func (r *LatencyReport) MarshalJSON() ([]byte, error) {
	all := map[string]any{"results": append([]LatencyResult{}, r.Results...)}
	if r.Reload != nil {
		all["reload"] = r.Reload
	}
	return json.Marshal(all)
}

// Lost returns how many probes were lost.
func (r *LatencyReport) Lost() int {
	n := 0
	for _, x := range r.Results {
		n += x.Lost
	}
	if r.Reload != nil {
		n += r.Reload.Quiet.Lost + r.Reload.During.Lost
	}
	return n
}

// RunLatency starts a server and measures one background after the other.
func RunLatency(ctx context.Context, o LatencyOptions) (*LatencyReport, error) {
	o = o.WithDefaults()
	report := &LatencyReport{Machine: ThisMachine(), Duration: o.Duration}
	if o.Reload < 0 || o.Reload > maxReload {
		return report, fmt.Errorf("reload: %d is not between 0 and %d", o.Reload, maxReload)
	}
	for _, b := range o.Background {
		if b < 0 || b > 10_000_000 {
			return report, fmt.Errorf("background: %d is not between 0 and 10000000", b)
		}
	}
	hook, err := newReceiver()
	if err != nil {
		return report, err
	}
	defer hook.close()
	o.Progress("starting a server and waiting for its rules to be warm")
	server, err := start(ctx, o.Binary, o.Dir, hook.url())
	if err != nil {
		return report, err
	}
	defer server.kill()
	s := newSender(server.url)
	defer s.close()
	p := &prober{sender: s, hook: hook, patience: lostAfter}
	if err := warmUp(ctx, p); err != nil {
		return report, err
	}
	for _, b := range o.Background {
		o.Progress(fmt.Sprintf("%d samples/s in the background, probes for %s", b, o.Duration))
		r, err := latency(ctx, p, b, o.Duration)
		if err != nil {
			return report, fmt.Errorf("background of %d samples/s: %w", b, err)
		}
		report.Results = append(report.Results, r)
	}
	if o.Reload == 0 {
		return report, nil
	}
	o.Progress(fmt.Sprintf("a reload of %d rules beside %d samples/s, probes for twice %s", o.Reload, reloadBackground, o.Duration))
	report.Reload, err = reload(ctx, p, server, o.Reload, o.Duration)
	return report, err
}

// warmUp creates the background's series and sends probes until the server hears of arrivals: it begins to follow them
// after a few ticks. One that never does will lose probes, which is a result, not an error.
func warmUp(ctx context.Context, p *prober) error {
	l, err := newLoad(p.sender, 0)
	if err != nil {
		return err
	}
	if err := l.first(ctx); err != nil {
		return err
	}
	quick := 0 // rounds in a row; a tick makes one of them quick at most
	for began := time.Now(); quick < 2 && time.Since(began) < warmPatience; {
		probes, err := p.send(ctx, 5)
		if err != nil {
			return err
		}
		if !sleep(ctx, probeEvery*5) {
			return ctx.Err()
		}
		quick++
		for _, q := range probes {
			if _, heard := p.hook.hit(q.id); !heard {
				quick = 0
			}
		}
	}
	return nil
}

// latency measures one background.
func latency(ctx context.Context, p *prober, background int, duration time.Duration) (r LatencyResult, err error) {
	l, err := newLoad(p.sender, background)
	if err != nil {
		return r, err
	}
	loading, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		if background == 0 {
			ended <- nil
			return
		}
		ended <- l.run(loading)
	}()
	if sleep(ctx, loadLead) {
		r, err = probeAll(ctx, p, l, duration)
	}
	stop()
	if loadErr := <-ended; err == nil {
		err = loadErr
	}
	r.BackgroundPerS = background
	return r, err
}

// probeAll sends probes for duration.
func probeAll(ctx context.Context, p *prober, l *load, duration time.Duration) (r LatencyResult, err error) {
	recorded, err := ledgerWaits(ctx, p.sender)
	if err != nil {
		return r, err
	}
	began, before := time.Now(), l.sent.Load()
	probes, err := p.send(ctx, max(1, int(duration/probeEvery)))
	if err != nil {
		return r, err
	}
	r.AchievedPerS = float64(l.sent.Load()-before) / time.Since(began).Seconds()
	p.wait(ctx, probes)
	var total, post []float64
	for _, q := range probes {
		r.N++
		if hit, ok := p.hook.hit(q.id); ok && q.err == nil && hit.Sub(q.sent) <= p.patience {
			total, post = append(total, milliseconds(hit.Sub(q.sent))), append(post, milliseconds(q.answered))
		} else {
			r.Lost++
		}
	}
	r.P50MS, r.P99MS, r.MaxMS = percentile(total, 50), percentile(total, 99), percentile(total, 100)
	r.PostP50MS = percentile(post, 50)
	all, err := ledgerWaits(ctx, p.sender)
	if err != nil {
		return r, err
	}
	r.LedgerN, r.LedgerMeanMS, r.LedgerP99MS = all.since(recorded)
	return r, ctx.Err()
}
