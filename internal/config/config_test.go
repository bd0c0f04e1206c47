package config

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/stretchr/testify/require"
)

// noEnv is an environment in which nothing is set.
func noEnv(string) (string, bool) { return "", false }

// env returns an environment that holds the given pairs.
func env(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := pairs[name]; return v, ok }
}

// write puts files into a new directory and returns it.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, []byte(content), 0o644))
	}
	return dir
}

func mustParse(t *testing.T, content string) *Config {
	t.Helper()
	c, err := Parse("/etc/tocsin/tocsin.yml", content, LoadOptions{LookupEnv: noEnv})
	require.NoError(t, err)
	return c
}

func messages(ws []Warning) []string {
	out := []string{}
	for _, w := range ws {
		out = append(out, w.String())
	}
	return out
}

func TestDefaultWithoutAFile(t *testing.T) {
	c := Default(LoadOptions{})
	require.Empty(t, c.Path)
	require.Empty(t, c.Warnings)
	require.Empty(t, c.Files())
	require.Equal(t, model.Duration(15*time.Second), c.Prometheus.GlobalConfig.ScrapeInterval)
	require.Equal(t, model.Duration(15*time.Second), c.Prometheus.GlobalConfig.EvaluationInterval)
	require.True(t, *c.Tocsin.Host.Enabled)
	require.True(t, *c.Tocsin.Rules.Builtin)
	require.True(t, c.Tocsin.SelfScrape.Enabled)
	require.Nil(t, c.Alertmanager)
	require.Equal(t, "./tocsin-data", c.Tocsin.Data)
	require.EqualValues(t, 100000, c.MaxExemplars())
	_, err := c.Prometheus.GetScrapeConfigs()
	require.NoError(t, err, "the scraper must be able to use it")
}

func TestEmptyFileHasPrometheusDefaults(t *testing.T) {
	c := mustParse(t, "")
	require.Equal(t, model.Duration(time.Minute), c.Prometheus.GlobalConfig.EvaluationInterval)
	require.False(t, *c.Tocsin.Host.Enabled)
	require.False(t, *c.Tocsin.Rules.Builtin)
}

