package tocsin

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/exec"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
	"github.com/tocsin/tocsin/internal/window"
)

// openCompiled makes the compiled engine. It comes before history, which tells it of each commit.
func (h *house) openCompiled(_ string, cfg *config.Config, reg prometheus.Registerer) error {
	t := cfg.Tocsin
	h.compiled = exec.New(exec.Options{
		Logger:     h.logger.With("part", "compiled rules"),
		Lookback:   time.Duration(t.Query.LookbackDelta),
		MaxBytes:   int64(t.Rules.Windows.MaxSize),
		Kernels:    h.server.kernels,
		Rest:       h.pace.Rest,
		OutOfOrder: t.History.OutOfOrderTimeWindow > 0,
		Range: func(ctx context.Context, text string, start, end time.Time, step time.Duration) (promql.Matrix, error) {
			return h.store.Range(ctx, text, start, end, step)
		},
		SubqueryStep: func() time.Duration {
			return time.Duration(h.server.running().Prometheus.GlobalConfig.EvaluationInterval)
		},
	})
	reg.MustRegister(exec.NewCollector(h.compiled))
	h.evaluated = newTierCosts(reg)
	return nil
}

// arrivals hands what history commits to the compiled engine.
type arrivals struct {
	compiled *exec.Core
	batches  sync.Pool // of *[]window.Sample
}

func (a *arrivals) commit(_ context.Context, batch []history.Sample) {
	buf, _ := a.batches.Get().(*[]window.Sample)
	if buf == nil {
		buf = new([]window.Sample)
	}
	for i := range batch {
		s := &batch[i]
		*buf = append(*buf, window.Sample{
			Ref: uint64(s.Ref), Labels: s.Labels, T: s.T, V: s.V, Histogram: s.H != nil || s.FH != nil,
		})
	}
	a.compiled.Feed(*buf, time.Now().UnixMilli())
	clear(*buf)
	*buf = (*buf)[:0]
	a.batches.Put(buf)
}

// evaluate runs a rule's plan: compiled, or on the upstream engine where the compiled engine leaves it to that.
func (h *house) evaluate(ctx context.Context, p *plan.Plan, at time.Time, buf promql.Vector) (promql.Vector, error) {
	began := time.Now()
	if p.Root() != nil {
		v, err := h.compiled.Eval(ctx, p, at.UnixMilli(), buf)
		if exec.AsBail(err) == nil {
			h.evaluated.observe(h.compiled.Tier(p), time.Since(began))
			return v, err
		}
	}
	v, err := h.store.Eval(ctx, p, at)
	h.evaluated.observe(int(plan.Tier0), time.Since(began))
	return append(buf, v...), err
}

// tierCosts are how many evaluations in full there were on each tier, and what they took.
type tierCosts struct{ seconds [3]prometheus.Observer }

func newTierCosts(reg prometheus.Registerer) *tierCosts {
	seconds := prometheus.NewSummaryVec(prometheus.SummaryOpts{
		Name: "tocsin_rule_tier_evaluation_duration_seconds",
		Help: "What evaluating rules' expressions in full took, by the tier that answered.",
	}, []string{"tier"})
	reg.MustRegister(seconds)
	c := &tierCosts{}
	for tier := range c.seconds {
		c.seconds[tier] = seconds.WithLabelValues(strconv.Itoa(tier))
	}
	return c
}

func (c *tierCosts) observe(tier int, took time.Duration) { c.seconds[tier].Observe(took.Seconds()) }

// loadPlans makes the groups' plans known to the compiled engine and fills the windows that they need.
func (h *house) loadPlans(groups []*rule.Group, late time.Duration) error {
	var plans []*plan.Plan
	for _, g := range groups {
		if g.QueryOffset != nil {
			late = max(late, *g.QueryOffset)
		}
		for _, r := range g.Rules {
			plans = append(plans, engine.PlansOf(r)...)
		}
	}
	h.compiled.SetLate(late)
	return h.compiled.Load(h.running, plans, h.store, time.Now().UnixMilli())
}

// measure says what is known of a plan's node at work.
func (h *house) measure(n *plan.Node) *plan.Measurement {
	m, ok := h.compiled.Measure(n.Key)
	if !ok {
		return nil
	}
	return &plan.Measurement{
		Lanes: m.Lanes, Valid: m.Valid, Evaluations: m.Evaluations, NsPerEval: m.NsPerEvaluation, Bytes: m.Bytes,
		Kernel: m.Kernel,
	}
}
