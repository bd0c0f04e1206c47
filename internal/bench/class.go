package bench

import "fmt"

// selectors is over how many different selectors the rules of a class are spread. Each leaves another shard out and so
// takes 49 of 50 series; nothing that depends on a selector is shared beyond the rules that have the same one.
const selectors = 10

// Class is a kind of rule with the series it is about.
type Class struct {
	// Name is what reports call the class. One that ends in "_unshared" differs from the class without in that no two
	// rules share more than the samples.
	Name string
	// Shared says, for people, what the rules of the class have in common.
	Shared string

	// family names the series that the class is about; classes of one family have the same.
	family   string
	unshared bool
	shape    func() *shape
	// rule writes the i-th rule; sel is the label matcher that makes its selector.
	rule func(i int, sel string) string
	// everywhere says of a slot that rules select it whatever the matcher.
	everywhere func(slot int) bool
}

// Classes are the classes in the order of reports. A class's unshared variant follows it.
func Classes() []Class {
	return []Class{
		{
			Name: "threshold", family: "threshold", Shared: "rules of one selector share the selector", shape: gaugeShape,
			rule: func(i int, sel string) string {
				return fmt.Sprintf(`bench_temperature_celsius{%s} > %.6f`, sel, line(i, 99.5, 100))
			},
		},
		{
			Name: "rate", family: "rate", Shared: "rules of one selector share the rate", shape: counterShape,
			rule: func(i int, sel string) string {
				return fmt.Sprintf(`rate(bench_requests_total{%s}[5m]) > %.6f`, sel, line(i, 950, 1000))
			},
		},
		{
			Name: "rate_unshared", family: "rate", Shared: "every rule has a range of its own", shape: counterShape, unshared: true,
			rule: func(i int, sel string) string {
				return fmt.Sprintf(`rate(bench_requests_total{%s}[%ds]) > %.6f`, sel, ownRange(i), line(i, 950, 1000))
			},
		},
		{
			Name: "ratio", family: "ratio", Shared: "rules of one selector share the ratio of the sums", shape: errorShape,
			rule: func(i int, sel string) string { return ratioRule(sel, "5m", i) },
		},
		{
			Name: "ratio_unshared", family: "ratio", Shared: "every rule has a range of its own", shape: errorShape, unshared: true,
			rule: func(i int, sel string) string { return ratioRule(sel, fmt.Sprintf("%ds", ownRange(i)), i) },
		},
		{
			Name: "quantile", family: "quantile", Shared: "rules of one selector share the sum of the rates, a tenth of them the quantile", shape: histogramShape,
			rule: func(i int, sel string) string { return quantileRule(sel, "5m", i) },
		},
		{
			Name: "quantile_unshared", family: "quantile", Shared: "every rule has a range of its own", shape: histogramShape, unshared: true,
			rule: func(i int, sel string) string { return quantileRule(sel, fmt.Sprintf("%ds", ownRange(i)), i) },
		},
		{
			Name: "join", family: "join", Shared: "rules of one selector share the match", shape: joinShape,
			everywhere: func(slot int) bool { return slot == 4 },
			rule: func(i int, sel string) string {
				return fmt.Sprintf(`bench_used_bytes{%s} / on (instance) group_left (team) bench_capacity_bytes > %.9f`, sel, line(i, 0.99, 1))
			},
		},
		{
			Name: "join_unshared", family: "join", Shared: "every rule scales its many side by a factor of its own", shape: joinShape, unshared: true,
			everywhere: func(slot int) bool { return slot == 4 },
			rule: func(i int, sel string) string {
				return fmt.Sprintf(`%d * bench_used_bytes{%s} / on (instance) group_left (team) bench_capacity_bytes > %.6f`, i+2, sel, 0.99*float64(i+2))
			},
		},
	}
}

// line is the i-th rule's threshold between low and high: near low for the first rules, another one for each.
func line(i int, low, high float64) float64 { return low + (high-low)*float64(i)/float64(i+1000) }

// ownRange is a range in seconds that no rule near the i-th one has, at most 5 minutes.
func ownRange(i int) int { return 300 - i/selectors%200 }

func ratioRule(sel, window string, i int) string {
	return fmt.Sprintf(`sum by (job, zone) (rate(bench_requests_failed_total{%s}[%s])) / sum by (job, zone) (rate(bench_requests_total{%s}[%s])) > %.9f`,
		sel, window, sel, window, line(i, 0.036, 0.04))
}

func quantileRule(sel, window string, i int) string {
	return fmt.Sprintf(`histogram_quantile(%.2f, sum by (le, job) (rate(bench_duration_seconds_bucket{%s}[%s]))) > %.6f`,
		0.90+0.01*float64(i/selectors%10), sel, window, line(i, 0.8, 1))
}

// rules writes the first n rules of the class.
func (c *Class) rules(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = c.rule(i, fmt.Sprintf(`shard!="%s"`, shardName(i%selectors)))
	}
	return out
}

// selected returns how many series the rules with these numbers read between them, a series that two rules read counted
// twice.
func (c *Class) selected(d *dataset, rules []int) int {
	var bySelector [selectors]int
	for i := range d.series {
		host, slot := i/d.shape.perHost, i%d.shape.perHost
		for k := range bySelector {
			if host%shards != k || c.everywhere != nil && c.everywhere(slot) {
				bySelector[k]++
			}
		}
	}
	n := 0
	for _, i := range rules {
		n += bySelector[i%selectors]
	}
	return n
}

// rulesFor returns how many rules run: those of a variant without sharing have columns of their own each, so that their
// number is bounded.
func (c *Class) rulesFor(rules, series int) int {
	if !c.unshared {
		return rules
	}
	return min(rules, max(10, 5_000_000/max(series, 50_000)))
}

// sample chooses n of the numbers below rules, spread over the selectors.
func sample(n, rules int) []int {
	n = min(n, rules)
	stride := rules / n
	out := make([]int, n)
	for j := range out {
		out[j] = j*stride + j%min(stride, selectors)
	}
	return out
}

func all(rules int) []int { return sample(rules, rules) }
