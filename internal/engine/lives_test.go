package engine_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// lives is a process that is killed and started again on the same history and ledger, in a bubble of fake time. Samples of
// all series come every five seconds while it runs.
type lives struct {
	t *testing.T
	w *world
	// stream lets rules follow arrivals, config is changed before each start.
	stream bool
	change func(*engine.Options)
	// registry takes the ledger's metrics.
	registry prometheus.Registerer
	// rules are the files by name; a side file has its own.
	rules map[string]string

	series map[string]float64
	dir    string
	born   time.Time // of the first life

	// Of the present life.
	engine *engine.Engine
	ledger *ledger.Ledger
	core   *exec.Core
	dead   *bool
	// dieAtNotify lets the process die when it is about to notify, with all that was before on disk.
	dieAtNotify bool

	// moves and sent are what people and pipelines were told since they were last asked, with seconds since the beginning.
	moves, sent []string
	transitions []alert.Transition
}

// lookback is how long lives see a series after its last sample.
const lookback = 22 * time.Second

// live runs f in bubbles of fake time: with rules at their ticks only, and with rules that follow arrivals. Groups
// are evaluated every 10 seconds, and after a start series may take 15 to be back.
func live(t *testing.T, rules string, f func(l *lives)) {
	t.Helper()
	t.Parallel()
	for name, stream := range map[string]bool{"ticks": false, "arrivals": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLives(t, rules)
			l.stream = stream
			l.play(t, f)
		})
	}
}

func newLives(t *testing.T, rules string) *lives {
	l := &lives{w: newWorld(t), rules: map[string]string{"f.yml": rules}, series: map[string]float64{}}
	l.w.promql = promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Hour, LookbackDelta: lookback})
	t.Cleanup(func() { _ = l.w.promql.Close() })
	l.dir = filepath.Join(t.TempDir(), "ledger")
	return l
}

func (l *lives) play(t *testing.T, f func(*lives)) {
	synctest.Test(t, func(t *testing.T) {
		l.t, l.born = t, time.Now()
		defer func() {
			if l.engine != nil {
				l.kill()
			}
		}()
		f(l)
	})
}

// start begins a life.
func (l *lives) start() {
	l.t.Helper()
	var err error
	l.ledger, err = ledger.Open(ledger.Options{Dir: l.dir, Registerer: l.registry})
	require.NoError(l.t, err)
	dead := new(bool)
	l.dead = dead
	o := l.w.options()
	o.Ledger, o.SettleAfterStart = l.ledger, 15*time.Second
	o.OnTransition = func(_ context.Context, tr alert.Transition) {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		if !*dead {
			l.transitions = append(l.transitions, tr)
			l.moves = append(l.moves, l.move(tr))
		}
	}
	o.Notify = func(_ context.Context, all []alert.Outgoing) {
		l.w.mu.Lock()
		defer l.w.mu.Unlock()
		if l.dieAtNotify && !*dead {
			l.dieAtNotify = false
			copyLedger(l.t, l.dir, l.dir+"x")
			*dead = true
		}
		for _, a := range all {
			if !*dead {
				l.sent = append(l.sent, l.describe(a))
			}
		}
	}
	if l.stream {
		l.core = exec.New(exec.Options{Lookback: lookback})
		chain := compiled{AppendableV2: l.w.db, core: l.core}
		o.Stream, o.Appendable, o.Eval = l.core, chain, chain.eval(l.w)
	}
	if l.change != nil {
		l.change(&o)
	}
	l.engine = engine.New(o)
	l.apply()
	l.engine.Start()
}

// apply brings the present rules into force.
func (l *lives) apply() {
	l.t.Helper()
	groups, plans := l.groups()
	if l.stream {
		require.NoError(l.t, l.core.Load(context.Background(), plans, l.w.db, time.Now().UnixMilli()))
	}
	require.NoError(l.t, l.engine.Apply(engine.Config{Groups: groups, Interval: 10 * time.Second}))
}

// groups parses the rule files.
func (l *lives) groups() (groups []*rule.Group, plans []*plan.Plan) {
	l.t.Helper()
	for _, name := range slices.Sorted(maps.Keys(l.rules)) {
		if rule.IsSideFile(name) || strings.HasSuffix(name, ".tocsin.yml") {
			continue
		}
		var side []byte
		if text, ok := l.rules[rule.SidePath(name)]; ok {
			side = []byte(text)
		}
		f, errs := rule.ParseBoth(name, []byte(l.rules[name]), side, compiler)
		require.Empty(l.t, errs, name)
		groups = append(groups, f.Groups...)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				plans = append(plans, engine.PlansOf(r)...)
			}
		}
	}
	return groups, plans
}

