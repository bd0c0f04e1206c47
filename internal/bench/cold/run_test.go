package cold

import (
	"context"
	"encoding/json"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// options run this very binary, see TestMain.
func options(t *testing.T) Options {
	t.Helper()
	binary, err := os.Executable()
	require.NoError(t, err)
	return Options{Binary: binary, Args: []string{processWord}, Dir: t.TempDir(), Quick: true, Rounds: 1}
}

func ruleFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(path, []byte(`groups: [{name: g, rules: [
  {alert: Hot, expr: 'cpu_usage > 80'}, {alert: Low, expr: '(1 - a / b) * 100 > 20'}]}]`), 0o600))
	return path
}

func TestRun(t *testing.T) {
	o := options(t)
	o.Rules, o.Series, o.Batches, o.Rounds = ruleFile(t), 90, 3, 2
	last := 0.0
	var said []string
	o.Progress = func(what string, done float64) {
		require.GreaterOrEqual(t, done, last, what)
		last = done
		if len(said) == 0 || said[len(said)-1] != what {
			said = append(said, what)
		}
	}
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, 1.0, last)
	require.Contains(t, said, "rules.yml: 2 rules over 90 series: upstream")
	require.Len(t, r.Profiles, 1)
	// How many of the runs that a small profile may have depends on what they took.
	require.GreaterOrEqual(t, r.Profiles[0].Rounds, 1)
	require.LessOrEqual(t, r.Profiles[0].Rounds, 6)

	results := r.Results()
	require.Len(t, results, 5)
	for i, name := range Scenarios() {
		x := results[i]
		require.Equal(t, name, x.Name)
		require.Equal(t, File, x.Profile)
		require.Equal(t, []int{2, 90, 3}, []int{x.Rules, x.Series, x.Batches})
		for _, v := range []float64{x.ReadyMS, x.FirstEvalMS, x.AvgMS, x.P50MS, x.EvalsPerS, x.CPUS} {
			require.Positive(t, v, "%+v", x)
		}
		require.LessOrEqual(t, x.P50MS, x.P95MS)
		require.LessOrEqual(t, x.P95MS, x.P99MS)
		require.LessOrEqual(t, x.P99MS, x.MaxMS)
	}
	entries, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, entries, "temporary directories are removed")

	var text strings.Builder
	require.NoError(t, r.WriteText(&text))
	for _, name := range Scenarios() {
		require.Contains(t, text.String(), "\n"+name+" ")
	}
	filesAreWritten(t, r)
}

func filesAreWritten(t *testing.T, r *Report) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "out")
	names, err := r.WriteFiles(dir)
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, "latency.csv"), filepath.Join(dir, "latency.svg"), filepath.Join(dir, "latency.png")}, names)
	csv, err := os.ReadFile(names[0])
	require.NoError(t, err)
	require.Equal(t, 1+5*4, strings.Count(string(csv), "\n"), "a first evaluation and three batches of five scenarios")
	f, err := os.Open(names[2])
	require.NoError(t, err)
	defer f.Close()
	_, err = png.Decode(f)
	require.NoError(t, err)
	_, err = r.WriteFiles(filepath.Join(names[0], "no directory"))
	require.Error(t, err)
}

func TestProcessesHaveTheSameSeries(t *testing.T) {
	o := options(t)
	o.Rules = filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(o.Rules, []byte(`groups: [{name: g, rules: [
  {alert: A, expr: 'a > 80'}, {alert: B, expr: 'a{job="node"} > 10'}, {alert: C, expr: 'b > 20'}]}]`), 0o600))
	o.Series, o.Batches = 90, 2
	r, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, 60, r.Profiles[0].Series, "two selectors have the same")
	for _, x := range r.Profiles[0].Outcomes {
		require.Equal(t, 60, x.Series, x.Scenario)
	}
}

func TestInterruptedRunsLeaveNothing(t *testing.T) {
	o := options(t)
	o.Series = 50_000 // for seconds
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	o.Progress = func(what string, done float64) {
		if strings.Contains(what, "50,000") && done > 0.5 {
			cancel()
		}
	}
	began := time.Now()
	_, err := Run(ctx, o)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), time.Minute)
	entries, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestWhatAProcessSaysIsInTheError(t *testing.T) {
	o := options(t)
	_, err := o.spawn(t.Context(), Spec{Scenario: "lukewarm", Profile: Profile{Name: Simple, Series: 10}, Base: base}, func(float64) {})
	require.ErrorContains(t, err, "exit status 1")
	require.ErrorContains(t, err, `it broke: there is no scenario "lukewarm"`)

	o.Args = []string{"-test.run", "^$"} // a binary that does something else
	_, err = o.spawn(t.Context(), Spec{Scenario: warm}, func(float64) {})
	require.ErrorContains(t, err, "did not answer as it should")

	o.Binary = filepath.Join(o.Dir, "missing")
	_, err = o.spawn(t.Context(), Spec{Scenario: warm}, func(float64) {})
	require.ErrorContains(t, err, "no such file")
}