func TestEverySettingIsRead(t *testing.T) {
	dir := write(t, map[string]string{
		"web.yml": "basic_auth_users: {me: $2y$10$EYxs8IOG46m9CtpB/XlPxO1ei7E4BjAen0SUv6di7mD4keR/8JO6m}\n",
		"am.yml":  "route: {receiver: r, group_wait: 0s}\nreceivers: [{name: r}]\n",
		"t.yml": `
tocsin:
  listen: 0.0.0.0:1234
  data: data
  shutdown_timeout: 5s
  web: {config_file: web.yml, external_url: "https://x.example/t/", cors_origin: "https?://a", page_title: T, pprof: yes, admin_api: true}
  history: {retention_time: 1w, retention_size: 10GB, out_of_order_time_window: 5m}
  query: {timeout: 1m, max_samples: 1_000, max_concurrency: 2, lookback_delta: 1m, experimental_functions: on}
  limits: {body_size: 1KiB, decompressed_size: 4096, labels_per_series: 3, label_name_length: -1, label_value_length: 9}
  ledger: {retention: 2w, max_size: 2MiB}
  notifications: {alertmanager_config: am.yml, retention: 1h, dead_letter_after: 2h, fallback_receiver: r, fallback_after: 1h,
    min_backoff: 1s, max_backoff: 10s, max_waiting: 7}
  push: {interval: 1s, ttl: 1h}
  host: {enabled: true, interval: 2s, collectors: [cpu, "meminfo"]}
  self_scrape: {enabled: false, interval: 3s}
  rules: {builtin: true, reload_interval: 0s, resend_delay: 2m, for_outage_tolerance: 2h, for_grace_period: 0s, restart_grace_period: 1m,
    evaluation: strict, settle: 0s, windows: {max_size: 1GiB}, overrides: [{files: "r/*.yml", groups: g, evaluation: stream, settle: 1s}]}
  jit: {mode: adaptive, warmup: off, compile_cpus: [0, 3], compile_nice: -5, max_size: 1MiB, hot_after: 1s, cold_after: 1h, perf_map: yes}
`,
	})
	c, err := Load(filepath.Join(dir, "t.yml"), LoadOptions{LookupEnv: noEnv})
	require.NoError(t, err)
	d, yes := func(v time.Duration) model.Duration { return model.Duration(v) }, true
	second := d(time.Second)
	require.Equal(t, Tocsin{
		Listen: "0.0.0.0:1234", Data: filepath.Join(dir, "data"), ShutdownTimeout: d(5 * time.Second),
		Web: Web{
			ConfigFile: filepath.Join(dir, "web.yml"), ExternalURL: "https://x.example/t/", CORSOrigin: "https?://a", PageTitle: "T",
			Pprof: true, AdminAPI: true,
		},
		History: History{RetentionTime: d(7 * 24 * time.Hour), RetentionSize: 10 * GiB, OutOfOrderTimeWindow: d(5 * time.Minute)},
		Query:   Query{Timeout: d(time.Minute), MaxSamples: 1000, MaxConcurrency: 2, LookbackDelta: d(time.Minute), ExperimentalFunctions: true},
		Limits:  Limits{BodySize: KiB, DecompressedSize: 4096, LabelsPerSeries: 3, LabelNameLength: -1, LabelValueLength: 9},
		Notifications: Notifications{
			AlertmanagerConfig: filepath.Join(dir, "am.yml"), Retention: d(time.Hour), DeadLetterAfter: d(2 * time.Hour),
			FallbackReceiver: "r", FallbackAfter: d(time.Hour), MinBackoff: d(time.Second), MaxBackoff: d(10 * time.Second), MaxWaiting: 7,
		},
		Push:       Push{Interval: d(time.Second), TTL: d(time.Hour)},
		Host:       Host{Enabled: &yes, Interval: d(2 * time.Second), Collectors: []string{"cpu", "meminfo"}},
		SelfScrape: SelfScrape{Interval: d(3 * time.Second)},
		Ledger:     Ledger{Retention: model.Duration(14 * 24 * time.Hour), MaxSize: 2 * MiB},
		Rules: Rules{
			Builtin: &yes, ResendDelay: d(2 * time.Minute), ForOutageTolerance: d(2 * time.Hour), RestartGracePeriod: model.Duration(time.Minute),
			Evaluation: Strict, Windows: Windows{MaxSize: GiB},
			Overrides: []RulesOverride{{Files: filepath.Join(dir, "r/*.yml"), Groups: "g", Evaluation: Stream, Settle: &second}},
		},
		JIT: JIT{
			Mode: JITAdaptive, CompileCPUs: []int{0, 3}, CompileNice: -5, MaxSize: MiB, HotAfter: second, ColdAfter: d(time.Hour), PerfMap: true,
		},
	}, c.Tocsin)
	require.Empty(t, c.Warnings)
	require.Equal(t, "r", c.Alertmanager.Route.Receiver)
	require.Equal(t, []string{filepath.Join(dir, "am.yml"), filepath.Join(dir, "t.yml"), filepath.Join(dir, "web.yml")}, c.Files())
}

func TestJITModeAlone(t *testing.T) {
	for _, mode := range []JITMode{JITEager, JITAdaptive, JITOff} {
		want := DefaultTocsin().JIT
		want.Mode = mode
		require.Equal(t, want, mustParse(t, "tocsin: {jit: "+string(mode)+"}\n").Tocsin.JIT)
	}
}

