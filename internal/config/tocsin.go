package config

import (
	"time"

	"github.com/prometheus/common/model"

	"github.com/tocsin/tocsin/internal/series"
)

// Tocsin is the `tocsin:` section: every setting of ours. A field that the file leaves out, or gives as null, keeps its
// default. Durations are written as in Prometheus (30s, 5m, 1h30m, 15d), sizes as 32MiB. Relative paths in the file
// resolve against the file's own directory.
//
// The comments of these fields are the text of reference.yml.
type Tocsin struct {
	// Address that the HTTP server listens on: host:port. With another host than a loopback address,
	// web.config_file must ask for authentication.
	Listen string `yaml:"listen"`
	// Directory of everything that is kept: samples, alert state, silences, pushed groups. Left out, it is
	// ./tocsin-data in the working directory.
	Data string `yaml:"data"`
	// How long a stop may take: after it, what has not finished is cut off.
	ShutdownTimeout model.Duration `yaml:"shutdown_timeout"`
	// The HTTP server: pages and APIs.
	Web Web `yaml:"web"`
	// The samples that are kept.
	History History `yaml:"history"`
	// Queries, of the API and of rules.
	Query Query `yaml:"query"`
	// What a single request or series may be at most; what is over it is refused with an error that says so.
	Limits Limits `yaml:"limits"`
	// The durable record of alerts: every change of every alert, what people were told, who acknowledged what.
	Ledger Ledger `yaml:"ledger"`
	// Who is told, and how.
	Notifications Notifications `yaml:"notifications"`
	// The Pushgateway protocol.
	Push Push `yaml:"push"`
	// Metrics of this host, under node_exporter's names.
	Host Host `yaml:"host"`
	// Metrics of this process, as the job "tocsin".
	SelfScrape SelfScrape `yaml:"self_scrape"`
	// Rules, their files and their alerts.
	Rules Rules `yaml:"rules"`
	// The compiler that makes machine code of rules' arithmetic. A mode alone may stand here, too: jit: adaptive.
	JIT JIT `yaml:"jit"`
}

// Web holds the HTTP server's settings.
type Web struct {
	// A file in the format of Prometheus's web.config.file (TLS, client certificates, basic authentication).
	// Empty: plain HTTP without authentication.
	ConfigFile string `yaml:"config_file"`
	// URL under which people reach this instance; used in links of notifications. Empty: made from the address that
	// is listened on.
	ExternalURL string `yaml:"external_url"`
	// Regular expression, anchored at both ends, of the origins that browsers may call the API from. Empty: none but
	// this server's own pages.
	CORSOrigin string `yaml:"cors_origin"`
	// What the pages call this instance, in the browser's tab and at their head.
	PageTitle string `yaml:"page_title"`
	// Whether /debug/pprof is served.
	Pprof bool `yaml:"pprof"`
	// Whether the API may delete series, take snapshots and clean tombstones (/api/v1/admin).
	AdminAPI bool `yaml:"admin_api"`
}

// History holds the settings of stored samples.
type History struct {
	// How long samples are kept. 0s: no limit by age. Left out, storage.tsdb.retention applies where it is there: its
	// time, or no limit by age where it names a size alone.
	RetentionTime model.Duration `yaml:"retention_time"`
	// How large the stored blocks may become before the oldest go. 0: no limit by size. Left out,
	// storage.tsdb.retention.size applies where it is set.
	RetentionSize Bytes `yaml:"retention_size"`
	// How much older than the newest sample a sample may be and still be stored. 0s: out-of-order samples are
	// refused. Left out, storage.tsdb.out_of_order_time_window applies where it is set.
	OutOfOrderTimeWindow model.Duration `yaml:"out_of_order_time_window"`
}

// Query holds the limits of queries.
type Query struct {
	// How long a query may run.
	Timeout model.Duration `yaml:"timeout"`
	// How many samples a query may hold in memory.
	MaxSamples int `yaml:"max_samples"`
	// How many queries run at once; further ones wait.
	MaxConcurrency int `yaml:"max_concurrency"`
	// How far back an instant selector looks for a sample.
	LookbackDelta model.Duration `yaml:"lookback_delta"`
	// Whether PromQL's experimental functions are allowed, in queries and in rules.
	ExperimentalFunctions bool `yaml:"experimental_functions"`
}

// Limits holds the bounds of what is taken in.
type Limits struct {
	// Size of a request's body as it is sent.
	BodySize Bytes `yaml:"body_size"`
	// Size of a request's body once it is decompressed.
	DecompressedSize Bytes `yaml:"decompressed_size"`
	// How many labels a series may have, its name included. 0: 128. -1: no limit.
	LabelsPerSeries int `yaml:"labels_per_series"`
	// How many bytes a label's name may have. 0: 1024. -1: no limit.
	LabelNameLength int `yaml:"label_name_length"`
	// How many bytes a label's value may have. 0: 8192. -1: no limit.
	LabelValueLength int `yaml:"label_value_length"`
}

