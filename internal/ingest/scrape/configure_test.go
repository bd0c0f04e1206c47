package scrape

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
)

func TestBadConfigurationChangesNothing(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	r := newRig(t, Options{}, history.Options{})
	good := fmt.Sprintf("scrape_configs: [{job_name: j, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.run("%s", good)
	r.has(1, "a")

	bad := load(t, "scrape_configs: [{job_name: j2, scheme: https, tls_config: {ca_file: /no/such/file}, static_configs: [{targets: ['%s']}]}]", tg.addr())
	err := r.scraper.Apply(bad)
	require.ErrorContains(t, err, `job "j2"`)
	require.ErrorContains(t, err, "/no/such/file")
	twice := load(t, "%s", good)
	twice.ScrapeConfigs = append(twice.ScrapeConfigs, InnerJob("j", "x:80", "/", "", time.Second, time.Second))
	require.ErrorContains(t, r.scraper.Apply(twice), `two jobs are named "j"`)
	require.ErrorContains(t, r.scraper.Apply(&promconfig.Config{}), "scrape_configs")
	tg.set("a 2\n")
	r.has(1, "a == 2")

	// A good one takes effect, and the job that is not in it any more ends.
	r.apply("scrape_configs: [{job_name: other, static_configs: [{targets: ['%s']}]}]", tg.addr())
	r.has(1, `a{job="other"}`)
	require.NotContains(t, r.scraper.Manager().TargetsActive(), "j")
	require.Equal(t, []string{"other"}, r.scraper.Manager().ScrapePools())
}

func TestBadJobAtTheStartHarmsOnlyItself(t *testing.T) {
	tg := newTarget(t, textType, "a 1\n")
	r := newRig(t, Options{}, history.Options{})
	r.run(`
scrape_configs:
- {job_name: bad, scheme: https, tls_config: {ca_file: /no/such/file}, static_configs: [{targets: ['%[1]s']}]}
- {job_name: good, static_configs: [{targets: ['%[1]s']}]}
`, tg.addr())
	r.has(1, `a{job="good"}`)
	require.Contains(t, r.log.String(), "/no/such/file")
	require.Contains(t, r.log.String(), "job=bad")
	require.Positive(t, r.scraper.Samples())
}

func TestUnixSocketIsNamedAsUnsupported(t *testing.T) {
	r := newRig(t, Options{Inner: map[string]http.Handler{"x:80": http.NotFoundHandler()}}, history.Options{})
	r.apply(`
scrape_configs:
- {job_name: static, static_configs: [{targets: ['a:1'], labels: {__unix_socket__: /s}}]}
- {job_name: relabeled, relabel_configs: [{target_label: __unix_socket__, replacement: /s}], static_configs: [{targets: ['a:1']}]}
- {job_name: plain, static_configs: [{targets: ['a:1']}]}
`)
	require.Equal(t, 2, strings.Count(r.log.String(), "__unix_socket__"), r.log)
}

func TestOptions(t *testing.T) {
	_, err := New(Options{})
	require.ErrorContains(t, err, "no Appendable")
	_, err = New(Options{Appendable: &history.Store{}, ReloadInterval: -1})
	require.ErrorContains(t, err, "reload interval")
}
