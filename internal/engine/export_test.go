package engine

import (
	"github.com/tocsin/tocsin/internal/ledger"
)

// Snapshots returns all instances of all rules, and what is left of those that are gone, as the ledger should have them.
func (e *Engine) Snapshots() (all []ledger.Instance) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for _, r := range e.runners {
		g := r.group
		g.mu.Lock()
		for _, rs := range g.rules {
			for _, a := range rs.alerts.Snapshot(nil) {
				all = append(all, g.instance(rs, a))
			}
		}
		g.mu.Unlock()
	}
	e.applying.Lock()
	defer e.applying.Unlock()
	for _, b := range e.estate {
		all = append(all, b.Instance)
	}
	return all
}
