package web

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
)

// What the page shows of the record at most.
const (
	maxHistoryRows = 12
	maxCircuitRows = 20
	// shortVersion is how much of a rule's version people read.
	shortVersion = 8
)

// recordView is what the status page shows of the ledger.
type recordView struct {
	// Open is whether there is one, Trouble what is wrong with it.
	Open    bool
	Trouble string
	Entries []transitionView
	// Unread says why there are no entries; Wait that there will be soon.
	Unread string
	Wait   bool
}

// transitionView is a row of history.
type transitionView struct {
	When moment
	// Word is what became of the alert, Class its colour: firing, pending or none.
	Word, Class string
	From        string
	Name        string
	Labels      []labels.Label
	Summary     string
	Value       string
	Exact       string
	Threshold   string
	// After is how long the state before lasted, where that is known.
	After   string
	Expr    string
	Version string
	Reason  string
	Told    []toldView
	More    int
}

type toldView struct {
	Receiver, Outcome, Note string
	Bad, Good               bool
}

// outboxView is how many notifications wait and are dead, and which receivers have trouble.
type outboxView struct {
	// Shown is whether anybody knows.
	Shown         bool
	Waiting, Dead int
	// Oldest is when the oldest that waits was made.
	Oldest   moment
	Circuits []circuitView
	Unread   string
}

type circuitView struct {
	Receiver, Integration, State, Error string
	Failures                            int
	Until                               moment
}

func (t *Tenant) recordView(ctx context.Context, now clock) recordView {
	if t.Ledger == nil {
		return recordView{}
	}
	v := recordView{Open: true}
	if ok, why := t.Ledger.Healthy(); !ok {
		v.Trouble = why
	}
	entries, err := t.latest(ctx, maxHistoryRows)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		v.Wait = true
	case err != nil:
		v.Unread = err.Error()
	}
	for i := range entries {
		v.Entries = append(v.Entries, transitionViewOf(&entries[i], now))
	}
	return v
}

func transitionViewOf(e *ledger.Recorded, now clock) transitionView {
	v := transitionView{
		When: now.moment(e.At), From: e.From.String(), Name: e.Rule, Value: figure(e.Value), Exact: strconv.FormatFloat(e.Value, 'g', -1, 64),
		Threshold: e.Threshold, Expr: e.Expr, Version: e.RuleID[:min(len(e.RuleID), shortVersion)], Reason: e.Reason.Text(),
		Summary: e.Annotations.Get("summary"),
	}
	v.Word, v.Class = changeWord(&e.Transition)
	if e.Resolved() && e.Clearing.Known {
		v.Value, v.Exact = figure(e.Clearing.Value), strconv.FormatFloat(e.Clearing.Value, 'g', -1, 64)
	}
	if d := lasted(&e.Transition); d > 0 {
		v.After = took(d)
	}
	e.Labels.Range(func(l labels.Label) {
		if l.Name != labels.AlertName {
			v.Labels = append(v.Labels, l)
		}
	})
	for i, d := range e.Deliveries {
		if i == maxTold {
			v.More = len(e.Deliveries) - maxTold
			break
		}
		v.Told = append(v.Told, toldView{
			Receiver: d.Receiver + "/" + d.Integration, Outcome: outcomeWords(d.Outcome), Note: d.Answer,
			Good: d.Outcome == ledger.Delivered, Bad: d.Outcome != ledger.Delivered && d.Outcome != ledger.Muted,
		})
	}
	return v
}

// maxTold is how many deliveries a row shows.
const maxTold = 4

// changeWord says in a word what became of the alert, and in which colour.
func changeWord(t *alert.Transition) (word, class string) {
	switch {
	case t.Mark():
		return t.Reason.Word(), "mark"
	case t.Resolved():
		return "resolved", "resolved"
	case t.To == alert.Inactive:
		return t.To.String(), "mark"
	}
	return t.To.String(), t.To.String()
}

// lasted returns how long the state before t lasted, zero where that is not known.
func lasted(t *alert.Transition) time.Duration {
	switch {
	case t.Mark():
		return 0
	case t.From == alert.Firing:
		return t.Duration
	case t.From == alert.Pending:
		return t.At.Sub(t.ActiveAt)
	}
	return 0
}

func outcomeWords(o ledger.Outcome) string {
	switch o {
	case ledger.Failed:
		return "failed, tries again"
	case ledger.GaveUp:
		return "refused"
	case ledger.Dead:
		return "dead letter"
	}
	return string(o)
}

func (t *Tenant) outboxView(now clock) outboxView {
	if t.Notifications == nil {
		return outboxView{}
	}
	n, err := t.Notifications()
	if err != nil {
		return outboxView{Shown: true, Unread: err.Error()}
	}
	v := outboxView{Shown: true, Waiting: len(n.Waiting), Dead: len(n.DeadLetters)}
	var oldest time.Time
	for i := range n.Waiting {
		if at := n.Waiting[i].CreatedAt; oldest.IsZero() || at.Before(oldest) {
			oldest = at
		}
	}
	v.Oldest = now.moment(oldest)
	for _, c := range n.Circuits {
		if c.State == "closed" || len(v.Circuits) == maxCircuitRows {
			continue
		}
		v.Circuits = append(v.Circuits, circuitView{
			Receiver: c.Receiver, Integration: c.Integration, State: c.State, Error: c.LastError, Failures: c.Failures, Until: now.until(c.Until),
		})
	}
	return v
}

// until is moment for what is to come: how long from now.
func (c clock) until(t time.Time) moment {
	m := c.moment(t)
	if m.ISO != "" {
		m.Ago = ago(t.Sub(c.now))
	}
	return m
}
