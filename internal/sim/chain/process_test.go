package chain

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/sim"
	"github.com/tocsin/tocsin/internal/window"
)

// ground is what outlives a process: history, the data directory, the network.
type ground struct {
	t        *testing.T
	db       *teststorage.TestStorage
	promql   *promql.Engine
	compiler *plan.Compiler
	network  *sim.Network
	dir      string
	config   string
	rules    map[string]string
}

func newGround(t *testing.T) *ground {
	g := &ground{
		t: t, db: teststorage.New(t), network: &sim.Network{}, dir: filepath.Join(t.TempDir(), "data"),
		compiler: plan.NewCompiler(plan.Options{}),
		promql:   promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Hour, LookbackDelta: lookback}),
	}
	t.Cleanup(func() { _ = g.promql.Close() })
	return g
}

// The points at which a process can be killed exactly.
const (
	recorded  = "recorded"  // a transition is in the ledger, and nobody knows of it
	notifying = "notifying" // and what it is about to notify
	answered  = "answered"  // a receiver has answered, and the ledger does not know it
)

// process is one life.
type process struct {
	*ground
	began    time.Time
	caller   *sim.Caller
	core     *exec.Core
	ledger   *ledger.Ledger
	engine   *engine.Engine
	notifier *notify.Notifier
	diskFull atomic.Bool

	mu     sync.Mutex
	deadly string // the point at which it is to be killed
	dead   bool
	struck chan struct{} // of capacity 1: the point has come
	buried chan struct{} // closed when it is dead
}

// start begins a life.
func (g *ground) start() *process {
	g.t.Helper()
	p := &process{ground: g, began: time.Now(), caller: &sim.Caller{Network: g.network}, struck: make(chan struct{}, 1), buried: make(chan struct{})}
	var err error
	p.ledger, err = ledger.Open(ledger.Options{Dir: filepath.Join(g.dir, "ledger"), Fault: p.fault})
	require.NoError(g.t, err)
	p.notifier, err = notify.New(notify.Options{
		Dir: filepath.Join(g.dir, "notify"), Ledger: p.ledger, Dial: p.caller.Dial, DrainTimeout: time.Millisecond, OnDelivery: func(notify.Delivery) { p.at(answered) },
		Settings: notify.Settings{MinBackoff: time.Second, MaxBackoff: 20 * time.Second},
	})
	require.NoError(g.t, err)
	cfg, err := amconfig.Load(g.config)
	require.NoError(g.t, err)
	require.NoError(g.t, p.notifier.Apply(cfg))
	p.startEngine()
	p.engine.Start()
	p.notifier.Start() // As the house does: with all alerts that were taken up.
	return p
}

func (p *process) startEngine() {
	p.t.Helper()
	p.core = exec.New(exec.Options{Lookback: lookback})
	groups, plans := p.load()
	require.NoError(p.t, p.core.Load(context.Background(), plans, p.db, time.Now().UnixMilli()))
	p.engine = engine.New(engine.Options{
		Eval: p.eval, Stream: p.core, Compiler: p.compiler, Appendable: p.appendable(), Ledger: p.ledger, SettleAfterStart: -1,
		OnTransition: func(context.Context, alert.Transition) { p.at(recorded) },
		Notify: func(ctx context.Context, all []alert.Outgoing) {
			p.at(notifying)
			p.notifier.Send(ctx, all)
		},
	})
	require.NoError(p.t, p.engine.Apply(engine.Config{Groups: groups}))
}

func (p *process) load() (groups []*rule.Group, plans []*plan.Plan) {
	f, errs := rule.ParseBoth("f.yml", []byte(p.rules["f.yml"]), []byte(p.rules["f.tocsin.yml"]), p.compiler)
	require.Empty(p.t, errs)
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			plans = append(plans, engine.PlansOf(r)...)
		}
	}
	return f.Groups, plans
}