func TestNullKeepsTheDefault(t *testing.T) {
	c := mustParse(t, "tocsin:\n  listen:\n  query: ~\n  host: {enabled: null, collectors: }\n")
	want := mustParse(t, "")
	require.Equal(t, want.Tocsin, c.Tocsin)
	require.Equal(t, want.Tocsin, mustParse(t, "tocsin:\n").Tocsin)
}

func TestHistoryTakesPrecedenceOverStorage(t *testing.T) {
	storage := "storage: {tsdb: {out_of_order_time_window: 30m, retention: {time: 3d, size: 5GB}}, exemplars: {max_exemplars: 7}}\n"
	c := mustParse(t, storage)
	require.Equal(t, History{model.Duration(72 * time.Hour), 5 * GiB, model.Duration(30 * time.Minute)}, c.Tocsin.History)
	require.EqualValues(t, 7, c.MaxExemplars())
	for retention, want := range map[string]History{
		"{size: 5GB}":                    {RetentionSize: 5 * GiB}, // no limit by age then, as in Prometheus
		"{time: 3d}":                     {RetentionTime: model.Duration(72 * time.Hour)},
		"{}":                             {},
		"":                               DefaultTocsin().History,
		"{percentage: 50}":               DefaultTocsin().History,
		"{percentage: 50, time: 3d}":     {RetentionTime: model.Duration(72 * time.Hour)},
		"{percentage: 50, size: 5GB}":    {RetentionTime: DefaultTocsin().History.RetentionTime, RetentionSize: 5 * GiB},
		"{time: 0s, size: 5GB}":          {RetentionSize: 5 * GiB},
		"&a {<<: {time: 3d}, size: 5GB}": {RetentionTime: model.Duration(72 * time.Hour), RetentionSize: 5 * GiB},
	} {
		require.Equal(t, want, mustParse(t, "storage: {tsdb: {retention: "+retention+"}}\n").Tocsin.History, retention)
	}
	c = mustParse(t, storage+"tocsin: {history: {out_of_order_time_window: 0s, retention_time: 0s, retention_size: 0}}\n")
	require.Equal(t, History{}, c.Tocsin.History)
}

func TestRelativePathsBeginAtTheFile(t *testing.T) {
	c := mustParse(t, `
rule_files: [rules/*.yml, /abs/x.yml]
scrape_config_files: [jobs/*.yml]
scrape_configs:
  - job_name: a
    basic_auth: {username: u, password_file: pw}
    file_sd_configs: [{files: [targets/*.json]}]
`)
	require.Equal(t, []string{"/etc/tocsin/rules/*.yml", "/abs/x.yml"}, c.Prometheus.RuleFiles)
	require.Equal(t, []string{"/etc/tocsin/jobs/*.yml"}, c.ScrapeConfigFiles)
	require.Equal(t, "/etc/tocsin/pw", c.Prometheus.ScrapeConfigs[0].HTTPClientConfig.BasicAuth.PasswordFile)
	require.Contains(t, c.Prometheus.String(), "/etc/tocsin/targets/*.json")
	require.Equal(t, []string{
		"/etc/tocsin/tocsin.yml:2:14: rule_files[0]: no file matches /etc/tocsin/rules/*.yml",
		"/etc/tocsin/tocsin.yml:2:27: rule_files[1]: no file matches /abs/x.yml",
		"/etc/tocsin/tocsin.yml:3:23: scrape_config_files[0]: no file matches /etc/tocsin/jobs/*.yml",
	}, messages(c.Warnings))
}