// kill ends a life at once: what is not in the ledger's files by now is lost, and nobody hears any more of it.
func (l *lives) kill() {
	l.t.Helper()
	synctest.Wait()
	next := l.dir + "x"
	l.w.mu.Lock()
	if !*l.dead {
		copyLedger(l.t, l.dir, next)
	}
	*l.dead = true
	l.w.mu.Unlock()
	l.dir = next
	l.engine.Stop()
	require.NoError(l.t, l.ledger.Close())
	l.engine = nil
}

// copyLedger copies what a killed process leaves behind.
func copyLedger(t testing.TB, from, to string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(to, 0o750))
	for _, name := range []string{"ledger.db", "ledger.db-wal"} {
		content, err := os.ReadFile(filepath.Join(from, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(to, name), content, 0o600))
	}
}

// run lets time go by with samples every five seconds, the first at once; none at the end.
func (l *lives) run(d time.Duration) {
	l.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		l.write()
		time.Sleep(min(time.Until(end), 5*time.Second))
	}
	synctest.Wait()
}

func (l *lives) write() {
	l.t.Helper()
	if !l.stream || l.engine == nil {
		l.w.write(l.t, l.series)
		return
	}
	writeTo(l.t, compiled{AppendableV2: l.w.db, core: l.core}, l.series)
}

// down is time without a process, and without samples.
func (l *lives) down(d time.Duration) { time.Sleep(d) }

// restart kills the process and starts it again after some time without samples.
func (l *lives) restart(d time.Duration) {
	l.t.Helper()
	l.kill()
	l.down(d)
	l.start()
}

// second is how long ago the story began.
func (l *lives) second(at time.Time) int { return int(at.Sub(l.born).Round(time.Second).Seconds()) }

func (l *lives) name(ls labels.Labels) string {
	text := ls.Get(model.AlertNameLabel)
	rest := ls.MatchLabels(false, model.AlertNameLabel)
	if rest.IsEmpty() {
		return text
	}
	return text + rest.String()
}

func (l *lives) describe(a alert.Outgoing) string {
	text := l.name(a.Labels)
	switch {
	case a.Flapping:
		return text + " flapping"
	case a.NoData:
		return text + " nodata"
	case !a.EndsAt.After(time.Now()):
		return text + " resolved " + a.Reason.String()
	}
	return text + " firing"
}

// told returns what happened since it was last asked.
func (l *lives) told() (moves, sent []string) {
	synctest.Wait()
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	moves, sent = l.moves, slices.Compact(l.sent)
	l.moves, l.sent = nil, nil
	return moves, sent
}

// expectTold is expect without a look at the ledger.
func (l *lives) expectTold(moves, sent []string) {
	l.t.Helper()
	gotMoves, gotSent := l.told()
	require.Equal(l.t, moves, gotMoves, "transitions")
	require.Equal(l.t, sent, gotSent, "sent")
}

func (l *lives) move(tr alert.Transition) string {
	return fmt.Sprintf("%s %s>%s %s", l.name(tr.Labels), tr.From, tr.To, tr.Reason)
}

// expect checks what happened since it was last asked: transitions, and what was sent without immediate repetitions.
func (l *lives) expect(moves, sent []string) {
	l.t.Helper()
	l.expectTold(moves, sent)
	l.check()
}

// check compares the ledger with what the engine has: of every rule the instances, the resolved ones included.
func (l *lives) check() {
	l.t.Helper()
	synctest.Wait()
	if l.engine == nil || *l.dead {
		return
	}
	in, err := l.ledger.Instances()
	require.NoError(l.t, err)
	var got []string
	for i := range in {
		got = append(got, in[i].File+"/"+in[i].Group+"/"+in[i].Rule+in[i].RuleID+" "+portrait(&in[i].Alert))
	}
	var want []string
	for _, g := range l.engine.Snapshots() {
		want = append(want, g.File+"/"+g.Group+"/"+g.Rule+g.RuleID+" "+portrait(&g.Alert))
	}
	has := func(all []string) func(string) bool { return func(s string) bool { return slices.Contains(all, s) } }
	extra := slices.DeleteFunc(slices.Clone(got), has(want))
	lacking := slices.DeleteFunc(want, has(got))
	require.True(l.t, len(extra)+len(lacking) == 0, "at %d s the ledger has besides what the engine has:\n%s\nand lacks:\n%s",
		l.second(time.Now()), strings.Join(extra, "\n"), strings.Join(lacking, "\n"))
}

// portrait is what of an alert a restart must know.
func portrait(a *alert.Alert) string {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return t.UTC().Format("15:04:05.000")
	}
	flap := ""
	if a.Flap != nil {
		flap = fmt.Sprint(len(a.Flap.Changes), stamp(a.Flap.Since), a.Flap.Kept)
	}
	return fmt.Sprint(a.Labels, a.State, a.Basis, a.Reason, " active ", stamp(a.ActiveAt), " fired ", stamp(a.FiredAt), " over ", stamp(a.ResolvedAt),
		" keeping ", stamp(a.KeepFiringSince), " missing ", stamp(a.MissingSince), a.Clearing, flap, a.LastSentAt.IsZero())
}
