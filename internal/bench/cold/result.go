package cold

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/tocsin/tocsin/internal/bench"
)

// Report is all that Run found.
type Report struct {
	Machine  bench.Machine
	Seed     uint64
	Profiles []ProfileReport
}

// ProfileReport is what the scenarios of one profile measured, in the order of Scenarios.
type ProfileReport struct {
	Profile
	Outcomes []*Outcome
	// Rounds is how many processes each scenario but upstream had.
	Rounds int
}

// Result is one scenario's figures. Latencies are of a batch, in milliseconds; the first evaluation is not among them.
type Result struct {
	Name        string  `json:"name"`
	ReadyMS     float64 `json:"ready_ms"`
	FirstEvalMS float64 `json:"first_eval_ms"`
	AvgMS       float64 `json:"avg_ms"`
	P50MS       float64 `json:"p50_ms"`
	P95MS       float64 `json:"p95_ms"`
	P99MS       float64 `json:"p99_ms"`
	MaxMS       float64 `json:"max_ms"`
	// EvalsPerS is evaluations of a rule per second of latency.
	EvalsPerS float64 `json:"evals_per_s"`
	// CPUS is the processor time in seconds: until ready, the first evaluation and the batches.
	CPUS float64 `json:"cpu_s"`
	// RSSMiB is the process's memory after the last batch.
	RSSMiB    float64 `json:"rss_mib"`
	CodeBytes int64   `json:"code_bytes"`
	CompileS  float64 `json:"compile_s"`
	// BreakEvenEvals is after how many evaluations of a rule compiling has paid, nil where it does not.
	BreakEvenEvals *float64 `json:"break_even_evals"`

	// Profile is simple, many or file; the others say how large it is.
	Profile string `json:"profile"`
	Rules   int    `json:"rules"`
	Series  int    `json:"series"`
	Batches int    `json:"batches"`
}

// Title says what the profile is in a few words.
func (p Profile) Title() string {
	title := fmt.Sprintf("%s rules over %s series", count(p.Rules), count(p.Series))
	if p.Name == File {
		title = filepath.Base(p.File) + ": " + title
	}
	return title
}

// Results are all scenarios' figures, profile by profile.
func (r *Report) Results() []Result {
	var out []Result
	for _, p := range r.Profiles {
		out = append(out, p.results()...)
	}
	return out
}

func (p *ProfileReport) results() []Result {
	out := make([]Result, 0, len(p.Outcomes))
	var without float64
	for _, x := range p.Outcomes {
		if x.Scenario == noJIT {
			without = x.perEvaluation()
		}
	}
	for _, x := range p.Outcomes {
		l := summarise(x.milliseconds())
		r := Result{
			Name: x.Scenario, ReadyMS: milliseconds(x.Ready), FirstEvalMS: milliseconds(x.Points[0].Latency),
			AvgMS: l.avg, P50MS: l.p50, P95MS: l.p95, P99MS: l.p99, MaxMS: l.max,
			CPUS: x.cpu().Seconds(), RSSMiB: float64(x.Points[len(x.Points)-1].RSS) / (1 << 20),
			CodeBytes: x.CodeBytes, CompileS: x.Compile.Seconds(),
			Profile: p.Name, Rules: x.Rules, Series: x.Series, Batches: len(x.Points) - 1,
		}
		if each := x.perEvaluation(); each > 0 {
			r.EvalsPerS = 1 / each
			if x.Compiled > 0 {
				r.BreakEvenEvals = breakEven(r.CompileS, without, each)
			}
		}
		out = append(out, r.rounded())
	}
	return out
}

// total is the latency of all batches.
func (x *Outcome) total() (sum time.Duration) {
	for _, p := range x.Points[1:] {
		sum += p.Latency
	}
	return sum
}

// cpu is the processor time of everything that is measured.
func (x *Outcome) cpu() time.Duration {
	sum := x.ReadyCPU
	for _, p := range x.Points {
		sum += p.CPU
	}
	return sum
}

// perEvaluation is what one rule's evaluation takes on average, in seconds; 0 where there was none.
func (x *Outcome) perEvaluation() float64 {
	if x.Evaluations == 0 {
		return 0
	}
	return x.total().Seconds() / float64(x.Evaluations)
}

// milliseconds are the latencies of the batches.
func (x *Outcome) milliseconds() []float64 {
	out := make([]float64, 0, len(x.Points))
	for _, p := range x.Points[1:] {
		out = append(out, milliseconds(p.Latency))
	}
	return out
}

func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }

func (r Result) rounded() Result {
	for _, f := range []*float64{
		&r.ReadyMS, &r.FirstEvalMS, &r.AvgMS, &r.P50MS, &r.P95MS, &r.P99MS, &r.MaxMS, &r.EvalsPerS, &r.CPUS, &r.RSSMiB, &r.CompileS,
	} {
		*f = round(*f)
	}
	return r
}
