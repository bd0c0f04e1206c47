package engine

import (
	"errors"
	"slices"
	"time"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// bequest is an alert that is over because its rule is gone. The ledger keeps it for as long as a rule would: a process that
// is killed before what it notified has got anywhere must be able to tell again.
type bequest struct {
	ledger.Instance
	until time.Time
}

// bequeath keeps in mind what the ledger has to be rid of later. The caller holds applying.
func (e *Engine) bequeath(all []ledger.Instance, now time.Time) {
	for i := range all {
		e.estate = append(e.estate, bequest{all[i], now.Add(alert.ResolvedRetention)})
	}
	if len(e.estate) > 0 && !e.executing {
		e.executing = true
		e.goroutines.Go(e.execute)
	}
}

// execute clears the estate bit by bit, until there is none.
func (e *Engine) execute() {
	timer := time.NewTimer(alert.ResolvedRetention)
	defer timer.Stop()
	for {
		select {
		case <-e.stopCtx.Done():
			return
		case <-timer.C:
		}
		next, ok := e.clearEstate(time.Now())
		if !ok {
			return
		}
		timer.Reset(time.Until(next))
	}
}

// clearEstate takes from the ledger what has been there for long enough. It returns when there is more to do, if ever.
func (e *Engine) clearEstate(now time.Time) (next time.Time, ok bool) {
	e.applying.Lock()
	defer e.applying.Unlock()
	var keys []ledger.InstanceKey
	var left []bequest
	for _, b := range e.estate {
		if b.until.After(now) {
			left = append(left, b)
		} else {
			keys = append(keys, b.Key())
		}
	}
	if err := e.opts.Ledger.Record(nil, nil, keys); err != nil && !errors.Is(err, ledger.ErrNotDurable) {
		e.opts.Logger.Error("The ledger did not forget alerts of rules that are gone", "err", err)
	}
	e.estate = left
	if len(left) == 0 {
		e.executing = false
		return time.Time{}, false
	}
	return left[0].until, true
}

// version names a rule as it is at present.
type version struct{ file, group, rule, id string }

func versionOf(k *ledger.InstanceKey) version { return version{k.File, k.Group, k.Rule, k.RuleID} }

// takeBack gives rules that are there again what they left behind. The ledger has it under their name already.
func (r *reload) takeBack() {
	e := r.engine
	if len(e.estate) == 0 {
		return
	}
	rules := map[version]*ruleState{}
	for _, run := range r.next {
		for _, rs := range run.group.rules {
			rules[version{run.group.file, run.group.name, rs.rule().Name, rs.rule().ID}] = rs
		}
	}
	fresh := map[*ruleState]bool{}
	for _, run := range r.fresh {
		for _, rs := range run.group.rules {
			fresh[rs] = true
		}
	}
	e.estate = slices.DeleteFunc(e.estate, func(b bequest) bool {
		key := b.Key()
		rs := rules[versionOf(&key)]
		if fresh[rs] {
			rs.alerts.Inherit(b.Alert)
		}
		return rs != nil
	})
}
