package explain_test

import (
	"time"

	"github.com/tocsin/tocsin/internal/explain"
)

// group makes a rule file of one group.
func group(rules string) string { return "groups:\n- name: g\n  rules:\n" + rules }

func alerting(expr string) string {
	return group("  - alert: A\n    expr: '" + expr + "'\n")
}

func situations() []situation {
	return append(append(fired(), quiet()...), composed()...)
}

const loads = `
	load{instance="a"} 1x9 5+0.125x30
	load{instance="b"} 1x40
`

const requests = `
	http_requests_total{job="api", instance="1", code="200"} 0+100x40
	http_requests_total{job="api", instance="1", code="500"} 0+1x19 20+50x20
	http_requests_total{job="api", instance="2", code="200"} 0+100x40
	http_requests_total{job="web", instance="3", code="200"} 0+100x40
	owner{job="api", team="core"} 1x40
	owner{job="web", team="site"} 1x40
`

// fired are alerts that are active, or were.
func fired() []situation {
	return []situation{
		{
			name: "threshold", series: loads, after: 10 * time.Minute, alert: "A", says: `A{instance="a", severity="page"} is firing since 2026-03-14 09:05:00Z (5m): 5 > 4.`,
			rules: group("  - alert: A\n    expr: load > 4\n    labels: {severity: page}\n    annotations: {summary: 'Load of {{ $labels.instance }} is {{ $value }}'}\n"),
		},
		{
			name: "for", series: loads, after: 10 * time.Minute, alert: "A", match: `{instance="a"}`, says: `A{instance="a"} is firing since 2026-03-14 09:07:00Z (3m): 5.5 > 4.`,
			rules: group("  - alert: A\n    expr: load > 4\n    for: 2m\n"),
		},
		{
			name: "pending", series: loads, after: 6 * time.Minute, alert: "A", code: explain.Waiting,
			says:  `A{instance="a"} is pending, not firing: its condition holds since 2026-03-14 09:05:00Z: 5.25 > 4; it needs 5m and fires at 2026-03-14 09:10:00Z if it goes on.`,
			rules: group("  - alert: A\n    expr: load > 4\n    for: 5m\n"),
		},
		{
			name: "ratio", series: requests, after: 15 * time.Minute, alert: "A", says: `A{job="api"} is firing`,
			rules: group("  - alert: A\n" + `    expr: sum by (job) (rate(http_requests_total{code=~"5.."}[2m])) / on (job) sum by (job) (rate(http_requests_total[2m])) > 0.1` + "\n"),
		},
		{
			name: "ratio-group-left", series: requests, after: 15 * time.Minute, alert: "A", match: `{team="core"}`, says: `A{instance="1", job="api", team="core"} is firing`,
			rules: group("  - alert: A\n" + `    expr: sum by (job, instance) (rate(http_requests_total{code=~"5.."}[2m])) / ignoring (team) group_left (team) (sum by (job, instance) (rate(http_requests_total[2m])) * on (job) group_left (team) owner) > 0.1` + "\n"),
		},
		{
			name: "past", series: "load{instance=\"a\"} 1x9 5x9 1x40\n", after: 20 * time.Minute, alert: "A",
			says: `A{instance="a"} is not active; it last fired from 2026-03-14 09:05:00Z to 2026-03-14 09:10:00Z (5m): 5 > 4. Now: comparison is false: value 1 is not > 4 for load{instance="a"}.`, code: explain.ComparisonFalse,
			rules: alerting("load > 4"),
		},
		{
			name: "past-at", series: "load{instance=\"a\"} 1x9 5x9 1x40\n", after: 20 * time.Minute, at: 7 * time.Minute, alert: "A",
			says:  `A{instance="a"} was firing at 2026-03-14 09:07:00Z, since 2026-03-14 09:05:00Z: 5 > 4.`,
			rules: alerting("load > 4"),
		},
		{
			name: "hysteresis", series: "load{instance=\"a\"} 1x9 5x9 3x40\n", after: 15 * time.Minute, alert: "A", says: "hysteresis holds it",
			rules: "rules:\n- name: A\n  metric: load\n  condition: value > 4\n  clear: value < 2\n",
		},
		{
			name: "missing-nodata", series: "load{instance=\"a\"} 1x9 5x9 stale _x30\n", after: 15 * time.Minute, alert: "A", says: "on_missing: nodata",
			rules: "rules:\n- name: A\n  metric: load\n  condition: value > 4\n  on_missing: nodata\n",
		},
		{
			name: "thresholds-table", series: loads, after: 10 * time.Minute, alert: "A", says: "its threshold comes from a table: > 5.5",
			rules: "rules:\n- name: A\n  metric: load\n  condition: value > 4\n  thresholds:\n  - {match: '{instance=\"a\"}', value: 5.5}\n",
		},
		{
			name: "absent", series: loads, after: 2 * time.Minute, alert: "A", says: `A{job="nothing"} is firing`,
			rules: alerting(`absent(up{job="nothing"})`),
		},
		{
			name: "always", series: loads, after: 2 * time.Minute, alert: "A", says: `A is firing`,
			rules: alerting(`vector(1)`),
		},
		{
			name: "subquery", series: loads, after: 10 * time.Minute, alert: "A", says: `A{instance="a"} is firing`,
			rules: alerting(`max_over_time((load * 2)[3m:1m] offset 1m) > 8`),
		},
		{
			name: "native-histogram", series: `
				rpc{job="a"} {{schema:0 count:10 sum:20 buckets:[1 2 3 4]}}x20
			`, after: 5 * time.Minute, alert: "A", says: `A{job="a"} is firing`,
			rules: alerting(`histogram_quantile(0.9, rpc) > 1`),
		},
		{
			name: "at-modifier", series: loads, after: 10 * time.Minute, alert: "A", says: `A{instance="a"} is firing`,
			rules: alerting(`load - load @ 1773478800 > 3`),
		},
	}
}