func TestListener(t *testing.T) {
	var heard []float64
	l := &listener{progress: func(done float64) { heard = append(heard, done) }}
	for _, part := range []string{"progress 0.1", "00\npanic: no", "\nprogress x\nprogress 0.900\nand", " so on"} {
		n, err := l.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	require.Equal(t, []float64{0.1, 0.9}, heard)
	require.Equal(t, "panic: no\nprogress x\nand so on", l.rest())
	require.Equal(t, "progress 0.250\n", ProgressLine(0.25))
}

// made is a report without any measuring.
func made() *Report {
	p := ProfileReport{Profile: Profile{Name: Many, Rules: 10, Series: 1_000, Batches: 2}, Rounds: 1}
	for i, name := range Scenarios() {
		each := time.Duration(2+i) * time.Millisecond
		x := &Outcome{
			Scenario: name, Rules: 10, Series: 1_000, Evaluations: 20, Ready: 50 * time.Millisecond, ReadyCPU: 40 * time.Millisecond,
			Points: []Point{{0, 9 * time.Millisecond, 9 * time.Millisecond, 1 << 20}, {1, each, each, 2 << 20}, {2, each, each, 3 << 20}},
			Sums:   []Sum{{Elements: 1, Values: 2, Size: 2}},
		}
		if name == warm {
			x.Compiled, x.Kernels, x.CodeBytes, x.Compile = 3, 4, 2_048, time.Millisecond
			x.MachineLanes, x.AllLanes, x.Notes = 75, 100, []string{"msg=careful"}
		}
		p.Outcomes = append(p.Outcomes, x)
	}
	return &Report{Seed: 1, Profiles: []ProfileReport{p}}
}

func TestResultsAsJSON(t *testing.T) {
	content, err := json.Marshal(made().Results()[:2])
	require.NoError(t, err)
	require.JSONEq(t, `[
		{"name":"warm","ready_ms":50,"first_eval_ms":9,"avg_ms":2,"p50_ms":2,"p95_ms":2,"p99_ms":2,"max_ms":2,"evals_per_s":5000,
		 "cpu_s":0.053,"rss_mib":3,"code_bytes":2048,"compile_s":0.001,"break_even_evals":10,
		 "profile":"many","rules":10,"series":1000,"batches":2},
		{"name":"nojit","ready_ms":50,"first_eval_ms":9,"avg_ms":3,"p50_ms":3,"p95_ms":3,"p99_ms":3,"max_ms":3,"evals_per_s":3333,
		 "cpu_s":0.055,"rss_mib":3,"code_bytes":0,"compile_s":0,"break_even_evals":null,
		 "profile":"many","rules":10,"series":1000,"batches":2}]`, string(content))
}

func TestText(t *testing.T) {
	var b strings.Builder
	require.NoError(t, made().WriteText(&b))
	lines := strings.Split(b.String(), "\n")
	fields := func(name string) []string {
		for _, line := range lines {
			if f := strings.Fields(line); len(f) > 0 && f[0] == name {
				return f
			}
		}
		return nil
	}
	require.Equal(t, strings.Fields("warm 50 9 2 2 2 2 2 5,000 0.053 3 3/4 75 % 2 1 10 evals"), fields("warm"))
	require.Equal(t, strings.Fields("upstream 50 9 6 6 6 6 6 1,667 0.061 3"), fields("upstream"))
	require.Contains(t, b.String(), "Warm against nojit: ready after 1× the time, batches 1.5× as fast by the median. Upstream takes 3× as long as warm for a batch.")
	require.Contains(t, b.String(), "warm: msg=careful")
}

func TestTakeKeepsWhatWasLessDisturbed(t *testing.T) {
	outcome := func(ready, first, batch time.Duration) *Outcome {
		return &Outcome{Ready: ready, ReadyCPU: ready, Points: []Point{{Batch: 0, Latency: first}, {Batch: 1, Latency: batch}}}
	}
	p := ProfileReport{Outcomes: make([]*Outcome, 1)}
	p.take(0, outcome(5, 5, 5))
	require.Equal(t, outcome(5, 5, 5), p.Outcomes[0])
	p.take(0, outcome(4, 6, 6))
	require.Equal(t, outcome(4, 5, 5), p.Outcomes[0])
	p.take(0, outcome(9, 3, 2))
	require.Equal(t, outcome(4, 3, 2), p.Outcomes[0])
}

func TestWrongResultsAreFound(t *testing.T) {
	r := made()
	require.Empty(t, r.Profiles[0].verify())
	r.Profiles[0].Outcomes[2].Sums = []Sum{{Elements: 1, Values: 2.5, Size: 2.5}}
	r.Profiles[0].Outcomes[3].Sums = nil
	wrong := r.Profiles[0].verify()
	require.Len(t, wrong, 2)
	require.ErrorContains(t, wrong[0], "WRONG RESULT: 10 rules over 1,000 series, rule 1: cold has")
	require.ErrorContains(t, wrong[1], "adaptive has 0 rules, upstream 1")
}

func TestNotes(t *testing.T) {
	var n notes
	require.Nil(t, n.lines())
	n.logger().Info("all is well")
	n.logger().Warn("Kernels are interpreted, not compiled.", "err", "no")
	require.Equal(t, []string{`msg="Kernels are interpreted, not compiled." err=no`}, n.lines())
}