// Series returns the limits of one series' labels, defaults filled in.
func (l Limits) Series() series.Limits {
	return series.Limits{Labels: l.LabelsPerSeries, NameLength: l.LabelNameLength, ValueLength: l.LabelValueLength}.WithDefaults()
}

// Ledger holds the settings of the durable record of alerts.
type Ledger struct {
	// How long changes of alerts and attempts to tell of them are kept. 0s: no limit by age. What is active, waits or is
	// acknowledged now is kept in any case.
	Retention model.Duration `yaml:"retention"`
	// How large the record may grow before the oldest changes go. 0: no limit by size.
	MaxSize Bytes `yaml:"max_size"`
}

// Notifications holds the settings of delivery.
type Notifications struct {
	// An Alertmanager configuration file, used as it is. Empty: a built-in one, with group_wait: 0s and nobody to tell
	// beyond the console and the API.
	AlertmanagerConfig string `yaml:"alertmanager_config"`
	// How long the record of what was sent, and of silences that ended, is kept.
	Retention model.Duration `yaml:"retention"`
	// How long a message is tried that its receiver does not take. Then it is a dead letter: kept and shown, and sent
	// when a person says so.
	DeadLetterAfter model.Duration `yaml:"dead_letter_after"`
	// A receiver of the Alertmanager configuration that is sent, once, what another receiver refuses or does not take in
	// time. Routes need not use it. Empty: none.
	FallbackReceiver string `yaml:"fallback_receiver"`
	// How long a message waits before it is sent to the fallback receiver as well. 0s: until it is a dead letter.
	FallbackAfter model.Duration `yaml:"fallback_after"`
	// The shortest time between two attempts to deliver a message. Each failure doubles it, up to max_backoff.
	MinBackoff model.Duration `yaml:"min_backoff"`
	// The longest time between two attempts to deliver a message, unless the receiver asks for a longer one.
	MaxBackoff model.Duration `yaml:"max_backoff"`
	// How many messages may wait to be delivered. What comes beyond is not lost: it is tried anew with each
	// group_interval, as in Alertmanager.
	MaxWaiting int `yaml:"max_waiting"`
}

// Push holds the settings of pushed groups.
type Push struct {
	// How often the last pushed values of a group are stated anew, as Prometheus would by scraping a Pushgateway.
	Interval model.Duration `yaml:"interval"`
	// How long after its last push a group goes stale. 0s: never, as in Pushgateway.
	TTL model.Duration `yaml:"ttl"`
}

// Host holds the settings of this host's own metrics. Enabled is never nil in a Config.
type Host struct {
	// Whether this host's metrics are collected. Left out: true when running without a configuration file, false with
	// one.
	Enabled *bool `yaml:"enabled"`
	// How often.
	Interval model.Duration `yaml:"interval"`
	// Names of node_exporter's collectors to run. Empty: those that node_exporter runs by default.
	Collectors []string `yaml:"collectors"`
}

// SelfScrape holds the settings of this process's own metrics.
type SelfScrape struct {
	// Whether this process's metrics are stored.
	Enabled bool `yaml:"enabled"`
	// How often.
	Interval model.Duration `yaml:"interval"`
}

// Rules holds the settings that are the same for all rules. The files are named by the top-level rule_files. Builtin is
// never nil in a Config.
type Rules struct {
	// Whether the built-in host rules are loaded. Left out: true when running without a configuration file, false with
	// one.
	Builtin *bool `yaml:"builtin"`
	// How often files are looked at for changes, beside the notices of the file system, which not every file system
	// gives. 0s: never.
	ReloadInterval model.Duration `yaml:"reload_interval"`
	// How long an alert that still fires waits before it is sent again.
	ResendDelay model.Duration `yaml:"resend_delay"`
	// How long an outage may last for the pending time of alerts to survive it.
	ForOutageTolerance model.Duration `yaml:"for_outage_tolerance"`
	// How long an alert that was pending before a restart stays pending at least after it.
	ForGracePeriod model.Duration `yaml:"for_grace_period"`
	// How long after a restart an alert that was active before stays what it was while its series are not back yet. It
	// is never less than the first two evaluations.
	RestartGracePeriod model.Duration `yaml:"restart_grace_period"`
	// When rules are evaluated. stream: whenever a sample arrives that one of them reads, and when Prometheus would.
	// strict: exactly when Prometheus would, and at no other time.
	Evaluation Evaluation `yaml:"evaluation"`
	// How long an evaluation on arrival waits, from the first sample of a timestamp on, for the rule's other inputs to
	// reach that timestamp. 0s: it does not wait.
	Settle model.Duration `yaml:"settle"`
	// Groups for which evaluation or settle is otherwise, such as [{groups: billing-*, evaluation: strict}]. The first
	// entry that fits decides. Its fields:
	Overrides []RulesOverride `yaml:"overrides"`
	// The recent samples that rules are evaluated over.
	Windows Windows `yaml:"windows"`
}

