package notify

import (
	"log/slog"

	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/common/model"
)

// InitMatchers gives upstream's matcher parser the mode that Alertmanager itself starts with: UTF-8, falling back to the
// classic syntax. The mode is package state of upstream's; without this, alertmanager.yml files with UTF-8 label names
// are refused. So it must be called before a configuration is loaded; New calls it too.
//
// It asks for the mode first and writes only where it has to: any number of calls is fine, and once one has returned,
// the others merely read. The first must not run beside anything that parses matchers.
func InitMatchers(logger *slog.Logger) {
	if compat.IsValidLabelName(model.LabelName("ü")) {
		return
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	compat.InitFromFlags(logger, featurecontrol.NoopFlags{})
}
