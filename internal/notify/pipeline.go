package notify

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/inhibit"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	commoncfg "github.com/prometheus/common/config"
)

// pipeline is all that one configuration brings about. It is built without side effects, run once, and stopped.
type pipeline struct {
	n          *Notifier
	shown      *amconfig.Config // as its author wrote it
	routes     *dispatch.Route
	tmpl       *template.Template
	stage      *drainStage
	inhibitor  *inhibit.Inhibitor
	intervener *timeinterval.Intervener
	dispatcher *dispatch.Dispatcher // nil until run
	// used are the integrations of receivers that a route uses, extra those of others that messages wait for or may go to.
	used, extra  map[string][]*attempter
	fallback     []target
	receivers    int
	integrations int
	running      sync.WaitGroup
}

// build makes a pipeline of cfg; on an error nothing has happened.
func (n *Notifier) build(cfg *amconfig.Config, settings Settings) (*pipeline, error) {
	if err := complete(cfg); err != nil {
		return nil, err
	}
	effective := withDrill(cfg, n.opts.DrillURL)
	tmpl, err := template.FromGlobs(effective.Templates)
	if err != nil {
		return nil, fmt.Errorf("alertmanager configuration: templates: %w", err)
	}
	tmpl.ExternalURL = n.opts.ExternalURL

	p := &pipeline{
		n: n, shown: cfg, tmpl: tmpl, routes: dispatch.NewRoute(effective.Route, nil),
		used: map[string][]*attempter{}, extra: map[string][]*attempter{},
	}
	if err := p.buildReceivers(effective, settings.FallbackReceiver); err != nil {
		return nil, err
	}
	p.inhibitor = inhibit.NewInhibitor(n.inhibitorView(effective.InhibitRules), effective.InhibitRules, n.logger, n.events)
	p.intervener = timeinterval.NewIntervener(timeIntervals(effective))
	p.stage = newDrainStage(p.stages(), n.flights)
	return p, nil
}

// complete checks what amconfig.Load has checked of a configuration from a file, for those that were put together
// otherwise.
func complete(cfg *amconfig.Config) error {
	if cfg.Route == nil || cfg.Route.Receiver == "" {
		return errors.New("alertmanager configuration: the root route needs a receiver")
	}
	if cfg.Global == nil {
		return errors.New("alertmanager configuration: no global section; load it with alertmanager's config.Load")
	}
	known := make(map[string]bool, len(cfg.Receivers))
	for _, r := range cfg.Receivers {
		known[r.Name] = true
	}
	return checkReceivers(cfg.Route, known)
}

func checkReceivers(r *amconfig.Route, known map[string]bool) error {
	if r.Receiver != "" && !known[r.Receiver] {
		return fmt.Errorf("alertmanager configuration: a route names receiver %q, which is not defined", r.Receiver)
	}
	for _, c := range r.Routes {
		if err := checkReceivers(c, known); err != nil {
			return err
		}
	}
	return nil
}

// buildReceivers builds the integrations of all receivers that a route uses, as upstream does, of the fallback receiver,
// and of those that messages wait for.
func (p *pipeline) buildReceivers(cfg *amconfig.Config, fallback string) error {
	used := map[string]bool{}
	p.routes.Walk(func(r *dispatch.Route) { used[r.RouteOpts.Receiver] = true })
	waiting := map[string]bool{}
	if p.n.outbox != nil {
		waiting = p.n.outbox.receivers()
	}
	found := fallback == ""
	for _, rc := range cfg.Receivers {
		isFallback := rc.Name == fallback && p.n.outbox != nil
		found = found || rc.Name == fallback
		if !used[rc.Name] && !isFallback && !waiting[rc.Name] {
			p.n.logger.Info("No route uses this receiver", "receiver", rc.Name)
			continue
		}
		built, err := p.buildReceiver(rc)
		switch {
		case err != nil && !used[rc.Name] && !isFallback:
			p.n.logger.Error("Messages wait for a receiver that cannot be set up", "receiver", rc.Name, "err", err)
			continue
		case err != nil:
			return fmt.Errorf("alertmanager configuration: receiver %q: %w", rc.Name, err)
		case used[rc.Name]:
			p.used[rc.Name] = built
			p.integrations += len(built)
		default:
			p.extra[rc.Name] = built
		}
		for _, a := range built {
			if isFallback {
				p.fallback = append(p.fallback, a.target())
			}
		}
	}
	if !found {
		return fmt.Errorf("notifications.fallback_receiver: the alertmanager configuration has no receiver %q", fallback)
	}
	p.receivers = len(p.used)
	return nil
}

