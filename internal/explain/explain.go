// Package explain answers three questions about an alert: why it fired, why it does not, and who was told.
//
// It reads what other rooms know through the functions of its Options and changes nothing: rules and alerts as they stand,
// samples, values of sub-expressions at a moment, transitions of the past, what the notification pipeline thinks of a set
// of labels. Its work is bounded (Limits), and what was cut is said. It must not know HTTP, files, receivers or clocks.
package explain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/history"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/plan"
	"github.com/tocsin/tocsin/internal/rule"
)

// Options are where an Explainer asks. What is nil is not asked, and the answer does without.
type Options struct {
	// Compiler parses expressions of the past. Required.
	Compiler *plan.Compiler
	// Groups are the rule groups as they stand, Files the rule files.
	Groups func() []engine.GroupStatus
	Files  func() []rule.FileStatus
	// Instant evaluates an expression at a time; Read reads samples as they are stored. Both are required.
	Instant func(ctx context.Context, text string, at time.Time) (history.Value, error)
	Read    func(ctx context.Context, r history.Reading) ([]history.Stored, int, error)
	// Beginning is the time of the oldest sample; false where there is none.
	Beginning func() (time.Time, bool)
	// History finds transitions of the past.
	History func(ctx context.Context, q ledger.Query) (ledger.Page, error)
	// Told says what the notification pipeline makes of an alert with these labels.
	Told func(ctx context.Context, alert labels.Labels) (*Told, error)
	// Lookback is how long a sample is current; zero means 5 minutes.
	Lookback time.Duration
	// SubqueryStep is the step of subqueries that name none; nil means a minute.
	SubqueryStep func() time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Limits bound the work.
	Limits Limits
}

// Limits bound one answer. Zero fields have the defaults.
type Limits struct {
	// Timeout is for the whole answer; default 20 s.
	Timeout time.Duration
	// Instances is how many alerts, and how many rules of one name, are explained; default 5.
	Instances int
	// Nodes is how many sub-expressions of one expression are evaluated; default 100.
	Nodes int
	// Elements is how many elements of a sub-expression are shown; default 5.
	Elements int
	// Series is how many series of a selector are shown, Samples how many samples of each; defaults 5 and 12.
	Series, Samples int
	// Transitions is how many transitions of an alert are shown; default 10.
	Transitions int
}

func (l Limits) withDefaults() Limits {
	if l.Timeout == 0 {
		l.Timeout = 20 * time.Second
	}
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Instances, 5}, {&l.Nodes, 100}, {&l.Elements, 5}, {&l.Series, 5}, {&l.Samples, 12}, {&l.Transitions, 10}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return l
}

// Explainer answers questions. It holds no state and is safe for concurrent use.
type Explainer struct{ o Options }

// New returns an Explainer, or says what is missing.
func New(o Options) (*Explainer, error) {
	if o.Compiler == nil || o.Instant == nil || o.Read == nil {
		return nil, errors.New("explain: Options.Compiler, Instant and Read are required")
	}
	if o.Groups == nil {
		o.Groups = func() []engine.GroupStatus { return nil }
	}
	if o.Lookback == 0 {
		o.Lookback = history.DefaultLookbackDelta
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Limits = o.Limits.withDefaults()
	return &Explainer{o: o}, nil
}

// Question is what to explain.
type Question struct {
	// Name is the alerting rule's. File and Group choose among rules of that name where they are not empty.
	Name, File, Group string
	// Matchers say which of its alerts, by labels.
	Matchers []*labels.Matcher
	// At is the moment that the question is about; zero is now.
	At time.Time
	// WhyNot asks why the alert does not fire even where others of the rule do, and does not look into the past.
	WhyNot bool
}

// ErrNotFound says that there is no such rule, nor a trace of one.
var ErrNotFound = errors.New("no such alert")

// Explain answers q. What cannot be had, because a query fails or takes too long, is said in the answer.
func (x *Explainer) Explain(ctx context.Context, q Question) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, x.o.Limits.Timeout)
	defer cancel()
	now := x.o.Now()
	s := &session{x: x, ctx: ctx, q: q, now: now, at: q.At, cuts: map[string]bool{}}
	if s.at.IsZero() || s.at.After(now) {
		s.at = now
	}
	s.past = !q.At.IsZero() && s.at.Before(now)
	s.out = &Answer{Alert: q.Name, Time: s.at.UTC(), Instances: []*Instance{}, WhyNot: []*WhyNot{}}
	s.findRules()
	if err := s.instances(); err != nil {
		return nil, err
	}
	if len(s.rules) == 0 && len(s.out.Instances) == 0 {
		return nil, s.notFound()
	}
	if !s.anyActive() {
		s.whyNot()
	}
	for _, in := range s.out.Instances {
		if in.State == alert.Pending.String() && !s.recalled {
			s.out.WhyNot = append(s.out.WhyNot, s.waiting(in))
		}
	}
	s.tell()
	s.out.Answer = s.answer()
	for cut := range s.cuts {
		s.out.Cuts = append(s.out.Cuts, cut)
	}
	slices.Sort(s.out.Cuts)
	if ctx.Err() != nil {
		s.out.Cuts = append(s.out.Cuts, fmt.Sprintf("the time for an answer, %s, was over before all was looked at", x.o.Limits.Timeout))
	}
	return s.out, nil
}