// RulesOverride is an entry of rules.overrides. What it leaves out stands as Rules say.
type RulesOverride struct {
	// Pattern of the rule file's name, such as latency-*.yml. One with a / is of the whole path. Left out: every file.
	Files string `yaml:"files"`
	// Pattern of the group's name. Left out: every group.
	Groups string `yaml:"groups"`
	// strict or stream. Left out: as above.
	Evaluation Evaluation `yaml:"evaluation"`
	// How long to wait. Left out: as above.
	Settle *model.Duration `yaml:"settle"`
}

// Windows holds the settings of the recent samples that rules are evaluated over.
type Windows struct {
	// How much memory they may take. A rule whose samples do not fit any more is evaluated over stored samples, which
	// is slower.
	MaxSize Bytes `yaml:"max_size"`
}

// JIT holds the settings of the compiler that makes machine code of rules' arithmetic.
type JIT struct {
	// eager: all of it is compiled when rules are loaded. adaptive: what has cost hot_after without; what was not needed
	// for cold_after is given back. off: nothing; rules are evaluated all the same, several times slower.
	Mode JITMode `yaml:"mode"`
	// Whether readiness waits until everything is compiled and has run once.
	Warmup bool `yaml:"warmup"`
	// Processors that the compiler may use, such as [0, 1]. Empty: all that the process may. Linux only.
	CompileCPUs []int `yaml:"compile_cpus"`
	// The compiler's priority, from -20 to 19: a higher number leaves others the processor. Linux only.
	CompileNice int `yaml:"compile_nice"`
	// How much memory machine code may take. What does not fit is evaluated without.
	MaxSize Bytes `yaml:"max_size"`
	// adaptive: what evaluating a piece of arithmetic must have cost before it is compiled.
	HotAfter model.Duration `yaml:"hot_after"`
	// adaptive: how long machine code is kept that nobody needs.
	ColdAfter model.Duration `yaml:"cold_after"`
	// Whether Linux perf can name the machine code: it is listed in /tmp/perf-PID.map.
	PerfMap bool `yaml:"perf_map"`
}

// DefaultTocsin returns the defaults of the `tocsin:` section. The two fields whose default depends on whether there is a file
// (host.enabled, rules.builtin) are nil here.
func DefaultTocsin() Tocsin {
	d := func(v time.Duration) model.Duration { return model.Duration(v) }
	return Tocsin{
		Listen:          "127.0.0.1:9909",
		Data:            "./tocsin-data",
		ShutdownTimeout: d(30 * time.Second),
		Web:             Web{PageTitle: "tocsin"},
		History:         History{RetentionTime: d(15 * 24 * time.Hour)},
		Query: Query{
			Timeout:        d(2 * time.Minute),
			MaxSamples:     50_000_000,
			MaxConcurrency: 20,
			LookbackDelta:  d(5 * time.Minute),
		},
		Limits: Limits{BodySize: 32 * MiB, DecompressedSize: 128 * MiB},
		Ledger: Ledger{Retention: d(90 * 24 * time.Hour), MaxSize: 1 * GiB},
		Notifications: Notifications{
			Retention: d(120 * time.Hour), DeadLetterAfter: d(24 * time.Hour),
			MinBackoff: d(500 * time.Millisecond), MaxBackoff: d(time.Minute), MaxWaiting: 10_000,
		},
		Push:       Push{Interval: d(15 * time.Second)},
		Host:       Host{Interval: d(15 * time.Second)},
		SelfScrape: SelfScrape{Enabled: true, Interval: d(15 * time.Second)},
		Rules: Rules{
			ReloadInterval:     d(30 * time.Second),
			ResendDelay:        d(time.Minute),
			ForOutageTolerance: d(time.Hour),
			ForGracePeriod:     d(10 * time.Minute),
			RestartGracePeriod: d(30 * time.Second),
			Evaluation:         Stream,
			Settle:             d(50 * time.Millisecond),
			Windows:            Windows{MaxSize: 2 * GiB},
		},
		JIT: JIT{
			Mode: JITEager, Warmup: true, MaxSize: 64 * MiB, HotAfter: d(10 * time.Millisecond), ColdAfter: d(10 * time.Minute),
		},
	}
}
