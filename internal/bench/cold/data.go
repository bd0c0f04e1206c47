package cold

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/plan"
)

// data makes up series and their samples, one step at a time: gauges between 0 and 100 that keep near a level of their
// own, and counters. The same seed gives the same samples.
type data struct {
	sets []labels.Labels
	// grows is by how much each counter grows at most in a step, 0 for gauges.
	grows []float64
	cur   []float64
	step  uint64
	seed  uint64
}

// data returns the profile's series. plans are its rules.
func (p Profile) data(plans []*plan.Plan, seed uint64) *data {
	d := &data{seed: seed}
	switch p.Name {
	case Simple:
		names := [3]string{"cpu_usage", "memory_usage", "disk_io"}
		for i := range p.Series {
			d.gauge(names[i%3], i/3)
		}
	case Many:
		for i := range p.Series {
			d.gauge(metricName(i/perMetric), i%perMetric)
		}
	default:
		d.selectedBy(plans, p.Series)
	}
	return d
}

func (d *data) gauge(name string, host int) {
	d.add(labels.FromStrings(model.MetricNameLabel, name, "instance", fmt.Sprintf("host-%03d:9100", host), "job", "node"), 0)
}

func (d *data) add(ls labels.Labels, grows float64) {
	d.sets, d.grows, d.cur = append(d.sets, ls), append(d.grows, grows), append(d.cur, 0)
}

func (d *data) count() int { return len(d.sets) }

// value makes the series' sample of the current step; it is called once a series and step.
func (d *data) value(i int) float64 {
	if d.grows[i] > 0 {
		d.cur[i] += math.Floor(d.grows[i] * (0.5 + 0.5*d.unit(uint64(i)^d.step<<32, 3)))
		return d.cur[i]
	}
	return math.Round(100*(98*d.unit(uint64(i), 1)+2*d.unit(uint64(i)^d.step<<32, 2))) / 100
}

// unit is a number in [0,1) that depends on a and b alone.
func (d *data) unit(a, b uint64) float64 { return float64(mix(mix(a+d.seed)+b)>>11) / (1 << 53) }

// mix is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// selectedBy makes up about so many series for the plans' selectors, the same number for each. What a selector does not
// ask for is the same for all, so that rules find matches.
func (d *data) selectedBy(plans []*plan.Plan, series int) {
	var selectors [][]*labels.Matcher
	known := map[string]bool{}
	for _, p := range plans {
		for _, s := range p.Selectors() {
			if key := fmt.Sprint(s); !known[key] {
				known[key] = true
				selectors = append(selectors, s)
			}
		}
	}
	if len(selectors) == 0 {
		return
	}
	each := max(1, series/len(selectors))
	seen := map[string]bool{}
	for _, s := range selectors {
		for i := range each {
			ls, grows, ok := madeUp(s, i)
			if key := ls.String(); ok && !seen[key] {
				seen[key] = true
				d.add(ls, grows)
			}
		}
	}
}

// madeUp returns the i-th series that the matchers select, with how fast it grows; false where none could be thought of.
func madeUp(matchers []*labels.Matcher, i int) (labels.Labels, float64, bool) {
	b := labels.NewBuilder(labels.EmptyLabels())
	bounds := [...]float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10, math.Inf(1)}
	host, bucket := i, -1
	for _, m := range matchers {
		if m.Name == model.MetricNameLabel && strings.HasSuffix(m.Value, "_bucket") {
			host, bucket = i/len(bounds), i%len(bounds)
			b.Set(labels.BucketLabel, strconv.FormatFloat(bounds[bucket], 'g', -1, 64))
		}
	}
	b.Set("instance", fmt.Sprintf("host-%03d:9100", host))
	b.Set("node", fmt.Sprintf("node-%d", host))
	b.Set("namespace", fmt.Sprintf("ns-%d", host%5))
	b.Set("pod", fmt.Sprintf("pod-%d", host))
	b.Set("job", "node")
	b.Set("container", "main")
	b.Set("device", "sda")
	for _, m := range matchers {
		v, ok := suiting(matchers, m, b.Labels().Get(m.Name), i)
		if !ok {
			return labels.EmptyLabels(), 0, false
		}
		b.Set(m.Name, v)
	}
	ls := b.Labels()
	name := ls.Get(model.MetricNameLabel)
	grows := 0.0
	switch {
	case bucket >= 0:
		grows = 10 * float64(bucket+1)
	case strings.HasSuffix(name, "_total"), strings.HasSuffix(name, "_count"), strings.HasSuffix(name, "_sum"):
		grows = 100
	}
	return ls, grows, name != ""
}

// suiting returns a value of m's label that all matchers of that label take: the one that is there if it will do.
func suiting(matchers []*labels.Matcher, m *labels.Matcher, there string, i int) (string, bool) {
	tries := []string{there}
	switch m.Type {
	case labels.MatchEqual:
		tries = []string{m.Value}
	case labels.MatchRegexp:
		if set := m.SetMatches(); len(set) > 0 {
			tries = append(tries, set[i%len(set)])
		}
		tries = append(tries, m.Prefix(), m.Prefix()+"x", m.Prefix()+"1", "x", "500")
		for _, alternative := range strings.Split(strings.Trim(m.Value, "^$()"), "|") {
			tries = append(tries, strings.NewReplacer(".*", "x", ".+", "x", `\`, "").Replace(alternative))
		}
	default:
		tries = append(tries, "", "x")
	}
	for _, v := range tries {
		taken := true
		for _, other := range matchers {
			taken = taken && (other.Name != m.Name || other.Matches(v))
		}
		if taken {
			return v, true
		}
	}
	return "", false
}
