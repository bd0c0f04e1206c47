package notify

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tocsin/tocsin/internal/ledger"
)

// Recurring silences are ordinary silences, made a while before each window begins, so that every tool sees them, first
// as pending. Each carries in its annotations what it is an occurrence of: so a restart makes none twice, and one that
// somebody ended early does not come back before its next window.

const (
	annotationRecurring  = "tocsin_recurring"
	annotationOccurrence = "tocsin_occurrence"
	// recurringAhead is how long before its beginning a silence is made.
	recurringAhead = time.Hour
	// recurringLook is how often it is looked for what is due.
	recurringLook = 30 * time.Second
	// maxRecurring bounds how many there may be.
	maxRecurring = 1000
)

// recurrences are those that are kept.
type recurrences struct {
	wake chan struct{}
	turn sync.Mutex // one maker of silences at a time

	mu  sync.Mutex
	all map[uint64]*recurrence
}

// openRecurring reads them from the ledger.
func (n *Notifier) openRecurring() error {
	n.recurrences = &recurrences{wake: make(chan struct{}, 1), all: map[uint64]*recurrence{}}
	if n.opts.Ledger == nil {
		return nil
	}
	kept, err := n.opts.Ledger.AllRecurring()
	if err != nil {
		return fmt.Errorf("notify: cannot read the recurring silences: %w", err)
	}
	for _, k := range kept {
		var r Recurring
		err := json.Unmarshal(k.Data, &r)
		r.ID = k.ID
		var checked *recurrence
		if err == nil {
			checked, err = r.check()
		}
		if err != nil {
			n.logger.Error("A recurring silence cannot be read and does not silence anything", "id", k.ID, "err", err)
			continue
		}
		n.recurrences.all[k.ID] = checked
	}
	return nil
}

// AddRecurring keeps a recurring silence and returns it with its ID. The silences follow by themselves, each an hour
// before its window begins; one whose window is under way begins at once.
func (n *Notifier) AddRecurring(r Recurring) (Recurring, error) {
	if n.opts.Ledger == nil {
		return r, errNoLedger
	}
	r.ID = 0
	checked, err := r.check()
	if err != nil {
		return r, err
	}
	now := time.Now()
	if len(checked.within(now, now.AddDate(0, 0, 9))) == 0 || !r.Until.IsZero() && !r.Until.After(now) {
		return r, errors.New("until: it would be over before its first window")
	}
	data, err := json.Marshal(r)
	if err != nil {
		return r, err
	}
	n.recurrences.mu.Lock()
	tooMany := len(n.recurrences.all) >= maxRecurring
	n.recurrences.mu.Unlock()
	if tooMany {
		return r, fmt.Errorf("there are %d recurring silences already, which is the most: delete some", maxRecurring)
	}
	if r.ID, err = n.opts.Ledger.AddRecurring(data); err != nil {
		return r, err
	}
	checked.ID = r.ID
	n.recurrences.mu.Lock()
	n.recurrences.all[r.ID] = checked
	n.recurrences.mu.Unlock()
	n.recurrences.look()
	return r, nil
}

// look has it looked for what is due.
func (r *recurrences) look() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Recurring returns the recurring silences, oldest first.
func (n *Notifier) Recurring() []Recurring {
	out := []Recurring{}
	for _, r := range n.recurrences.list() {
		out = append(out, r.Recurring)
	}
	return out
}

