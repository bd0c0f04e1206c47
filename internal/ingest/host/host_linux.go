package host

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/node_exporter/collector"
)

// parseFlags gives node_exporter's settings their defaults. They are flags of kingpin's global command line, which stay nil
// until it is parsed. That is state of the process whichever way it is held: it is done once, because a second parsing
// would write what the collectors of a first gatherer read. Nothing else is kept here.
var parseFlags = sync.OnceValue(func() error {
	_, err := kingpin.CommandLine.Parse(nil)
	return err
})

// NewGatherer returns a gatherer of the chosen collectors. The error names a collector that does not exist, is off by
// default or cannot run here. Of the default ones, those that cannot run here are left out and logged.
func NewGatherer(o Options) (prometheus.Gatherer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := parseFlags(); err != nil {
		return nil, fmt.Errorf("host: defaults of the collectors: %w", err)
	}
	logger := slog.New(quiet{o.Logger.Handler()})
	names := o.Collectors
	if len(names) == 0 {
		var err error
		if names, err = runnable(defaultCollectors(), func(name string) error {
			_, err := collector.NewNodeCollector(logger, name)
			return err
		}, o.Logger); err != nil {
			return nil, err
		}
	}
	c, err := collector.NewNodeCollector(logger, names...)
	if err != nil {
		return nil, fmt.Errorf("host: %w (tocsin.host.collectors)", err)
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(c); err != nil {
		return nil, fmt.Errorf("host: register the collectors: %w", err)
	}
	return &gatherer{reg}, nil
}

// gatherTurn is how long a gathering waits for the one before.
const gatherTurn = 10 * time.Second

// turn holds a token while nobody gathers. Upstream keeps one instance of each collector for the whole process, and some
// of them do not expect to be asked twice at once: hence one turn for the whole process too.
var turn = newTurn()

func newTurn() chan struct{} {
	c := make(chan struct{}, 1)
	c <- struct{}{}
	return c
}

type gatherer struct{ prometheus.Gatherer }

// Gather collects once the gathering before is over. It gives up where that one hangs, on a dead network file system for
// instance, so that callers do not pile up behind it.
func (g *gatherer) Gather() ([]*dto.MetricFamily, error) {
	limit := time.NewTimer(gatherTurn)
	defer limit.Stop()
	select {
	case <-turn:
		defer func() { turn <- struct{}{} }()
		return g.Gatherer.Gather()
	case <-limit.C:
		return nil, fmt.Errorf("host: the gathering before is still running after %s", gatherTurn)
	}
}

// defaultCollectors returns the names of the collectors that node_exporter runs by default: its boolean flags
// "collector.NAME" that default to true. Flags with a further dot are settings of one collector.
func defaultCollectors() []string {
	var names []string
	for _, f := range kingpin.CommandLine.Model().Flags {
		name, ok := strings.CutPrefix(f.Name, "collector.")
		if ok && !strings.Contains(name, ".") && f.IsBoolFlag() && slices.Equal(f.Default, []string{"true"}) {
			names = append(names, name)
		}
	}
	return names
}

// runnable returns the names that try succeeds for. Upstream gives up on all collectors if one cannot be made, for
// instance in a container that hides a part of /sys.
func runnable(names []string, try func(name string) error, logger *slog.Logger) ([]string, error) {
	var good []string
	for _, name := range names {
		if err := try(name); err != nil {
			logger.Warn("A collector of host metrics cannot run here and is left out", "collector", name, "err", err)
			continue
		}
		good = append(good, name)
	}
	if len(good) == 0 {
		return nil, errors.New("host: no collector can run here; switch host metrics off (tocsin.host.enabled: false)")
	}
	return good, nil
}
