//go:build !linux

package host

import (
	"log/slog"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
)

// NewGatherer returns a gatherer of nothing, and says so in the log.
func NewGatherer(o Options) (prometheus.Gatherer, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger.Warn("There are no host metrics on this operating system", "os", runtime.GOOS)
	return prometheus.NewRegistry(), nil
}