func (r *recurrences) list() (out []*recurrence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.all {
		out = append(out, one)
	}
	slices.SortFunc(out, func(a, b *recurrence) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// DeleteRecurring forgets a recurring silence and ends the silences that it made.
func (n *Notifier) DeleteRecurring(ctx context.Context, id uint64) error {
	if n.opts.Ledger == nil {
		return errNoLedger
	}
	n.recurrences.turn.Lock()
	defer n.recurrences.turn.Unlock()
	err := n.opts.Ledger.DeleteRecurring(id)
	if err != nil && !errors.Is(err, ledger.ErrNoSuchEntry) {
		return err
	}
	n.recurrences.mu.Lock()
	delete(n.recurrences.all, id)
	n.recurrences.mu.Unlock()
	made, _, qerr := n.silences.Query(ctx, silence.QState(silence.SilenceStateActive, silence.SilenceStatePending))
	err = errors.Join(err, qerr)
	for _, s := range made {
		if s.Annotations[annotationRecurring] == strconv.FormatUint(id, 10) {
			err = errors.Join(err, n.silences.Expire(ctx, s.Id))
		}
	}
	return errors.Join(err, n.silencesFile.save())
}

// keepRecurring makes silences when they are due.
func (n *Notifier) keepRecurring() {
	again := time.NewTicker(recurringLook)
	defer again.Stop()
	for {
		if err := n.makeRecurring(time.Now()); err != nil {
			n.logger.Error("A recurring silence was not made; it is tried again", "err", err)
		}
		select {
		case <-n.recurrences.wake:
		case <-again.C:
		case <-n.stop:
			return
		}
	}
}

// makeRecurring makes the silences that are due at now and are not there.
func (n *Notifier) makeRecurring(now time.Time) error {
	n.recurrences.turn.Lock()
	defer n.recurrences.turn.Unlock()
	all := n.recurrences.list()
	if len(all) == 0 {
		return nil
	}
	ctx := context.Background()
	there, _, err := n.silences.Query(ctx)
	if err != nil {
		return err
	}
	made := map[[2]string]bool{}
	for _, s := range there {
		made[[2]string{s.Annotations[annotationRecurring], s.Annotations[annotationOccurrence]}] = true
	}
	var errs []error
	changed := false
	for _, r := range all {
		for _, o := range r.within(now, now.Add(recurringAhead)) {
			s := r.silence(o, now)
			name := s.Annotations[annotationOccurrence]
			if _, here := r.made[name]; here || made[[2]string{s.Annotations[annotationRecurring], name}] {
				continue
			}
			if err := n.silences.Set(ctx, s); err != nil {
				errs = append(errs, fmt.Errorf("recurring silence %d: %w", r.ID, err))
				continue
			}
			r.made[name] = o.End
			changed = true
		}
		maps.DeleteFunc(r.made, func(_ string, end time.Time) bool { return end.Before(now) })
	}
	if changed {
		errs = append(errs, n.silencesFile.save())
	}
	return errors.Join(errs...)
}

// silence is the silence of one occurrence.
func (r *recurrence) silence(o Occurrence, now time.Time) *silencepb.Silence {
	start := o.Start
	if start.Before(now) {
		start = now
	}
	set := &silencepb.MatcherSet{}
	for _, m := range r.matchers {
		set.Matchers = append(set.Matchers, &silencepb.Matcher{Type: matcherType(m.Type), Name: m.Name, Pattern: m.Value})
	}
	return &silencepb.Silence{
		MatcherSets: []*silencepb.MatcherSet{set},
		StartsAt:    timestamppb.New(start),
		EndsAt:      timestamppb.New(o.End),
		CreatedBy:   r.CreatedBy,
		Comment:     fmt.Sprintf("%s (recurring silence %d)", r.Comment, r.ID),
		Annotations: map[string]string{
			annotationRecurring:  strconv.FormatUint(r.ID, 10),
			annotationOccurrence: o.Start.UTC().Format(time.RFC3339),
		},
	}
}

func matcherType(t amlabels.MatchType) silencepb.Matcher_Type {
	switch t {
	case amlabels.MatchEqual:
		return silencepb.Matcher_EQUAL
	case amlabels.MatchNotEqual:
		return silencepb.Matcher_NOT_EQUAL
	case amlabels.MatchRegexp:
		return silencepb.Matcher_REGEXP
	case amlabels.MatchNotRegexp:
		return silencepb.Matcher_NOT_REGEXP
	}
	panic("BUG: unknown type of matcher")
}
