package web

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/tenant"
)

// fixtureNow is the clock of every fixture; its samples lie in the hour before.
func fixtureNow() time.Time { return time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC) }

func compiler() *plan.Compiler { return plan.NewCompiler(plan.Options{}) }

// newHistory holds an hour of samples, one every 15 s, of a few series.
func newHistory(t testing.TB, now time.Time) *history.Store {
	t.Helper()
	store, err := history.Open(history.Options{Dir: t.TempDir(), Compiler: compiler(), RetentionTime: -1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, store.Close()) })
	app := store.Appender(t.Context())
	for at := now.Add(-time.Hour); !at.After(now); at = at.Add(15 * time.Second) {
		phase := float64(at.Unix()) / 600
		add := func(v float64, ls ...string) {
			_, err := app.Append(0, labels.FromStrings(ls...), at.UnixMilli(), v)
			require.NoError(t, err)
		}
		for i, instance := range []string{"api-1:9100", "api-2:9100", "db-1:9100"} {
			add(1, "__name__", "up", "job", "node", "instance", instance)
			load := 1.6 + float64(i) + math.Sin(phase+float64(i)*1.7)*(0.6+0.3*float64(i))
			add(load, "__name__", "node_load1", "job", "node", "instance", instance)
		}
		add(float64(at.Unix()%100000), "__name__", "http_requests_total", "job", "api", "code", "200")
	}
	require.NoError(t, app.Commit())
	return store
}

// newRule makes a rule; expr must parse.
func newRule(t testing.TB, kind rule.Kind, name, expr string, lbls, annotations labels.Labels) *rule.Rule {
	t.Helper()
	p, err := compiler().Compile(expr)
	require.NoError(t, err)
	return &rule.Rule{Kind: kind, Name: name, Plan: p, Labels: lbls, Annotations: annotations, ID: name + expr}
}

// firing makes an active alert of r.
func firing(r *rule.Rule, state alert.State, value float64, since time.Time, ls ...string) alert.Alert {
	b := labels.NewBuilder(labels.FromStrings(ls...)).Set(labels.AlertName, r.Name)
	r.Labels.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
	a := alert.Alert{State: state, Labels: b.Labels(), Annotations: r.Annotations, Value: value, ActiveAt: since}
	if state == alert.Firing {
		a.FiredAt = since
	}
	return a
}

// evaluated makes the status of a rule that ran at at.
func evaluated(r *rule.Rule, at time.Time, alerts ...alert.Alert) engine.RuleStatus {
	s := engine.RuleStatus{
		Rule: r, Health: engine.HealthGood, LastEvaluation: at, EvaluationTime: 312 * time.Microsecond, Alerts: alerts,
	}
	for _, a := range alerts {
		s.State = max(s.State, a.State)
	}
	return s
}

// newServer makes a ready server of one tenant; change may alter options and tenant first.
func newServer(t testing.TB, change func(*Options, *Tenant)) *Server {
	t.Helper()
	now := fixtureNow()
	reg := prometheus.NewRegistry()
	mine := &Tenant{History: newHistory(t, now)}
	o := Options{
		Compiler: compiler(), Clock: func() time.Time { return now }, Registerer: reg, Gatherer: reg,
		ListenAddress: "127.0.0.1:9909", Build: Build{Version: "0.1.0", Revision: "abc1234"},
		Tenants: map[tenant.ID]*Tenant{tenant.Default: mine},
	}
	if change != nil {
		change(&o, mine)
	}
	s, err := New(o)
	require.NoError(t, err)
	s.SetReady(true)
	return s
}

// ask sends one request to the server's handler; headers are "Name: value".
func ask(t testing.TB, s *Server, method, target string, body string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:9909"+target, strings.NewReader(body))
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		if name == "Host" {
			r.Host = v
			continue
		}
		r.Header.Set(name, v)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w.Result()
}

// get returns the status and the body of a GET.
func get(t testing.TB, s *Server, target string, headers ...string) (int, string) {
	t.Helper()
	return read(t, ask(t, s, http.MethodGet, target, "", headers...))
}

func read(t testing.TB, r *http.Response) (int, string) {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return r.StatusCode, string(b)
}

