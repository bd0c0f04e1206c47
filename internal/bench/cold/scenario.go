package cold

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/jit"
)

// Scenarios are the ways of running rules, in the order of reports: machine code that is compiled and has run once before
// the process is ready; none; machine code that is compiled beside the first evaluations; machine code for what has
// become hot; the upstream engine.
func Scenarios() []string { return []string{warm, noJIT, coldStart, adaptive, upstreamEngine} }

const (
	warm           = "warm"
	noJIT          = "nojit"
	coldStart      = "cold"
	adaptive       = "adaptive"
	upstreamEngine = "upstream"
)

// Spec says what one process does.
type Spec struct {
	Scenario string  `json:"scenario"`
	Profile  Profile `json:"profile"`
	Seed     uint64  `json:"seed"`
	// Dir is empty, and the process's alone.
	Dir string `json:"dir"`
	// Began is when the process was started, in Unix nanoseconds; 0 for when RunScenario was called.
	Began int64 `json:"began,omitempty"`
	// Base is the timestamp of the first samples, in Unix milliseconds.
	Base int64 `json:"base"`
	// Patience is for how long scenario upstream is timed. The first evaluation and the last batch always are.
	Patience time.Duration `json:"patience"`
}

// Point is a batch as it was measured: the samples of all series given to the engine, and the rules that they concern
// evaluated. Writing the samples to history is not in it.
type Point struct {
	// Batch counts from 1; 0 is the first evaluation, of all rules in full.
	Batch int `json:"batch"`
	// Latency is by the clock on the wall, CPU the processor time of the whole process.
	Latency time.Duration `json:"latency_ns"`
	CPU     time.Duration `json:"cpu_ns"`
	// RSS is the process's memory after the batch, in bytes; 0 where it is not known.
	RSS int64 `json:"rss_bytes"`
}

// Outcome is what one process measured.
type Outcome struct {
	Scenario string  `json:"scenario"`
	Points   []Point `json:"points"`
	// Ready is from the start of the process until rules could be evaluated, without the time that making up samples took.
	Ready time.Duration `json:"ready_ns"`
	// ReadyCPU is the processor time until then, without that of making up samples.
	ReadyCPU time.Duration `json:"ready_cpu_ns"`
	// Evaluations is how many evaluations of a rule the batches were; the first evaluation is not in it.
	Evaluations int `json:"evaluations"`

	Rules  int `json:"rules"`
	Series int `json:"series"`
	// Failing is how many rules fail on the upstream engine and are left out, Bailed how many evaluations were left to it.
	Failing int `json:"failing"`
	Bailed  int `json:"bailed"`

	CodeBytes int64         `json:"code_bytes"`
	Compile   time.Duration `json:"compile_ns"`
	// Kernels is how many distinct kernels the rules have, Compiled how many are machine code at the end.
	Kernels  int `json:"kernels"`
	Compiled int `json:"compiled"`
	// MachineLanes and AllLanes are the lanes that kernels ran over: in machine code and altogether.
	MachineLanes uint64 `json:"machine_lanes"`
	AllLanes     uint64 `json:"all_lanes"`
	// Notes are what the engine had to say.
	Notes []string `json:"notes,omitempty"`
	// Sums are of the last batch's results, by rule.
	Sums []Sum `json:"sums"`
}

// Process is what RunScenario needs of the process it runs in.
type Process struct {
	// CPU returns the processor time of the process so far; nil: none is reported.
	CPU func() time.Duration
	// Progress is told which part is done, from 0 to 1; nil is fine.
	Progress func(done float64)
}

// backlog is how many samples a series has before anything is measured. For rule files it fills windows of 5 minutes.
func (p Profile) backlog() int {
	if p.Name == File {
		return 21
	}
	return 2
}

// scenario is one run of RunScenario.
type scenario struct {
	Spec
	Process
	meter
	log   notes
	world *world
	contestant
	out Outcome
	now int64 // of the newest samples
}

// RunScenario does what s says and measures it.
func RunScenario(ctx context.Context, s Spec, p Process) (_ *Outcome, err error) {
	r := &scenario{Spec: s, Process: p, meter: meter{p.CPU}}
	if r.meter.cpu == nil {
		r.meter.cpu = func() time.Duration { return 0 }
	}
	if r.Progress == nil {
		r.Progress = func(float64) {}
	}
	began := time.Now()
	if s.Began > 0 {
		began = time.Unix(0, s.Began)
	}
	r.out = Outcome{Scenario: s.Scenario, Series: s.Profile.Series, Rules: s.Profile.Rules}
	// From here to the end of fill, nothing is the scenario's cost.
	from := r.meter.now()
	if err := r.fill(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.world.store.Close()) }()
	filled := r.since(from)
	defer func() {
		if r.contestant != nil {
			err = errors.Join(err, r.contestant.close())
		}
	}()
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	r.out.Ready = time.Since(began) - filled.wall
	r.out.ReadyCPU = r.meter.cpu() - filled.cpu
	if err := r.measure(ctx); err != nil {
		return nil, err
	}
	if r.out.Sums, err = r.sums(ctx, r.now); err != nil {
		return nil, err
	}
	r.describe()
	return &r.out, nil
}