// quiet are alerts that do not fire, for reasons that lie with one selector or one comparison.
func quiet() []situation {
	return []situation{
		{
			name: "comparison-false", series: loads, after: 10 * time.Minute, alert: "A", match: `{instance="b"}`, code: explain.ComparisonFalse,
			says: `A{instance="b"} is not firing: comparison is false: value 1 is not > 4 for load{instance="b"}.`, rules: alerting("load > 4"),
		},
		{
			name: "closest", series: loads, after: 10 * time.Minute, alert: "A", code: explain.ComparisonFalse,
			says: `value 6.25 is not > 10 for load{instance="a"}; it is the closest of 2`, rules: alerting("load > 10"),
		},
		{
			name: "scalar-left", series: loads, after: 10 * time.Minute, alert: "A", match: `{instance="b"}`, code: explain.ComparisonFalse,
			says: `value 10 is not < 1 for load{instance="b"}`, rules: alerting("10 < load"),
		},
		{
			name: "never-seen", series: loads, after: 10 * time.Minute, alert: "A", code: explain.NeverSeen,
			says: `A is not firing: metric laod never seen: no sample of it since 2026-03-14 09:00:00Z, when the history begins.`, rules: alerting("rate(laod[5m]) > 4"),
		},
		{
			name: "empty-history", after: 10 * time.Minute, alert: "A", code: explain.NeverSeen, says: "the history is empty", rules: alerting("laod > 4"),
		},
		{
			name: "wrong-value", series: loads, after: 10 * time.Minute, alert: "A", code: explain.NoSuchSeries,
			says: `metric load is known, but no series of it has instance=~"c|d": instance is "a", "b"`, rules: alerting(`load{instance=~"c|d"} > 4`),
		},
		{
			name: "wrong-label", series: loads, after: 10 * time.Minute, alert: "A", code: explain.NoSuchSeries,
			says: `no series of it has zone="x": they have no label zone`, rules: alerting(`load{zone="x"} > 4`),
		},
		{
			name: "asked-value", series: loads, after: 10 * time.Minute, alert: "A", match: `{instance="z"}`, code: explain.NoSuchSeries,
			says: `metric load is known, but no series of it has instance="z" (which the question or another part of the rule asks for): instance is "a", "b"`, rules: alerting(`load > 4`),
		},
		{
			name: "combination", series: "m{a=\"1\", b=\"1\"} 1x20\nm{a=\"2\", b=\"2\"} 1x20\n", after: 5 * time.Minute, alert: "A", code: explain.NoSuchSeries,
			says: `metric m is known, but no series of it has all of {a="1", b="2"}: without a="1", 1 series would match (a is "2"); without b="2", 1 series would match (b is "1")`, rules: alerting(`m{a="1", b="2"} > 0`),
		},
		{
			name: "contradiction", series: loads, after: 5 * time.Minute, alert: "A", match: `{instance="b"}`, code: explain.NoSuchSeries,
			says: `the selector load{instance="a"} takes only series with instance="a", so that instance="b" is not among them`, rules: alerting(`load{instance="a"} > 9`),
		},
		{
			name: "stale-marker", series: "load{instance=\"a\"} 7x9 stale _x30\n", after: 10 * time.Minute, at: 10 * time.Minute, alert: "A", whyNot: true, code: explain.Stale,
			says: `series went stale at 2026-03-14 09:05:00Z`, rules: alerting(`load > 4`),
		},
		{
			name: "stale-lookback", series: "load{instance=\"a\"} 3x9 _x60\n", after: 20 * time.Minute, alert: "A", code: explain.Stale,
			says: `series went stale at 2026-03-14 09:09:30Z: the last sample of load{instance="a"}, 3, came at 2026-03-14 09:04:30Z, 15m30s before 2026-03-14 09:20:00Z, and a selector looks back 5m`, rules: alerting(`load > 4`),
		},
		{
			name: "stale-range", series: "c{instance=\"a\"} 0+3x9 _x60\n", after: 20 * time.Minute, alert: "A", code: explain.Stale,
			says: `and a selector looks back 2m`, rules: alerting(`rate(c[2m]) > 4`),
		},
		{
			name: "one-sample", series: "c{instance=\"a\"} _x9 3\n", after: 5 * time.Minute, alert: "A", code: explain.TooFewSamples,
			says: `rate needs two samples, and c{instance="a"} has one in the 2m up to 2026-03-14 09:05:00Z`, rules: alerting(`rate(c[2m]) > 0`),
		},
		{
			name: "rule-label", series: loads, after: 5 * time.Minute, alert: "A", match: `{severity="page"}`, code: explain.RuleLabel,
			says:  `the rule gives its alerts the label severity="ticket", so that none of them has severity="page"`,
			rules: group("  - alert: A\n    expr: load > 9\n    labels: {severity: ticket}\n"),
		},
		{
			name: "dropped-label", series: requests, after: 5 * time.Minute, alert: "A", match: `{instance="1"}`, code: explain.LabelDropped,
			says: `has no label instance, so that no alert of the rule has it`, rules: alerting(`sum by (job) (rate(http_requests_total[2m])) > 100`),
		},
		{
			name: "error", series: requests, after: 5 * time.Minute, alert: "A", code: explain.Failing,
			says: `rule's evaluation fails: found duplicate series for the match group`, rules: alerting(`owner * on () http_requests_total > 1`),
		},
		{
			name: "error-at", series: requests, after: 5 * time.Minute, at: 2 * time.Minute, alert: "A", code: explain.Failing,
			says: `rule's evaluation fails: found duplicate series for the match group`, rules: alerting(`owner * on () http_requests_total > 1`),
		},
		{
			name: "not-evaluated", series: loads, after: -time.Minute, alert: "A", code: explain.NotEvaluated, says: "rule never evaluated yet", rules: alerting("load > 4"),
		},
		{
			name: "before-first-sample", series: "load _x10 5x10\n", after: 10 * time.Minute, at: time.Minute, alert: "A", code: explain.NeverSeen, says: "metric load never seen before 2026-03-14 09:01:00Z; there are series of it now", rules: alerting("load > 4"),
		},
		{
			name: "extended-quiet", series: "load{instance=\"a\"} 1x40\n", after: 10 * time.Minute, alert: "A", code: explain.ComparisonFalse, says: "value 1 is not > 4",
			rules: "rules:\n- name: A\n  metric: load\n  condition: value > 4\n  clear: value < 2\n  on_missing: hold\n  flap: {transitions: 5, within: 10m}\n",
		},
		{
			name: "other-fires", series: loads, after: 10 * time.Minute, alert: "A", match: `{instance="b"}`, whyNot: true, code: explain.ComparisonFalse, says: "value 1 is not > 4",
			rules: "rules:\n- name: A\n  metric: load\n  condition: value > 4\n  thresholds:\n  - {match: '{instance=\"a\"}', value: 5.5}\n",
		},
	}
}