func (p *pipeline) buildReceiver(rc amconfig.Receiver) ([]*attempter, error) {
	var how []commoncfg.HTTPClientOption
	if p.n.opts.Dial != nil {
		how = append(how, commoncfg.WithDialContextFunc(p.n.opts.Dial))
	}
	built, err := receiver.BuildReceiverIntegrations(rc, p.tmpl, p.n.logger, how...)
	out := make([]*attempter, len(built))
	for i := range built {
		out[i] = watched(built[i], rc.Name, p.n.opts.OnDelivery, p.n.metrics.abandoned)
		if p.n.outbox != nil {
			hear(&built[i])
			out[i].accept = p.n.accept
		}
	}
	return out, err
}

// all are the integrations that messages can be delivered by.
func (p *pipeline) all() (out []*attempter) {
	for _, m := range []map[string][]*attempter{p.used, p.extra} {
		for _, built := range m {
			out = append(out, built...)
		}
	}
	return out
}

func timeIntervals(cfg *amconfig.Config) map[string][]timeinterval.TimeInterval {
	out := make(map[string][]timeinterval.TimeInterval, len(cfg.MuteTimeIntervals)+len(cfg.TimeIntervals))
	for _, ti := range cfg.MuteTimeIntervals {
		out[ti.Name] = ti.TimeIntervals
	}
	for _, ti := range cfg.TimeIntervals {
		out[ti.Name] = ti.TimeIntervals
	}
	return out
}

// runInhibitor returns once all alerts that are there are known as sources. The pipeline before may run on meanwhile.
func (p *pipeline) runInhibitor() {
	p.running.Go(p.inhibitor.Run)
	p.inhibitor.WaitForLoading()
}

// runDispatcher lets alerts through from startAt on; it returns once those that are there are in their groups.
func (p *pipeline) runDispatcher(startAt time.Time) {
	p.dispatcher = dispatch.NewDispatcher(p.n.store, p.routes, p.stage, p.n.groupMarker, flushTimeout, 30*time.Second, nil,
		p.n.logger, p.n.events, p.n.dispatcherMetrics, p.tmpl)
	p.running.Go(func() { p.dispatcher.Run(startAt) })
	p.dispatcher.WaitForLoading()
}

// flushTimeout bounds one flush of a group, as upstream does: by its group_interval, but by no less than 10 s.
func flushTimeout(groupInterval time.Duration) time.Duration {
	return max(groupInterval, amnotify.MinTimeout)
}

// halt ends dispatching; deliveries under way go on until finish. Upstream's dispatcher, where it still waits for
// Options.StartDelay, ends only then; nothing waits for that, as by now it can neither take nor tell anything.
func (p *pipeline) halt() {
	p.stage.close()
	stopped := make(chan struct{})
	go func() {
		p.dispatcher.Stop()
		close(stopped)
	}()
	enough := time.NewTimer(100 * time.Millisecond)
	defer enough.Stop()
	select {
	case <-stopped:
	case <-enough.C:
	}
}

// finish, after halt, waits for deliveries under way and ends what is left.
func (p *pipeline) finish(patience time.Duration, l *slog.Logger) {
	if !p.stage.drain(patience) {
		l.Warn("Deliveries were cut off because they took too long to end; they are tried again", "waited", patience)
	}
	p.inhibitor.Stop()
	p.running.Wait()
}

// Warnings says in words what of cfg has not the effect here that it seems to have. What has none at all, loading the file
// says, and where it stands.
func Warnings(cfg *amconfig.Config, retention time.Duration) []string {
	var out []string
	if cfg.Route == nil {
		return nil
	}
	if retention == 0 {
		retention = DefaultRetention
	}
	dispatch.NewRoute(cfg.Route, nil).Walk(func(r *dispatch.Route) {
		o := r.RouteOpts
		if o.RepeatInterval > retention {
			out = append(out, fmt.Sprintf("route %s: repeat_interval %s is longer than the notification log is kept (%s): "+
				"notifications repeat earlier", r.Key(), o.RepeatInterval, retention))
		}
		if o.RepeatInterval < o.GroupInterval {
			out = append(out, fmt.Sprintf("route %s: repeat_interval %s is shorter than group_interval %s: "+
				"notifications repeat at the next group_interval", r.Key(), o.RepeatInterval, o.GroupInterval))
		}
	})
	return out
}
