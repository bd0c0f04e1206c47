package engine

import (
	"time"

	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/exec"
)

// streamed appends what the Stream has for the rule to buf. It is false where the rule has to be evaluated in full.
func (g *Group) streamed(rs *ruleState, m moment, buf promql.Vector) (promql.Vector, bool, error) {
	seat := rs.seat.Load()
	if seat == nil {
		return nil, false, nil // A reload has just taken it away.
	}
	follows, ready := g.streamer.ready(seat)
	switch {
	case !follows:
		rs.miss()
		return nil, false, nil
	case !ready:
		return nil, false, nil
	}
	v, err := g.opts.Stream.Result(rs.rule().Plan, m.ts.UnixMilli(), buf)
	if err == nil {
		rs.missed = false
		return v, true, nil
	}
	bail := exec.AsBail(err)
	if bail == nil {
		return nil, false, err
	}
	g.streamer.metrics.bail(bail.Reason)
	rs.miss()
	return nil, false, nil
}

// miss notes that there was no ready result. The first time that is the price of getting one; where it happens again and
// again, the rule is held back.
func (rs *ruleState) miss() {
	if rs.missed {
		rs.restUntil(time.Now().Add(bailSpacing))
	}
	rs.missed = true
}

// watchDeadline lets the streamer wake the rule when the time alone will change one of its alerts.
func (g *Group) watchDeadline(rs *ruleState) {
	seat := rs.seat.Load()
	if seat == nil {
		rs.watched = false
		return
	}
	at := g.deadline(rs)
	if at == 0 && !rs.watched {
		return // As nearly always.
	}
	rs.watched = at != 0
	g.streamer.watch(seat, at)
}
