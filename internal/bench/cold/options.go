package cold

import (
	"fmt"
	"time"
)

// Options says what Run measures. Binary and Args are required.
type Options struct {
	// Binary with Args and, as the last argument, a Spec as JSON runs RunScenario and prints its Outcome as JSON.
	Binary string
	Args   []string
	// Rules is a rule file to measure instead of the built-in profiles.
	Rules string
	// Series is over how many series: of the rule file's selectors, or of the larger profile. Default 10,000 for files (2,000
	// if Quick) and 100,000 (10,000 if Quick).
	Series int
	// Batches is how many follow the first evaluation; default 1,000 for the small profile (300 if Quick), 100 (40) otherwise.
	Batches int
	// Rounds is how often the scenarios but upstream run at most; default 3, or 4 if Quick. Small profiles have three
	// processes a round.
	Rounds int
	// Quick is small profiles that end soon.
	Quick bool
	// Seed of the samples; default 1.
	Seed uint64
	// Dir is where temporary directories are made; empty means the system's.
	Dir string
	// Progress is told what runs and which part of everything is done, from 0 to 1; nil is fine.
	Progress func(what string, done float64)
}

// The bounds of Options.
const (
	MinSeries, MaxSeries   = 10, 2_000_000
	MinBatches, MaxBatches = 1, 10_000
)

// Validate says which field of o cannot be used. Zeros stand for defaults.
func (o Options) Validate() error {
	if o.Series != 0 && (o.Series < MinSeries || o.Series > MaxSeries) {
		return fmt.Errorf("series: %d is not between %d and %d", o.Series, MinSeries, MaxSeries)
	}
	if o.Batches != 0 && (o.Batches < MinBatches || o.Batches > MaxBatches) {
		return fmt.Errorf("batches: %d is not between %d and %d", o.Batches, MinBatches, MaxBatches)
	}
	if o.Rounds < 0 {
		return fmt.Errorf("rounds: %d is negative", o.Rounds)
	}
	return nil
}

// profiles are what is measured.
func (o Options) profiles() ([]Profile, error) {
	pick := func(given, quick, full int) int {
		switch {
		case given > 0:
			return given
		case o.Quick:
			return quick
		}
		return full
	}
	if o.Rules != "" {
		plans, err := readRules(o.Rules)
		if err != nil {
			return nil, err
		}
		return []Profile{{
			Name: File, File: o.Rules, Rules: len(plans), Series: pick(o.Series, 2_000, 10_000), Batches: pick(o.Batches, 40, 100),
		}}, nil
	}
	return []Profile{
		{Name: Simple, Rules: 3, Series: 100, Batches: pick(o.Batches, 300, 1_000)},
		{Name: Many, Rules: pick(0, 1_000, 10_000), Series: pick(o.Series, 10_000, 100_000), Batches: pick(o.Batches, 40, 100)},
	}, nil
}

// patience is for how long the upstream engine is timed in each profile.
func (o Options) patience() time.Duration {
	if o.Quick {
		return time.Second
	}
	return 30 * time.Second
}

// rounds are how often the scenarios but upstream run at most, and how long after the first round began none begins that
// would end later.
func (o Options) rounds() (most int, until time.Duration) {
	most, until = 3, 8*time.Minute
	if o.Quick {
		most, until = 4, 22*time.Second
	}
	if o.Rounds > 0 {
		most = o.Rounds
	}
	return most, until
}