func (p *process) eval(ctx context.Context, of *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	v, err := p.core.Eval(ctx, of, at.UnixMilli(), buf)
	if exec.AsBail(err) == nil {
		return v, err
	}
	v, err = rules.EngineQueryFunc(p.promql, p.db)(ctx, of.String(), at)
	return append(buf, v...), err
}

func (p *process) fault() error {
	if p.diskFull.Load() {
		return errors.New("no space left on device, says the simulation")
	}
	return nil
}

// at is called at each of the points. Where the process is to be killed there, the caller does not get any further.
func (p *process) at(point string) {
	p.mu.Lock()
	die := p.deadly == point && !p.dead
	if die {
		p.deadly = ""
	}
	p.mu.Unlock()
	if die {
		p.struck <- struct{}{}
		<-p.buried
	}
}

// killAt has the process killed when it comes to a point.
func (p *process) killAt(point string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadly = point
}

// kill ends the life: what is not on disk is lost, connections are cut, and nothing that the process still does gets
// anywhere.
func (p *process) kill() {
	p.t.Helper()
	synctest.Wait()
	p.ground.dir = p.leave()
	p.mu.Lock()
	p.dead = true
	p.mu.Unlock()
	p.caller.Kill()
	p.end()
}

// leave copies what is on disk, as a killed process leaves it.
func (p *process) leave() (to string) {
	p.t.Helper()
	to = p.dir + "x"
	for _, name := range []string{"ledger/ledger.db", "ledger/ledger.db-wal", "notify/nflog", "notify/silences"} {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		require.NoError(p.t, err)
		require.NoError(p.t, os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o750))
		require.NoError(p.t, os.WriteFile(filepath.Join(to, name), content, 0o600))
	}
	return to
}

// end lets go of what the process has, as a process that ends in peace does.
func (p *process) end() {
	close(p.buried)
	p.engine.Stop()
	p.notifier.Stop()
	p.caller.Kill()
	_ = p.ledger.Close() // What a full disk did not take is lost, and that is said.
	synctest.Wait()
}

// append brings values into history, and before the compiled engine.
func (p *process) append(values map[string]float64) {
	p.t.Helper()
	app := p.appendable().AppenderV2(context.Background())
	for i, v := range values {
		_, err := app.Append(0, labels.FromStrings("__name__", "v", "i", i), 0, time.Now().UnixMilli(), v, nil, nil, storage.AOptions{})
		require.NoError(p.t, err)
	}
	require.NoError(p.t, app.Commit())
}

// appendable is history that feeds the compiled engine.
func (p *process) appendable() storage.AppendableV2 { return feeding{p.db, p.core} }

type feeding struct {
	storage.AppendableV2
	core *exec.Core
}

type feedingAppender struct {
	storage.AppenderV2
	core  *exec.Core
	batch []window.Sample
}

// AppenderV2 implements storage.AppendableV2.
func (f feeding) AppenderV2(ctx context.Context) storage.AppenderV2 {
	return &feedingAppender{AppenderV2: f.AppendableV2.AppenderV2(ctx), core: f.core}
}

// Append implements storage.AppenderV2.
func (a *feedingAppender) Append(ref storage.SeriesRef, ls labels.Labels, st, t int64, v float64, h *histogram.Histogram,
	fh *histogram.FloatHistogram, opts storage.AOptions,
) (storage.SeriesRef, error) {
	ref, err := a.AppenderV2.Append(ref, ls, st, t, v, h, fh, opts)
	if err == nil {
		a.batch = append(a.batch, window.Sample{Ref: uint64(ref), Labels: ls, T: t, V: v})
	}
	return ref, err
}

// Commit implements storage.AppenderV2.
func (a *feedingAppender) Commit() error {
	err := a.AppenderV2.Commit()
	if err == nil && len(a.batch) > 0 {
		a.core.Feed(a.batch, time.Now().UnixMilli())
	}
	return err
}
