package explain_test

import (
	"time"

	"github.com/tocsin/tocsin/internal/explain"
)

const fleet = `
	up{job="api", instance="1"} 1x40
	up{job="api", instance="2"} 0x40
	disk{job="api", instance="1"} 95x40
	disk{job="api", instance="2"} 50x40
	disk{job="db", instance="3"} 97x40
	maintenance{instance="1"} 1x40
	limit{job="api"} 99x40
`

// composed are alerts that do not fire, for reasons that lie with how parts go together.
func composed() []situation {
	five := 5 * time.Minute
	return []situation{
		{
			name: "and-false", series: fleet, after: five, alert: "A", match: `{instance="2"}`, code: explain.ComparisonFalse,
			says: `value 50 is not > 90 for disk{instance="2", job="api"}`, rules: alerting(`up == 0 and on (instance) disk > 90`),
		},
		{
			name: "and-left", series: fleet, after: five, alert: "A", match: `{instance="1"}`, code: explain.ComparisonFalse,
			says: `value 1 is not == 0 for up{instance="1", job="api"}`, rules: alerting(`up == 0 and on (instance) disk > 90`),
		},
		{
			name: "unless", series: fleet, after: five, alert: "A", match: `{instance="1"}`, code: explain.Excluded,
			says: `disk{instance="1", job="api"} is there and excluded by unless: its right side has maintenance{instance="1"} = 1`, rules: alerting(`disk > 90 unless on (instance) maintenance`),
		},
		{
			name: "or", series: fleet, after: five, alert: "A", match: `{instance="2"}`, code: explain.ComparisonFalse,
			says: `none of 3 alternatives holds; what comes closest: comparison is false: value 50 is not > 90`, rules: alerting(`disk > 90 or nothing > 1 or up{zone="x"} == 0`),
		},
		{
			name: "bool", series: fleet, after: five, alert: "A", match: `{instance="2"}`, code: explain.ComparisonFalse,
			says: `value 0 is not == 1 for {instance="2", job="api"}`, rules: alerting(`(disk > bool 90) * (up == bool 1) == 1`),
		},
		{
			name: "no-partner", series: fleet, after: five, alert: "A", match: `{job="db"}`, code: explain.NoMatch,
			says: `no match on the other side of >: the left side has disk{instance="3", job="db"} = 97, and the right side, limit, has no job="db", but "api"`, rules: alerting(`disk > on (job) group_left () limit`),
		},
		{
			name: "partner-lacks-label", series: fleet, after: five, alert: "A", match: `{instance="1"}`, code: explain.NoMatch,
			says: `has no label instance`, rules: alerting(`disk > limit`),
		},
		{
			name: "partner-empty", series: fleet, after: five, alert: "A", code: explain.NoMatch,
			says: `is empty: metric limits never seen`, rules: alerting(`disk > on (job) group_left () limits`),
		},
		{
			name: "between-vectors", series: fleet, after: five, alert: "A", match: `{instance="1"}`, code: explain.ComparisonFalse,
			says: `value 95 is not > 99 for disk{instance="1", job="api"}`, rules: alerting(`disk > on (job) group_left () limit`),
		},
		{
			name: "absent-present", series: fleet, after: five, alert: "A", code: explain.Exists,
			says: `absent(up{job="api"}) is empty because 2 series are there: up{instance="1", job="api"} = 1`, rules: alerting(`absent(up{job="api"})`),
		},
		{
			name: "absent-over-time", series: fleet, after: five, alert: "A", code: explain.Exists,
			says: `is empty because 2 series are there`, rules: alerting(`absent_over_time(up{job="api"}[2m])`),
		},
		{
			name: "topk", series: fleet, after: five, alert: "A", match: `{instance="2"}`, code: explain.NotSelected,
			says: `disk{instance="2", job="api"} is not among those that topk selects`, rules: alerting(`topk(1, disk) > 0`),
		},
		{
			name: "label-replace", series: fleet, after: five, alert: "A", match: `{host="host-9"}`, code: explain.NoSuchSeries,
			says: `label_replace makes the label host "host-1", "host-2", "host-3", and none of it is {host="host-9"}`, rules: alerting(`label_replace(disk, "host", "host-$1", "instance", "(.*)") > 99`),
		},
		{
			name: "subquery-quiet", series: fleet, after: five, alert: "A", match: `{instance="9"}`, code: explain.NoSuchSeries,
			says: `no step of the subquery has a value`, rules: alerting(`max_over_time(disk[2m:30s]) > 99`),
		},
		{
			name: "native-histogram-compared", series: `rpc{job="a"} {{schema:0 count:10 sum:20 buckets:[1 2 3 4]}}x20`, after: five, alert: "A", code: explain.ComparisonFalse,
			says: `a native histogram cannot be compared by >`, rules: alerting(`rpc > 1`),
		},
		{
			name: "quantile-without-le", series: fleet, after: five, alert: "A", match: `{instance="1"}`, code: explain.NothingReturned,
			says: `has neither a label le nor native histograms`, rules: alerting(`histogram_quantile(0.9, disk) > 1`),
		},
		{
			name: "nan", series: "m{a=\"1\"} 0x20\n", after: five, alert: "A", code: explain.ComparisonFalse,
			says: `value NaN is not > 0.5 for {a="1"} (a comparison with NaN never holds)`, rules: alerting(`m / m > 0.5`),
		},
		{
			name: "range-string", series: fleet, after: five, alert: "A", code: explain.Failing, says: "only an instant vector or a scalar can be a rule", rules: alerting(`disk[5m]`),
		},
	}
}
