package history

import (
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/metadata"
)

// maxVariants is how many different descriptions of one metric family are remembered.
const maxVariants = 8

// familyMetadata is one description of one metric family.
type familyMetadata struct {
	metadata.Metadata
	family string
}

// metadataCache remembers type, help and unit of pushed metrics: the database cannot be asked for them, and only
// scraped ones can be found with their targets. It is bounded and holds what came since the start.
type metadataCache struct {
	mu       sync.RWMutex
	families map[string][]metadata.Metadata
	limit    int
}

func newMetadataCache(limit int) *metadataCache {
	return &metadataCache{families: map[string][]metadata.Metadata{}, limit: limit}
}

// observe remembers m and returns it as it is kept: with strings that outlive the call. It reports false where a limit
// is reached.
func (c *metadataCache) observe(family string, m metadata.Metadata) (familyMetadata, bool) {
	// Upstream's scraper spells the families of its own report samples with a trailing \xff, which is not UTF-8; they
	// have no metadata in its API either.
	if family == "" || !utf8.ValidString(family) {
		return familyMetadata{}, true
	}
	c.mu.RLock()
	known := slices.Contains(c.families[family], m)
	c.mu.RUnlock()
	kept := familyMetadata{family: strings.Clone(family), Metadata: metadata.Metadata{
		Type: model.MetricType(strings.Clone(string(m.Type))), Unit: strings.Clone(m.Unit), Help: strings.Clone(m.Help),
	}}
	if known {
		return kept, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	variants, old := c.families[family]
	switch {
	case slices.Contains(variants, m):
		return kept, true
	case !old && len(c.families) >= c.limit, len(variants) >= maxVariants:
		return familyMetadata{}, false
	}
	c.families[kept.family] = append(variants, kept.Metadata)
	return kept, true
}

// Metadata returns what is known of metric families that were pushed (remote write, OTLP, push gateway), by family,
// every different description once, the oldest first. The caller owns the map.
func (s *Store) Metadata() map[string][]metadata.Metadata {
	s.metadata.mu.RLock()
	defer s.metadata.mu.RUnlock()
	out := make(map[string][]metadata.Metadata, len(s.metadata.families))
	for family, variants := range s.metadata.families {
		out[family] = slices.Clone(variants)
	}
	return out
}

// Describe remembers a metric family's metadata where a protocol sends it apart from samples (remote write 1.0).
func (s *Store) Describe(family string, m metadata.Metadata) {
	if m.IsEmpty() {
		return
	}
	if _, ok := s.metadata.observe(family, m); !ok {
		s.metrics.metadataDropped.Inc()
	}
}

// familyOf guesses the family of a series from its name and type, for writers that do not say.
func familyOf(name string, t model.MetricType) string {
	var suffixes []string
	switch t {
	case model.MetricTypeHistogram, model.MetricTypeGaugeHistogram:
		suffixes = []string{"_bucket", "_count", "_sum"}
	case model.MetricTypeSummary:
		suffixes = []string{"_count", "_sum"}
	}
	for _, suffix := range suffixes {
		if base, ok := strings.CutSuffix(name, suffix); ok && base != "" {
			return base
		}
	}
	return name
}
