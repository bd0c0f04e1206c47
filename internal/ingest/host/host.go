// Package host collects this machine's own metrics with node_exporter's collectors, under node_exporter's names, so that
// everybody's host rules and dashboards work. Elsewhere than on Linux those collectors need cgo, which this project does
// without, and there are no host metrics.
//
// It must not know who gathers the metrics or when.
package host

import "log/slog"

// Options configures a gatherer. The zero value runs the collectors that node_exporter runs by default.
type Options struct {
	// Logger takes the collectors' log; nil discards it. A collector for something that this machine does not have (a
	// battery, an mdadm array) fails at every gathering: that is logged at debug level and shown by
	// node_scrape_collector_success.
	Logger *slog.Logger
	// Collectors names the collectors to run; empty means node_exporter's default ones. One that is off by default
	// cannot be named: upstream turns those on by flags only.
	Collectors []string
}
