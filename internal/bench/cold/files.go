package cold

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/tocsin/tocsin/internal/bench/chart"
)

// scenarioWords say what the scenarios are.
func scenarioWords() map[string]string {
	return map[string]string{
		warm:           "compiled and run once before ready",
		noJIT:          "interpreted (tier 1)",
		coldStart:      "compiled beside the first batches",
		adaptive:       "compiled once hot",
		upstreamEngine: "PromQL engine over history (tier 0)",
	}
}

// WriteFiles writes latency.csv, latency.svg and latency.png into dir, which is made if need be, and returns their names.
func (r *Report) WriteFiles(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("directory for files: %w", err)
	}
	profiles := r.charts()
	for _, f := range []struct {
		name  string
		write func(io.Writer, []chart.Profile) error
	}{
		{"latency.csv", chart.WriteCSV}, {"latency.svg", chart.WriteSVG}, {"latency.png", chart.WritePNG},
	} {
		path := filepath.Join(dir, f.name)
		if err := writeFile(path, func(w io.Writer) error { return f.write(w, profiles) }); err != nil {
			return names, fmt.Errorf("%s: %w", path, err)
		}
		names = append(names, path)
	}
	return names, nil
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// charts is what is drawn.
func (r *Report) charts() []chart.Profile {
	words := scenarioWords()
	out := make([]chart.Profile, 0, len(r.Profiles))
	for _, p := range r.Profiles {
		c := chart.Profile{Name: p.Name, Title: p.Title()}
		for _, x := range p.Outcomes {
			s := chart.Scenario{Name: x.Scenario, Words: words[x.Scenario]}
			for _, q := range x.Points {
				s.Points = append(s.Points, chart.Point{Batch: q.Batch, Latency: q.Latency, CPU: q.CPU, RSS: q.RSS})
			}
			c.Scenarios = append(c.Scenarios, s)
		}
		out = append(out, c)
	}
	return out
}
