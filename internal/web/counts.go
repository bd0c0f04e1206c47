package web

import (
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/rule"
)

func countRules(groups []engine.GroupStatus, files []rule.FileStatus) ruleCounts {
	c := ruleCounts{Groups: len(groups)}
	for _, g := range groups {
		c.Rules += len(g.Rules)
		for _, r := range g.Rules {
			if ruleHealth(r) == rules.HealthBad {
				c.Failing++
			}
			for _, a := range activeAlerts(r.Alerts) {
				if a.State == alert.Firing {
					c.Firing++
				} else {
					c.Pending++
				}
			}
		}
	}
	for _, f := range files {
		if len(f.Errors) > 0 {
			c.BadFiles++
		}
	}
	return c
}

func countTargets(t *Tenant) targetCounts {
	var c targetCounts
	for _, pool := range scrapeTargets(t.scrape()).TargetsActive() {
		for _, target := range pool {
			switch target.Health() {
			case scrape.HealthGood:
				c.Up++
			case scrape.HealthBad:
				c.Down++
			default:
				c.Unknown++
			}
		}
	}
	return c
}
