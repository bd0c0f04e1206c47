package bench

import (
	"encoding/json"
	"strings"
)

// unsharedSuffix ends the names of classes whose rules share nothing.
const unsharedSuffix = "_unshared"

// EvalResult is what one tier's evaluation of one class over so many series costs.
type EvalResult struct {
	Class  string `json:"class"`
	Series int    `json:"series"`
	// Rules is how many rules the tier evaluated at each tick.
	Rules int `json:"rules"`
	Tier  int `json:"tier"`
	// NSPerRuleSeries is the time of a tick's evaluations by the number of pairs of a rule and a series that it reads,
	// in nanoseconds; the median over the ticks.
	NSPerRuleSeries float64 `json:"ns_per_rule_series"`
	// AllocsPerEval is how often an evaluation of one rule allocates memory.
	AllocsPerEval float64 `json:"allocs_per_eval"`
	// BytesPerSeries is what the tier keeps in memory: history's head for tier 0, windows, columns and operators beside it
	// for the others.
	BytesPerSeries float64 `json:"bytes_per_series"`
	// RatioToUpstream is how many times faster than tier 0 it is, by NSPerRuleSeries.
	RatioToUpstream float64 `json:"ratio_to_upstream"`

	// FeedNS is what the tier spends on an arriving sample, in nanoseconds.
	FeedNS float64 `json:"-"`
	// NSPerRule is the time of an evaluation of one rule.
	NSPerRule float64 `json:"-"`
	// Bailed is how many rules the tier left to tier 0 at each tick; their time is in the figures.
	Bailed int `json:"-"`
	// Ticks is how many ticks were timed, Compared how many results were compared with upstream's.
	Ticks, Compared int `json:"-"`
}

// ChurnResult compares intervals in which hosts are replaced with intervals in which none is. An interval's cost is
// feeding its samples and evaluating all rules once.
type ChurnResult struct {
	Class                  string
	Series, Rules, Tier    int
	Replaced               int // series an interval
	SteadyMS, ChurnMS      float64
	SteadyFeed, SteadyEval float64 // parts of SteadyMS
	ChurnFeed, ChurnEval   float64 // parts of ChurnMS
}

// Ratio is how many times an interval with churn costs what one without does.
func (r ChurnResult) Ratio() float64 { return r.ChurnMS / r.SteadyMS }

// ArrivalResult is what a batch costs that brings one sample each for Changed of the series, all rules streaming.
type ArrivalResult struct {
	Class                        string
	Series, Rules, Tier, Changed int
	FeedUS, PulseUS              float64
	Touched                      int // rules
}

// FileResult is a rule file evaluated whole by one tier.
type FileResult struct {
	EvalResult
	File string
	// Tier1 is how many of its rules have a plan for the compiled engine.
	Tier1 int
	// Failed is how many fail on upstream; they are left out.
	Failed int
}

// EvalReport is all that RunEval found.
type EvalReport struct {
	Machine  Machine
	Seed     uint64
	Ticks    int
	Results  []EvalResult
	Files    []FileResult
	Churn    []ChurnResult
	Arrivals []ArrivalResult
}

// MarshalJSON writes {"results":[…]}, the five classes, and beside it, where there are any, "unshared", their variants
// whose rules share nothing, and "files".
func (r *EvalReport) MarshalJSON() ([]byte, error) {
	out := struct {
		Results  []EvalResult `json:"results"`
		Unshared []EvalResult `json:"unshared,omitempty"`
		Files    []EvalResult `json:"files,omitempty"`
	}{Results: []EvalResult{}}
	for _, result := range r.Results {
		if strings.HasSuffix(result.Class, unsharedSuffix) {
			out.Unshared = append(out.Unshared, result)
			continue
		}
		out.Results = append(out.Results, result)
	}
	for _, f := range r.Files {
		out.Files = append(out.Files, f.EvalResult)
	}
	return json.Marshal(out)
}