// fill makes the history and the samples that are there before the process looks at rules.
func (r *scenario) fill(ctx context.Context) error {
	plans, err := r.Profile.plans() // What they select; load, which is measured, makes its own.
	if err != nil {
		return err
	}
	d := r.Profile.data(plans, r.Seed)
	if d.count() == 0 {
		return errors.New("no rule has a selector that series could be made up for")
	}
	r.out.Series = d.count()
	if r.world, err = openWorld(r.Dir, d); err != nil {
		return err
	}
	n := r.Profile.backlog()
	for i := range n {
		r.now = r.Base + int64(i)*interval
		if err := r.world.write(ctx, r.now); err != nil {
			return errors.Join(err, r.world.store.Close())
		}
		r.Progress(0.15 * float64(i+1) / float64(n))
	}
	debug.FreeOSMemory() // What writing left behind is not to count as the engine's.
	return nil
}

// load reads the rules and makes them the contestant's.
func (r *scenario) load(ctx context.Context) error {
	c, err := r.contestantFor(r.world.store)
	if err != nil {
		return err
	}
	r.contestant = c
	plans, err := r.Profile.plans()
	if err != nil {
		return err
	}
	r.out.Rules = len(plans)
	if err := r.contestant.load(ctx, plans, r.now); err != nil {
		return fmt.Errorf("load rules: %w", err)
	}
	r.Progress(0.2)
	return nil
}

func (r *scenario) contestantFor(store *history.Store) (contestant, error) {
	log := r.log.logger()
	switch r.Scenario {
	case warm:
		return newCompiled(store, jit.Eager, true, log), nil
	case noJIT:
		return newCompiled(store, jit.Off, false, log), nil
	case coldStart:
		return newCompiled(store, jit.Eager, false, log), nil
	case adaptive:
		return newCompiled(store, jit.Adaptive, false, log), nil
	case upstreamEngine:
		return &upstream{store: store}, nil
	}
	return nil, fmt.Errorf("there is no scenario %q; there are %s", r.Scenario, strings.Join(Scenarios(), ", "))
}

// measure evaluates all rules in full and then follows the batches.
func (r *scenario) measure(ctx context.Context) error {
	from := r.meter.now()
	if err := r.first(ctx, r.now); err != nil {
		return err
	}
	r.point(0, r.since(from))
	var fed cost
	r.world.watch = func(batch []history.Sample) {
		from := r.meter.now()
		r.feed(batch, r.now)
		fed.add(r.since(from))
	}
	var spent time.Duration
	for n := 1; n <= r.Profile.Batches; n++ {
		fed = cost{}
		r.now += batchEvery
		if err := r.world.write(ctx, r.now); err != nil {
			return err
		}
		if r.Scenario == upstreamEngine && spent > r.Patience && n < r.Profile.Batches {
			continue
		}
		from := r.meter.now()
		rules, err := r.follow(ctx, r.now)
		if err != nil {
			return err
		}
		took := r.since(from)
		spent += took.wall
		took.add(fed)
		r.point(n, took)
		r.out.Evaluations += rules
		r.Progress(0.2 + 0.8*float64(n)/float64(r.Profile.Batches))
	}
	if r.out.Evaluations == 0 {
		return errors.New("samples arrived, and no rule was touched")
	}
	return nil
}

func (r *scenario) point(batch int, took cost) {
	r.out.Points = append(r.out.Points, Point{Batch: batch, Latency: took.wall, CPU: took.cpu, RSS: resident()})
}

// describe says what the contestant knows of itself.
func (r *scenario) describe() {
	r.out.Notes = r.log.lines()
	switch c := r.contestant.(type) {
	case *upstream:
		r.out.Failing = len(c.failed)
	case *compiled:
		s := c.library.Stats()
		r.out.Failing, r.out.Bailed = len(c.failed), c.bailed
		r.out.CodeBytes, r.out.Compile = s.CodeBytes, s.CompileTime
		r.out.Kernels, r.out.Compiled = s.Kernels, s.Compiled
		r.out.MachineLanes = s.MachineCode.Lanes
		r.out.AllLanes = s.MachineCode.Lanes + s.Interpreted.Lanes
	}
}
