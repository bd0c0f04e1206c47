package scrape

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/series"
)

func TestSeriesOverLimitsLoseOnlyThemselves(t *testing.T) {
	tg := newTarget(t, textType, fmt.Sprintf("a 1\nlong{l=%q} 1\nlonger{l=%q} 1\nz 1\n", strings.Repeat("x", 300), strings.Repeat("x", 400)))
	reg := prometheus.NewRegistry()
	r := newRig(t, Options{}, history.Options{Limits: series.Limits{ValueLength: 200}, Registerer: reg})
	job := "scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]"
	r.run(job, tg.addr())
	r.has(1, "z")
	r.has(1, "up == 1")
	r.eventually("count_over_time(z[1m])", func(v promql.Vector) bool { return len(v) == 1 && v[0].F >= 3 })
	require.Empty(t, r.query("{__name__=~'long.*'}"))
	require.Equal(t, 1, strings.Count(r.log.String(), "over the limits"), r.log)
	require.Contains(t, r.log.String(), "target="+tg.URL+"/metrics dropped=2")
	// Not the refused series alone: no staleness marker, and no lost neighbour, when they go.
	tg.set("a 1\n")
	r.has(0, "z")
	r.has(1, "a")
	require.Empty(t, r.query("{__name__=~'long.*'}"))
	require.NotContains(t, r.log.String(), "append failed")
}

func TestTooOldSampleDoesNotFailTheScrape(t *testing.T) {
	now := time.Now()
	tg := newTarget(t, textType, fmt.Sprintf("fresh 1\nold 1 %d\n", now.Add(-3*time.Hour).UnixMilli()))
	// With an out-of-order window the storage has another name for what is too old.
	r := newRig(t, Options{}, history.Options{OutOfOrderWindow: time.Minute})
	r.run("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.has(1, "up == 1")
	r.eventually("count_over_time(fresh[1m])", func(v promql.Vector) bool { return len(v) == 1 && v[0].F >= 3 })
	require.Len(t, r.query("up == 1"), 1, r.log)
}

func TestBodySize(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n"+strings.Repeat("# padding\n", 1000))
	r := newRig(t, Options{BodySize: 1000}, history.Options{})
	r.run(`
scrape_configs:
- {job_name: default, static_configs: [{targets: ['%[1]s']}]}
- {job_name: own, body_size_limit: 1MB, static_configs: [{targets: ['%[1]s']}]}
`, tg.addr())
	r.has(1, `up{job="default"} == 0`)
	r.has(1, `up{job="own"} == 1`)
}
