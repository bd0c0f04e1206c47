package web

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/prometheus/model/metadata"
)

// serveMetadata is GET /api/v1/metadata: what scrape targets say of their metric families, and what arrived by other
// protocols. Parameters are upstream's: limit (families), limit_per_metric, metric.
func (t *Tenant) serveMetadata(w http.ResponseWriter, r *http.Request) {
	limit, err := optionalInt(r, "limit")
	if err != nil {
		badData(w, err)
		return
	}
	perMetric, err := optionalInt(r, "limit_per_metric")
	if err != nil {
		badData(w, err)
		return
	}
	found := t.metadata(r.FormValue("metric"))
	out := map[string][]metadata.Metadata{}
	for _, name := range sortedKeys(found) {
		if limit >= 0 && len(out) >= limit {
			break
		}
		all := found[name]
		if perMetric > 0 && len(all) > perMetric {
			all = all[:perMetric]
		}
		out[name] = all
	}
	answer(w, out)
}

// metadata gathers what is known of one metric family, or of all when metric is empty; each fact once, in a fixed order.
func (t *Tenant) metadata(metric string) map[string][]metadata.Metadata {
	out := map[string][]metadata.Metadata{}
	add := func(name string, m metadata.Metadata) {
		if (metric == "" || metric == name) && !slices.Contains(out[name], m) {
			out[name] = append(out[name], m)
		}
	}
	for _, pool := range scrapeTargets(t.scrape()).TargetsActive() {
		for _, target := range pool {
			for _, m := range target.ListMetadata() {
				add(m.MetricFamily, metadata.Metadata{Type: m.Type, Help: m.Help, Unit: m.Unit})
			}
		}
	}
	for name, all := range t.History.Metadata() {
		for _, m := range all {
			add(name, m)
		}
	}
	for _, all := range out {
		slices.SortFunc(all, func(a, b metadata.Metadata) int {
			return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.Unit, b.Unit), cmp.Compare(a.Help, b.Help))
		})
	}
	return out
}

// optionalInt returns the integer parameter name, -1 without it.
func optionalInt(r *http.Request, name string) (int, error) {
	s := r.FormValue(name)
	if s == "" {
		return -1, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New(name + " must be a number")
	}
	return n, nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