func TestScrapeConfigFiles(t *testing.T) {
	dir := write(t, map[string]string{
		"p.yml": "global: {scrape_interval: 42s}\nscrape_configs: [{job_name: own}]\nscrape_config_files: [jobs/*.yml]\n",
		"jobs/a.yml": `
scrape_configs:
  - job_name: ${JOB}
    consul_sd_configs: [{server: x}]
    bearer_token_file: token
`,
	})
	c, err := Load(filepath.Join(dir, "p.yml"), LoadOptions{LookupEnv: env(map[string]string{"JOB": "theirs"})})
	require.NoError(t, err)
	jobs, err := c.Prometheus.GetScrapeConfigs()
	require.NoError(t, err)
	require.Len(t, jobs, 2)
	require.Equal(t, "theirs", jobs[1].JobName)
	require.Equal(t, model.Duration(42*time.Second), jobs[1].ScrapeInterval)
	require.Equal(t, filepath.Join(dir, "jobs/token"), jobs[1].HTTPClientConfig.Authorization.CredentialsFile)
	require.Equal(t, []string{filepath.Join(dir, "jobs/a.yml") +
		`:4:5: job "theirs": consul_sd_configs is not supported: its targets will not be discovered`}, messages(c.Warnings))
	require.Equal(t, []string{filepath.Join(dir, "jobs/a.yml"), filepath.Join(dir, "p.yml")}, c.Files())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "jobs/b.yml"), []byte("scrape_configs:\n - job_name: x\n - job_name: own\n"), 0o644))
	_, err = Load(filepath.Join(dir, "p.yml"), LoadOptions{LookupEnv: env(map[string]string{"JOB": "theirs"})})
	require.EqualError(t, err, filepath.Join(dir, "jobs/b.yml")+`:3:14: scrape_configs[1].job_name: found multiple scrape configs with job name "own", first found in `+filepath.Join(dir, "p.yml"))
	require.Contains(t, c.Files(), filepath.Join(dir, "jobs/b.yml"), "a file that came since is watched")
}

func TestWhatIsNotSupportedIsNamed(t *testing.T) {
	c := mustParse(t, `
global:
  query_log_file: q.log
scrape_configs:
  - job_name: a
    ec2_sd_configs:
      - region: x   # with &anchors, [brackets] and "quotes
        not_even: a field
    consul_sd_configs: &c [{server: s}]
    static_configs: [{targets: ["t:1"]}]
  - {job_name: b, nerve_sd_configs: *c, static_configs: [{targets: ["t:2"]}]}
alerting:
  alertmanagers:
    - consul_sd_configs: [{server: s}]
remote_read: [{url: "http://x"}]
tracing: {endpoint: x}
runtime: {gogc: 50}
storage: {tsdb: {stale_series_compaction_threshold: 0.5, chunk_encoding: {floats: xor2}, retention: {percentage: 5}}}
`)
	require.Equal(t, []string{
		`/etc/tocsin/tocsin.yml:6:5: job "a": ec2_sd_configs is not supported: its targets will not be discovered`,
		`/etc/tocsin/tocsin.yml:9:5: job "a": consul_sd_configs is not supported: its targets will not be discovered`,
		`/etc/tocsin/tocsin.yml:11:19: job "b": nerve_sd_configs is not supported: its targets will not be discovered`,
		`/etc/tocsin/tocsin.yml:14:7: consul_sd_configs is not supported: its targets will not be discovered`,
		`/etc/tocsin/tocsin.yml:15:1: remote_read: is not supported: queries see only what this instance stores`,
		`/etc/tocsin/tocsin.yml:16:1: tracing: is not supported: no traces are sent`,
		`/etc/tocsin/tocsin.yml:17:1: runtime: is not supported: use the environment variable GOGC and the flag --log.level`,
		`/etc/tocsin/tocsin.yml:3:3: global.query_log_file: is not supported: queries are not logged`,
		`/etc/tocsin/tocsin.yml:18:102: storage.tsdb.retention.percentage: is not supported: use retention.size`,
		`/etc/tocsin/tocsin.yml:18:18: storage.tsdb.stale_series_compaction_threshold: is not supported and has no effect`,
		`/etc/tocsin/tocsin.yml:18:58: storage.tsdb.chunk_encoding: is not supported and has no effect`,
	}, messages(c.Warnings))
	require.Equal(t, "scrape_configs[0].ec2_sd_configs", c.Warnings[0].Path)
	require.Equal(t, "alerting.alertmanagers[0].consul_sd_configs", c.Warnings[3].Path)
	require.Len(t, c.Prometheus.ScrapeConfigs[0].ServiceDiscoveryConfigs, 1)
	require.Len(t, c.Prometheus.ScrapeConfigs[1].ServiceDiscoveryConfigs, 1)
	require.Empty(t, c.Prometheus.RemoteReadConfigs)
	require.Equal(t, promconfig.TracingConfig{}, c.Prometheus.TracingConfig)
}

