package tocsin

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	promconfig "github.com/prometheus/prometheus/config"

	"github.com/tocsin/tocsin/internal/config"
	"github.com/tocsin/tocsin/internal/drill"
	"github.com/tocsin/tocsin/internal/engine"
	scraping "github.com/tocsin/tocsin/internal/ingest/scrape"
	"github.com/tocsin/tocsin/internal/rule"
)

const drillName = drill.AlertName

// start sets everything going: rules last, so that what they ask for is coming in already.
func (h *house) start() error {
	h.notifier.Start()
	h.elsewhere.Start()
	if err := h.pushed.Start(); err != nil {
		return err
	}
	if err := h.scraper.Start(); err != nil {
		return err
	}
	cfg := h.server.running()
	if err := h.loadRules(cfg); err != nil {
		// A broken rule file harms only itself, at the start too.
		h.logger.Error("A rule file is broken; what is good in its place stays", "err", err)
	}
	h.engine.Start()
	return nil
}

// stop ends everything in the order of a sample's way: nothing comes in, rules say their last word, people are told,
// history closes.
func (h *house) stop() error {
	h.scraper.Stop()
	h.pushed.Stop()
	h.engine.Stop()
	h.elsewhere.Stop()
	h.notifier.Stop()
	return h.close()
}

// close gives back what opening took, of a house that does not run.
func (h *house) close() error {
	if h.store == nil {
		return nil
	}
	return h.store.Close()
}

// appliers are the rooms that take a configuration, in the order in which they get it.
func (h *house) appliers() []applier {
	return []applier{
		{"alerting", func(c *config.Config) error { return h.elsewhere.Apply(c.Prometheus) }},
		{"history", func(c *config.Config) error { return h.store.Apply(historySettings(c)) }},
		{"remote_write", func(c *config.Config) error { return h.store.ApplyRemoteWrite(c.Prometheus) }},
		{"scrape_configs", func(c *config.Config) error { return h.scraper.Apply(withInnerJobs(c)) }},
		{"global", func(c *config.Config) error {
			h.store.SetSubqueryStep(time.Duration(c.Prometheus.GlobalConfig.EvaluationInterval))
			return nil
		}},
		// Last, so that it never has to be given the old configuration back: the pipeline takes each object only once.
		{"notifications", func(c *config.Config) error { return h.notifier.Apply(c.Alertmanager) }},
	}
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

// loadRules reads changed rule files and puts what is good into force. The error names the broken files; the good ones
// and the last good versions of the broken ones run all the same.
func (h *house) loadRules(cfg *config.Config) error {
	result := h.rules.Load(cfg.Prometheus.RuleFiles, builtinRules(cfg))
	g := cfg.Prometheus.GlobalConfig
	err := h.engine.Apply(engine.Config{
		Groups:         h.rules.Groups(),
		Interval:       time.Duration(g.EvaluationInterval),
		QueryOffset:    time.Duration(g.RuleQueryOffset),
		ExternalLabels: g.ExternalLabels,
		ExternalURL:    h.external,
	})
	if err != nil {
		err = fmt.Errorf("rules: %w", err)
	}
	return errors.Join(result.Err(), err)
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