// session is one question being answered.
type session struct {
	x   *Explainer
	ctx context.Context
	q   Question
	// now is the clock's time, at what the question is about; past says that at was asked for and lies before now.
	now, at time.Time
	past    bool
	// recalled says that no rule has such an alert now, and that instances are of the past.
	recalled bool
	rules    []found
	out      *Answer
	cuts     map[string]bool
}

// found is a rule that the question names.
type found struct {
	group  engine.GroupStatus
	status engine.RuleStatus
}

func (s *session) limits() *Limits { return &s.x.o.Limits }

// cut notes that something was left out.
func (s *session) cut(format string, args ...any) { s.cuts[fmt.Sprintf(format, args...)] = true }

// findRules finds the alerting rules that the question names.
func (s *session) findRules() {
	for _, g := range s.x.o.Groups() {
		if s.q.File != "" && g.File != s.q.File || s.q.Group != "" && g.Name != s.q.Group {
			continue
		}
		for _, r := range g.Rules {
			if r.Rule.Kind == rule.Alerting && r.Rule.Name == s.q.Name {
				s.rules = append(s.rules, found{group: g, status: r})
			}
		}
	}
}

// notFound is ErrNotFound with the names that come near.
func (s *session) notFound() error {
	var near []string
	asked := strings.ToLower(s.q.Name)
	total := 0
	for _, g := range s.x.o.Groups() {
		for _, r := range g.Rules {
			if r.Rule.Kind != rule.Alerting {
				continue
			}
			total++
			name := strings.ToLower(r.Rule.Name)
			if (strings.Contains(name, asked) || strings.Contains(asked, name)) && !slices.Contains(near, r.Rule.Name) && len(near) < 5 {
				near = append(near, r.Rule.Name)
			}
		}
	}
	switch {
	case s.q.File != "" || s.q.Group != "":
		return fmt.Errorf("%w: no alerting rule is called %q in that file and group", ErrNotFound, s.q.Name)
	case len(near) > 0:
		return fmt.Errorf("%w: no alerting rule is called %q; did you mean %s?", ErrNotFound, s.q.Name, strings.Join(near, ", "))
	}
	return fmt.Errorf("%w: none of the %d alerting rules is called %q; /api/v1/rules lists them", ErrNotFound, total, s.q.Name)
}

// ref says which rule f is.
func (s *session) ref(f *found) RuleRef {
	r := f.status.Rule
	ref := RuleRef{
		File: f.group.File, Group: f.group.Name, Name: r.Name, Line: r.Line, ID: r.ID, Query: r.Plan.String(),
		Condition: r.Condition, ForSeconds: r.For.Seconds(), KeepFiringForSeconds: r.KeepFiringFor.Seconds(),
		Health: f.status.Health, LastError: f.status.LastError,
		LastEvaluation: when(f.status.LastEvaluation), EvaluationSeconds: f.status.EvaluationTime.Seconds(),
	}
	if r.OnMissing != alert.MissingResolves {
		ref.OnMissing = r.OnMissing.String()
	}
	if r.Clear != nil {
		ref.Clear = r.Clear.String()
	}
	if s.x.o.Files != nil {
		for _, file := range s.x.o.Files() {
			if file.Path == f.group.File {
				ref.LoadedAt, ref.FileHash = when(file.LoadedAt), file.Hash
			}
		}
	}
	return ref
}