func TestDiscoveryByMergeKeyIsNamedToo(t *testing.T) {
	c := mustParse(t, `
scrape_configs:
  - &base
    job_name: a
    consul_sd_configs: [{server: s}]
  - <<: *base
    job_name: b
`)
	require.Equal(t, []string{
		`/etc/tocsin/tocsin.yml:5:5: job "a": consul_sd_configs is not supported: its targets will not be discovered`,
		`/etc/tocsin/tocsin.yml:5:5: job "b": consul_sd_configs is not supported: its targets will not be discovered`,
	}, messages(c.Warnings))
}

func TestOtherWarnings(t *testing.T) {
	t.Setenv("TOCSIN_TEST_SET", "yes")
	c := mustParse(t, `
global:
  external_labels: {a: "${TOCSIN_TEST_SET}", b: $TOCSIN_TEST_NOT_SET, c: "${TOCSIN_TEST_NOT_SET}-x", d: $$5}
tocsin: {listen: ":9909"}
---
more: documents
`)
	require.Equal(t, []string{
		"/etc/tocsin/tocsin.yml:6:1: a second YAML document begins here; only the first is used",
		"/etc/tocsin/tocsin.yml:4:18: tocsin.listen: other machines could reach :9909, and tocsin.web.config_file, which could ask them for a password, is not set: tocsin run refuses to listen there",
		"/etc/tocsin/tocsin.yml:3:74: global.external_labels.c: the environment variable TOCSIN_TEST_NOT_SET is empty or not set",
	}, messages(c.Warnings))
	require.Equal(t, `{a="yes", b="", c="-x", d="$5"}`, c.Prometheus.GlobalConfig.ExternalLabels.String())
}

func TestExternalURL(t *testing.T) {
	for _, tc := range []struct {
		listen, external string
		tls              bool
		want             string
	}{
		{"127.0.0.1:9909", "", false, "http://127.0.0.1:9909/"},
		{":9909", "", true, "https://localhost:9909/"},
		{"[::]:1", "", false, "http://localhost:1/"},
		{"box:1", "https://x.example/t", false, "https://x.example/t"},
	} {
		u, err := Tocsin{Listen: tc.listen, Web: Web{ExternalURL: tc.external}}.ExternalURL(tc.tls)
		require.NoError(t, err)
		require.Equal(t, tc.want, u.String())
	}
}

func TestListensBeyondLoopback(t *testing.T) {
	for addr, want := range map[string]bool{
		"127.0.0.1:1": false, "localhost:1": false, "[::1]:1": false, "127.1.2.3:1": false,
		":1": true, "0.0.0.0:1": true, "[::]:1": true, "10.0.0.1:1": true, "box.example:1": true,
	} {
		require.Equal(t, want, ListensBeyondLoopback(addr), addr)
	}
}

func TestBytes(t *testing.T) {
	for in, want := range map[string]Bytes{"0": 0, "4096": 4096, "32MiB": 32 * MiB, "1GB": GiB, "1.5KiB": 1536, "2TiB": 2048 * GiB} {
		got, err := ParseBytes(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := ParseBytes(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, in := range []string{"", "x", "-1", "-1KiB", "5 apples", "1kB"} {
		_, err := ParseBytes(in)
		require.Error(t, err, in)
	}
	require.Equal(t, "1536KiB", (1536 * KiB).String())
}
