package cold

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tocsin/tocsin/internal/bench"
)

// Run measures every scenario of every profile, one process after the other, and then all but upstream again, round by
// round, while there is time: whatever disturbs the machine for a while is to disturb all alike. Of a scenario's rounds
// the one counts whose batches took the least time, but of the times until ready and of the first evaluations the
// least.
//
// Where the results of two processes differ it fails and says so; the report is there all the same.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	profiles, err := o.profiles()
	if err != nil {
		return nil, err
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Progress == nil {
		o.Progress = func(string, float64) {}
	}
	c := &campaign{Options: o, asked: profiles, report: &Report{Machine: bench.ThisMachine(), Seed: o.Seed}}
	for _, p := range profiles {
		c.report.Profiles = append(c.report.Profiles, ProfileReport{Profile: p, Outcomes: make([]*Outcome, len(Scenarios()))})
		c.base = append(c.base, time.Now().UnixMilli()-int64(p.backlog())*interval-int64(p.Batches+1)*batchEvery)
	}
	if err := c.run(ctx); err != nil {
		return nil, err
	}
	o.Progress("done", 1)
	return c.report, errors.Join(c.wrong...)
}

// campaign is one run of Run.
type campaign struct {
	Options
	// asked are the profiles that processes are to run; those of the report have as many series as there came to be.
	asked  []Profile
	base   []int64 // the timestamps of the first samples, by profile
	report *Report
	// processes counts those that have ended.
	processes int
	wrong     []error
}

func (c *campaign) run(ctx context.Context) error {
	began := time.Now()
	most, until := c.rounds()
	for round := 1; round <= most; round++ {
		from := time.Now()
		for i := range c.report.Profiles {
			if err := c.round(ctx, i, round); err != nil {
				return err
			}
		}
		if took := time.Since(from); time.Since(began)+took > until {
			break // The first round has upstream in it, so that this is on the safe side.
		}
	}
	return nil
}

// round runs the scenarios of a profile.
func (c *campaign) round(ctx context.Context, profile, round int) error {
	p := &c.report.Profiles[profile]
	names := Scenarios()
	for n := range p.repeats() * len(names) {
		i := (n + round - 1) % len(names) // Another one begins each round: being first may be worse or better.
		name := names[i]
		if name == upstreamEngine && (round > 1 || n >= len(names)) {
			continue
		}
		what := fmt.Sprintf("%s: %s", p.Title(), name)
		if run := (round-1)*p.repeats() + n/len(names) + 1; run > 1 {
			what += fmt.Sprintf(", run %d", run)
		}
		spec := Spec{Scenario: name, Profile: c.asked[profile], Seed: c.Seed, Base: c.base[profile], Patience: c.patience()}
		out, err := c.spawn(ctx, spec, func(done float64) { c.Progress(what, c.done(min(max(done, 0), 1))) })
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		c.processes++
		p.Series = out.Series // Two selectors of a file may have the same.
		p.take(i, out)
	}
	p.Rounds += p.repeats()
	if len(c.wrong) == 0 {
		c.wrong = p.verify()
	}
	return nil
}

// repeats is how often a round has each scenario of the profile: those that take no time more often.
func (p Profile) repeats() int {
	if p.Series <= 1_000 && p.Rules <= 100 {
		return 3
	}
	return 1
}

// done is which part of everything is, where part of a process is.
func (c *campaign) done(part float64) float64 {
	most, _ := c.rounds()
	all := 0
	for _, p := range c.report.Profiles {
		all += 1 + most*p.repeats()*(len(Scenarios())-1)
	}
	return (float64(c.processes) + part) / float64(all)
}

// take makes what is less disturbed of x and what is there the i-th scenario's outcome.
func (p *ProfileReport) take(i int, x *Outcome) {
	old := p.Outcomes[i]
	if old == nil {
		p.Outcomes[i] = x
		return
	}
	best, other := old, x
	if x.total() < old.total() {
		best, other = x, old
	}
	if other.Ready < best.Ready {
		best.Ready, best.ReadyCPU = other.Ready, other.ReadyCPU
	}
	if other.Points[0].Latency < best.Points[0].Latency {
		best.Points[0] = other.Points[0]
	}
	p.Outcomes[i] = best
}

// verify holds the scenarios' last results to those of the upstream engine.
func (p *ProfileReport) verify() (wrong []error) {
	want := p.Outcomes[len(p.Outcomes)-1]
	for _, got := range p.Outcomes[:len(p.Outcomes)-1] {
		if len(got.Sums) != len(want.Sums) {
			wrong = append(wrong, fmt.Errorf("WRONG RESULT: %s: %s has %d rules, %s %d",
				p.Title(), got.Scenario, len(got.Sums), want.Scenario, len(want.Sums)))
			continue
		}
		for i := range want.Sums {
			if !got.Sums[i].equal(want.Sums[i]) {
				wrong = append(wrong, fmt.Errorf("WRONG RESULT: %s, rule %d: %s has %+v, %s %+v",
					p.Title(), i+1, got.Scenario, got.Sums[i], want.Scenario, want.Sums[i]))
				break
			}
		}
	}
	return wrong
}
