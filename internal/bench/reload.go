package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// reloadBackground is the load beside which a reload is measured, in samples per second.
const reloadBackground = 50_000

// ReloadResult is what a reload that brings rules with kernels of their own does to those who wait for an alert. There are
// as many rules before it: what they cost at their ticks is none of the reload's doing.
type ReloadResult struct {
	// Rules is how many new rules the reload brought in place of as many others, each with arithmetic of a form that no other has, ReloadMS how long
	// the reload took.
	Rules    int     `json:"rules"`
	ReloadMS float64 `json:"reload_ms"`
	// Quiet is without a reload, During with one; both are of as many probes beside the same background.
	Quiet  LatencyResult `json:"quiet"`
	During LatencyResult `json:"during"`
	// P99Ratio is During's p99 by Quiet's.
	P99Ratio float64 `json:"p99_ratio"`
}

// reload measures how long samples take without and with a reload of so many new rules.
func reload(ctx context.Context, p *prober, server *process, rules int, duration time.Duration) (r *ReloadResult, err error) {
	r = &ReloadResult{Rules: rules}
	path := filepath.Join(server.dir, moreRules)
	if err := os.WriteFile(path, []byte(distinctRules(rules, rules)), 0o600); err != nil {
		return nil, err
	}
	if err := postReload(ctx, server.url); err != nil {
		return nil, err
	}
	if !sleep(ctx, reloadLead) {
		return nil, ctx.Err()
	}
	if r.Quiet, err = latency(ctx, p, reloadBackground, duration); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		if !sleep(ctx, loadLead+duration/4) {
			ended <- ctx.Err()
			return
		}
		began := time.Now()
		if err := os.WriteFile(path, []byte(distinctRules(0, rules)), 0o600); err != nil {
			ended <- err
			return
		}
		err := postReload(ctx, server.url)
		r.ReloadMS = milliseconds(time.Since(began))
		ended <- err
	}()
	during, err := latency(ctx, p, reloadBackground, duration)
	if err := errors.Join(err, <-ended); err != nil {
		return nil, err
	}
	r.During = during
	r.P99Ratio = r.During.P99MS / r.Quiet.P99MS
	return r, nil
}

func postReload(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/-/reload", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("reload: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // what there is of it
		return fmt.Errorf("reload: %s: %s", resp.Status, body)
	}
	return nil
}

// maxReload is how many rules a reload can bring in place of as many: half of what distinctRules can tell apart.
const maxReload = 32_768

// reloadLead is for how long the rules that make room are there before anything is measured: a few of their ticks.
const reloadLead = 11 * time.Second

// moreRules is the file that a reload brings.
const moreRules = "rules-more.yml"

// distinctRules are rules over a metric that nobody sends, so that nothing but loading and compiling them is measured. No
// two have arithmetic of the same form: the number of the rule, in base 4, says which operators follow each other. They
// are numbered from first.
func distinctRules(first, n int) string {
	var b strings.Builder
	b.WriteString("groups:\n- name: more\n  rules:\n")
	for i := first; i < first+n; i++ {
		expr := "bench_more"
		for digits, at := i, 0; at < 8; digits, at = digits/4, at+1 {
			expr = fmt.Sprintf("(%s %c %d)", expr, "+-*/"[digits%4], at+2)
		}
		fmt.Fprintf(&b, "  - alert: BenchMore%d\n    expr: %s > %d\n", i, expr, i)
	}
	return b.String()
}