// busyGroups are rule groups with every state there is.
func busyGroups(t testing.TB, now time.Time) []engine.GroupStatus {
	t.Helper()
	page := labels.FromStrings("severity", "page", "team", "platform")
	ticket := labels.FromStrings("severity", "ticket")
	down := newRule(t, rule.Alerting, "InstanceDown", `up == 0`, page, labels.FromStrings(
		"summary", "db-2:9100 of job node has been down for 5 minutes", "runbook_url", "https://runbooks.example.com/InstanceDown",
		"description", "The last scrape failed with “connection refused”. Replication is unaffected as long as db-1 stays up."))
	down.For = 5 * time.Minute
	disk := newRule(t, rule.Alerting, "FilesystemFillsUp",
		`predict_linear(node_filesystem_avail_bytes{fstype!~"tmpfs|overlay"}[6h], 4 * 3600) < 0 and node_filesystem_avail_bytes / node_filesystem_size_bytes < 0.15`,
		page, labels.FromStrings("summary", "/var/lib/postgresql on db-1:9100 is full within four hours"))
	load := newRule(t, rule.Alerting, "HighLoad", `node_load1 > 3.5`, ticket, labels.FromStrings("summary", "The load of db-1:9100 is above 3.5"))
	load.For, load.Condition = 10*time.Minute, "value > 3.5"
	quiet := newRule(t, rule.Alerting, "ClockSkew", `abs(node_timex_offset_seconds) > 0.05`, ticket, labels.EmptyLabels())
	recorded := newRule(t, rule.Recording, "job:http_requests:rate5m", `sum by (job) (rate(http_requests_total[5m]))`, labels.EmptyLabels(), labels.EmptyLabels())
	broken := newRule(t, rule.Recording, "instance:cpu:ratio", `node_cpu_seconds_total / on (instance) node_cpus`, labels.EmptyLabels(), labels.EmptyLabels())
	fresh := newRule(t, rule.Alerting, "JustLoaded", `vector(1)`, ticket, labels.EmptyLabels())

	held := firing(load, alert.Firing, 3.2, now.Add(-40*time.Minute), "instance", "api-2:9100", "job", "node")
	held.KeepFiringSince = now.Add(-time.Minute)
	resolved := firing(load, alert.Inactive, 1, now.Add(-time.Hour), "instance", "gone:9100")
	resolved.ResolvedAt = now.Add(-10 * time.Minute)
	failed := evaluated(broken, now.Add(-4*time.Second))
	failed.Health, failed.LastError = engine.HealthBad, "found duplicate series for the match group {instance=\"db-1:9100\"} on the right hand-side of the operation"
	group := func(file, name string, rules ...engine.RuleStatus) engine.GroupStatus {
		return engine.GroupStatus{
			File: file, Name: name, Interval: 15 * time.Second, LastEvaluation: now.Add(-4 * time.Second),
			EvaluationTime: 1800 * time.Microsecond, Rules: rules,
		}
	}
	at := now.Add(-4 * time.Second)
	return []engine.GroupStatus{
		group("/etc/tocsin/rules/node.yml", "node",
			evaluated(down, at, firing(down, alert.Firing, 0, now.Add(-7*time.Minute), "instance", "db-2:9100", "job", "node")),
			evaluated(disk, at, firing(disk, alert.Firing, -18253611008, now.Add(-95*time.Second),
				"instance", "db-1:9100", "job", "node", "mountpoint", "/var/lib/postgresql", "device", "/dev/nvme0n1p2", "fstype", "ext4")),
			evaluated(quiet, at)),
		group("/etc/tocsin/rules/api.yml", "api", evaluated(recorded, at), failed,
			evaluated(load, at, firing(load, alert.Pending, 4.1837264, now.Add(-3*time.Minute), "instance", "db-1:9100", "job", "node"), held, resolved)),
		{File: "/etc/tocsin/rules/new.yml", Name: "fresh", Interval: time.Minute, Rules: []engine.RuleStatus{{Rule: fresh, Health: engine.HealthUnknown}}},
	}
}

// manyGroups has n firing alerts of one rule.
func manyGroups(t testing.TB, now time.Time, n int) []engine.GroupStatus {
	t.Helper()
	r := newRule(t, rule.Alerting, "Many", `up == 0`, labels.EmptyLabels(), labels.EmptyLabels())
	s := evaluated(r, now)
	for i := range n {
		s.Alerts = append(s.Alerts, firing(r, alert.Firing, float64(i), now, "instance", strconv.Itoa(i)))
	}
	s.State = alert.Firing
	return []engine.GroupStatus{{File: "f", Name: "g", Interval: time.Second, Rules: []engine.RuleStatus{s}}}
}

// scrapeManager really scrapes, once a second; pools map a job to host:port addresses. Nothing need listen there.
func scrapeManager(t testing.TB, db *tsdb.DB, pools map[string][]string) *scrape.Manager {
	t.Helper()
	m, err := scrape.NewManager(&scrape.Options{DiscoveryReloadInterval: model.Duration(10 * time.Millisecond)},
		slog.New(slog.DiscardHandler), nil, nil, db, prometheus.NewRegistry())
	require.NoError(t, err)
	text := "global: {scrape_interval: 1s, scrape_timeout: 1s}\nscrape_configs:\n"
	groups := map[string][]*targetgroup.Group{}
	for job, addresses := range pools {
		text += "- job_name: " + job + "\n"
		g := &targetgroup.Group{Source: job, Labels: model.LabelSet{"zone": "fra-1"}}
		for _, a := range addresses {
			g.Targets = append(g.Targets, model.LabelSet{model.AddressLabel: model.LabelValue(a)})
		}
		groups[job] = []*targetgroup.Group{g}
	}
	cfg, err := promconfig.Load(text, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	require.NoError(t, m.ApplyConfig(cfg))
	sets := make(chan map[string][]*targetgroup.Group, 1)
	sets <- groups
	done := make(chan struct{})
	go func() { defer close(done); _ = m.Run(sets) }()
	t.Cleanup(func() { m.Stop(); <-done })
	return m
}
