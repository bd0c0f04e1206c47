package scrape

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/history"
)

// corpus is where real payloads lie beside a checkout.
const corpus = "../../../../shared/corpora/expositions"

// payload is one file of the corpus and the target that serves it.
type payload struct {
	file, contentType string
	body              []byte
	target            *target
}

func payloads(t *testing.T) []payload {
	t.Helper()
	manifest, err := os.ReadFile(filepath.Join(corpus, "MANIFEST.tsv"))
	if err != nil {
		t.Skipf("NO CORPUS, NOTHING TESTED: %s", err)
	}
	lines := strings.Split(strings.TrimSpace(string(manifest)), "\n")
	header := strings.Split(lines[0], "\t")
	var out []payload
	for _, line := range lines[1:] {
		row := map[string]string{}
		for i, field := range strings.Split(line, "\t") {
			row[header[i]] = field
		}
		p := payload{file: row["file"], contentType: textType}
		if row["format"] == "openmetrics" {
			p.contentType = openMetricsType
		}
		p.body, err = os.ReadFile(filepath.Join(corpus, p.file))
		require.NoError(t, err)
		p.target = newTarget(t, p.contentType, string(p.body))
		out = append(out, p)
	}
	require.NotEmpty(t, out)
	return out
}

// TestRealPayloadsAreScrapedWhole serves every payload of the corpus and compares what was stored with what upstream's
// parser finds in it. Each is scraped twice: with its own timestamps ignored, so that none is too old to be stored, and
// with them honoured, where the scrape must succeed and what is too old is left out.
func TestRealPayloadsAreScrapedWhole(t *testing.T) {
	all := payloads(t)
	r := newRig(t, Options{}, history.Options{})
	var config strings.Builder
	config.WriteString("scrape_configs:\n")
	for _, job := range []string{"whole", "timed"} {
		fmt.Fprintf(&config, "- job_name: %s\n  honor_labels: true\n  honor_timestamps: %t\n  scrape_interval: 10s\n  scrape_timeout: 10s\n  static_configs:\n", job, job == "timed")
		for _, p := range all {
			fmt.Fprintf(&config, "  - {targets: ['%s'], labels: {corpus_file: %q, corpus_job: %s}}\n", p.target.addr(), p.file, job)
		}
	}
	r.run("%s", config.String())
	r.has(2*len(all), `{__name__="up", corpus_job=~".+"}`)
	for _, p := range all {
		t.Run(p.file, func(t *testing.T) {
			entries, distinct := parse(t, p)
			of := fmt.Sprintf("corpus_file=%q, corpus_job=%q", p.file, "whole")
			r := &rig{t: t, store: r.store, log: r.log}
			r.has(1, fmt.Sprintf("{__name__='up', corpus_file=%q, corpus_job='timed'} == 1", p.file))
			r.has(1, fmt.Sprintf("{__name__='up', %s} == 1", of))
			r.has(1, fmt.Sprintf("{__name__='scrape_samples_scraped', %s} == %d", of, entries))
			got := r.query(fmt.Sprintf("count({__name__!~'%s', %s})", reportNames, of))
			require.Len(t, got, 1)
			require.EqualValues(t, distinct, got[0].F)
		})
	}
}

// reportNames are the series that upstream adds to each target's own.
const reportNames = "up|scrape_duration_seconds|scrape_samples_scraped|scrape_samples_post_metric_relabeling|scrape_series_added"

// parse counts the samples in a payload, and the different series among them: upstream stores a series once a scrape.
func parse(t *testing.T, pl payload) (entries, distinct int) {
	t.Helper()
	p, err := textparse.New(pl.body, pl.contentType, labels.NewSymbolTable(), textparse.ParserOptions{})
	require.NoError(t, err)
	seen := map[string]bool{}
	var ls labels.Labels
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return entries, len(seen)
		}
		require.NoError(t, err)
		if entry == textparse.EntrySeries || entry == textparse.EntryHistogram {
			p.Labels(&ls)
			entries++
			seen[fmt.Sprint(ls)] = true
		}
	}
}
