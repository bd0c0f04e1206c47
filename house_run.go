package tocsin

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	promconfig "github.com/prometheus/prometheus/config"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/drill"
	"github.com/tocsin/tocsin/internal/engine"
	scraping "github.com/tocsin/tocsin/internal/ingest/scrape"
	"github.com/tocsin/tocsin/internal/notify"
	"github.com/tocsin/tocsin/internal/rule"
)

const drillName = drill.AlertName

// start sets everything going: rules last, so that what they ask for is coming in already.
func (h *house) start() error {
	h.elsewhere.Start()
	if err := h.pushed.Start(); err != nil {
		return err
	}
	if err := h.scraper.Start(); err != nil {
		return err
	}
	if err := h.loadRules(h.server.running()); err != nil {
		// A broken rule file harms only itself, at the start too.
		h.logger.Error("A rule file is broken; what is good in its place stays", "err", err)
	}
	h.engine.Start()
	// Last, so that it begins with all alerts that were taken up from the ledger: it would conclude from some of a group that
	// the others are over.
	h.notifier.Start()
	return nil
}

// stop ends everything in the order of a sample's way: nothing comes in, rules say their last word, people are told,
// history closes. It tells before each part which it is. Rooms that were not opened or not started are fine.
func (h *house) stop(at func(string)) error {
	h.leave()
	at("scrapes")
	if h.scraper != nil {
		h.scraper.Stop()
	}
	at("pushes")
	if h.pushed != nil {
		h.pushed.Stop()
	}
	at("rule evaluations")
	if h.engine != nil {
		h.engine.Stop()
	}
	at("notifications")
	var told sync.WaitGroup // one's trouble does not take the other's time
	if h.elsewhere != nil {
		told.Go(h.elsewhere.Stop)
	}
	if h.notifier != nil {
		told.Go(h.notifier.Stop)
	}
	told.Wait()
	var err error
	at("the ledger")
	if h.ledger != nil {
		err = h.ledger.Close()
	}
	at(closingHistory)
	if h.store != nil {
		err = errors.Join(err, h.store.Close())
	}
	return err
}

// appliers are the rooms that take a configuration, in the order in which they get it.
func (h *house) appliers() []applier {
	return []applier{
		{"jit", h.server.applyKernels},
		{"alerting", func(c *config.Config) error {
			h.notifier.ApplyAlerting(c.Prometheus)
			return h.elsewhere.Apply(c.Prometheus)
		}},
		{"history", func(c *config.Config) error {
			// Before history takes the first such sample, and after it took the last.
			if c.Tocsin.History.OutOfOrderTimeWindow > 0 {
				h.compiled.SetOutOfOrder(true)
			}
			err := h.store.Apply(historySettings(c))
			h.compiled.SetOutOfOrder(err == nil && c.Tocsin.History.OutOfOrderTimeWindow > 0)
			return err
		}},
		{"scrape_configs", func(c *config.Config) error { return h.scraper.Apply(withInnerJobs(c)) }},
		// After those that refuse most: giving it the old configuration back would start its queues anew.
		{"remote_write", func(c *config.Config) error { return h.store.ApplyRemoteWrite(c.Prometheus) }},
		{"global", func(c *config.Config) error {
			h.store.SetSubqueryStep(time.Duration(c.Prometheus.GlobalConfig.EvaluationInterval))
			return nil
		}},
		// Last, so that it never has to be given the old configuration back: the pipeline takes each object only once.
		{"notifications", func(c *config.Config) error { return h.notifier.ApplyWith(c.Alertmanager, deliverySettings(c)) }},
	}
}

// rehearse tries c's notifications on a notifier that is thrown away. They are the last to get a configuration, and
// taking the new one back from rooms that have it already would not be free: remote write would lose its queues.
func (h *house) rehearse(c *config.Config) error {
	if c.Alertmanager == nil {
		return nil
	}
	again, _, err := config.LoadAlertmanager(c.AlertmanagerPath) // the pipeline takes each object only once
	if err != nil {
		return err
	}
	n, err := notify.New(notify.Options{Tenant: h.id, ExternalURL: h.external, DrillURL: h.server.desk.Load().HookURL()})
	if err != nil {
		return err
	}
	defer n.Stop()
	if err := n.ApplyWith(again, deliverySettings(c)); err != nil {
		return fmt.Errorf("notifications: %w", err)
	}
	return nil
}

// withInnerJobs returns c's Prometheus configuration with the jobs that scrape this process and this host.
func withInnerJobs(c *config.Config) *promconfig.Config {
	own := *c.Prometheus
	own.ScrapeConfigs = slices.Clone(own.ScrapeConfigs)
	add := func(job, address string, interval time.Duration) {
		for _, sc := range own.ScrapeConfigs {
			if sc.JobName == job {
				return // the user scrapes it already, in a way of his own
			}
		}
		own.ScrapeConfigs = append(own.ScrapeConfigs,
			scraping.InnerJob(job, address, "/metrics", instanceName(), interval, min(interval, 10*time.Second)))
	}
	if c.Tocsin.SelfScrape.Enabled {
		add("tocsin", selfAddress, time.Duration(c.Tocsin.SelfScrape.Interval))
	}
	if *c.Tocsin.Host.Enabled {
		add("node", hostAddress, time.Duration(c.Tocsin.Host.Interval))
	}
	return &own
}

// reloadRules is loadRules at a pace that leaves room to alerts.
func (h *house) reloadRules(cfg *config.Config) error {
	h.pace.Begin()
	defer h.pace.End()
	return h.loadRules(cfg)
}

// loadRules reads changed rule files and puts what is good into force. The error names the broken files; the good ones
// and the last good versions of the broken ones run all the same.
func (h *house) loadRules(cfg *config.Config) error {
	result := h.rules.Load(cfg.Prometheus.RuleFiles, builtinRules(cfg))
	groups := h.rules.Groups()
	g := cfg.Prometheus.GlobalConfig
	if err := h.loadPlans(groups, time.Duration(g.RuleQueryOffset)); err != nil {
		// Whatever is wrong with what is stored, rules are evaluated, if slower, over it.
		h.logger.Error("Rules run on the upstream engine until the next reload", "err", err)
	}
	err := h.engine.Apply(engine.Config{
		Groups:         groups,
		Interval:       time.Duration(g.EvaluationInterval),
		QueryOffset:    time.Duration(g.RuleQueryOffset),
		ExternalLabels: g.ExternalLabels,
		ExternalURL:    h.external,
		Evaluation:     evaluationOf(cfg.Tocsin.Rules),
	})
	if err != nil {
		err = fmt.Errorf("rules: %w", err)
	}
	return errors.Join(result.Err(), err)
}

// evaluationOf says when the rules of a group are evaluated.
func evaluationOf(r config.Rules) func(file, group string) engine.Evaluation {
	return func(file, group string) engine.Evaluation {
		strict, settle := r.EvaluationOf(file, group)
		if settle == 0 {
			settle = -1 // The engine's zero means the default.
		}
		return engine.Evaluation{Strict: strict, Settle: settle}
	}
}

// instanceName is what the instance label of this process's and this host's own metrics says.
func instanceName() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

// builtinRules are the rule files that come with the binary: tocsin's own always, the host's where they are wanted.
func builtinRules(cfg *config.Config) map[string][]byte {
	all := rule.Builtin()
	if !*cfg.Tocsin.Rules.Builtin {
		delete(all, "host")
	}
	return all
}
