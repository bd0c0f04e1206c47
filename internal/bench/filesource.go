package bench

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// fileSeries is how many series are made up for each selector of a rule file.
const fileSeries = 200

// fileSource is series that the selectors of real rules select. Labels that a selector does not ask for are those that
// Kubernetes and node_exporter give, the same for all metrics, so that rules find matches.
type fileSource struct {
	*dataset
	sets []labels.Labels
	// byName are the series of each metric.
	byName map[string][]int
}

// newFileSource makes up series for what the plans select.
func newFileSource(plans []*plan.Plan, seed uint64) *fileSource {
	f := &fileSource{byName: map[string][]int{}}
	seen := map[string]bool{}
	for _, p := range plans {
		for _, matchers := range p.Selectors() {
			for i := range fileSeries {
				ls, ok := madeUp(matchers, i)
				if key := ls.String(); ok && !seen[key] {
					seen[key] = true
					f.add(ls)
				}
			}
		}
	}
	f.dataset = newDataset(&shape{perHost: 1, next: f.next}, len(f.sets), seed)
	return f
}

func (f *fileSource) add(ls labels.Labels) {
	name := ls.Get(model.MetricNameLabel)
	f.byName[name] = append(f.byName[name], len(f.sets))
	f.sets = append(f.sets, ls)
}

func (f *fileSource) labels(i int) labels.Labels { return f.sets[i] }

// next makes counters of what is called like one, gauges of the rest.
func (f *fileSource) next(d *dataset, i, _ int, v float64) float64 {
	name := f.sets[i].Get(model.MetricNameLabel)
	switch {
	case strings.HasSuffix(name, "_bucket"):
		// The same increase for all buckets of a host and more for higher bounds: cumulative, as buckets are.
		bound, err := strconv.ParseFloat(f.sets[i].Get(labels.BucketLabel), 64)
		if err != nil {
			return v
		}
		return v + float64(int(100*bound/(bound+1)))
	case strings.HasSuffix(name, "_total"), strings.HasSuffix(name, "_count"), strings.HasSuffix(name, "_sum"):
		return v + d.increase(i)
	}
	return d.gauge(i)
}

// selected returns how many series the plans' selectors select between them.
func (f *fileSource) selected(plans []*plan.Plan) int {
	n := 0
	for _, p := range plans {
		for _, matchers := range p.Selectors() {
			for _, i := range f.candidates(matchers) {
				if matches(matchers, f.sets[i]) {
					n++
				}
			}
		}
	}
	return n
}

func (f *fileSource) candidates(matchers []*labels.Matcher) []int {
	var out []int
	for name, series := range f.byName {
		for _, m := range matchers {
			if m.Name == model.MetricNameLabel && m.Matches(name) {
				out = append(out, series...)
				break
			}
		}
	}
	return out
}

func matches(matchers []*labels.Matcher, ls labels.Labels) bool {
	for _, m := range matchers {
		if !m.Matches(ls.Get(m.Name)) {
			return false
		}
	}
	return true
}

// madeUp returns the i-th series that the matchers select; false where none could be thought of.
func madeUp(matchers []*labels.Matcher, i int) (labels.Labels, bool) {
	b := labels.NewBuilder(labels.EmptyLabels())
	host := i
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && strings.HasSuffix(m.Value, "_bucket") {
			bounds := bucketBounds()
			host = i / len(bounds)
			b.Set(labels.BucketLabel, strconv.FormatFloat(bounds[i%len(bounds)], 'g', -1, 64))
		}
	}
	b.Set("instance", fmt.Sprintf("10.0.%d.%d:9100", host/250, host%250))
	b.Set("job", "job")
	b.Set("node", fmt.Sprintf("node-%d", host))
	b.Set("namespace", fmt.Sprintf("ns-%d", host%5))
	b.Set("pod", fmt.Sprintf("pod-%d", host))
	b.Set("container", "main")
	b.Set("device", "sda")
	for _, m := range matchers {
		v, ok := suiting(matchers, m, b.Labels().Get(m.Name), i)
		if !ok {
			return labels.EmptyLabels(), false
		}
		b.Set(m.Name, v)
	}
	ls := b.Labels()
	return ls, ls.Has(model.MetricNameLabel)
}

// suiting returns a value of m's label that all matchers of the label take: the one that is there if it will do.
func suiting(matchers []*labels.Matcher, m *labels.Matcher, there string, i int) (string, bool) {
	tries := []string{there}
	switch m.Type {
	case labels.MatchEqual:
		tries = []string{m.Value}
	case labels.MatchRegexp:
		if set := m.SetMatches(); len(set) > 0 {
			tries = append(tries, set[i%len(set)])
		}
		tries = append(tries, m.Prefix(), m.Prefix()+"x", m.Prefix()+"1", "200", "500", "ext4", "x")
		for _, alternative := range strings.Split(strings.Trim(m.Value, "^$()"), "|") {
			tries = append(tries, strings.NewReplacer(".*", "x", ".+", "x", `\`, "").Replace(alternative))
		}
	default:
		tries = append(tries, "", "x")
	}
	for _, v := range tries {
		if takes(matchers, m.Name, v) {
			return v, true
		}
	}
	return "", false
}

func takes(matchers []*labels.Matcher, name, v string) bool {
	for _, m := range matchers {
		if m.Name == name && !m.Matches(v) {
			return false
		}
	}
	return true
}
