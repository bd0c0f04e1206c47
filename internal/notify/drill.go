package notify

import (
	"strconv"
	"time"

	amconfig "github.com/prometheus/alertmanager/config"
	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/notify/webhook"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
)

// The drill's alert and the receiver that takes it.
const (
	DrillAlert    = "TocsinDrill"
	DrillReceiver = "tocsin-drill"
)

// withDrill returns a copy of cfg whose first route takes alerts named DrillAlert to one webhook at url, so that a drill
// walks the whole pipeline and pages nobody. cfg itself, which the API shows, stays as its author wrote it.
func withDrill(cfg *amconfig.Config, url string) *amconfig.Config {
	if url == "" {
		return cfg
	}
	name := freeReceiverName(cfg, DrillReceiver)
	wait, interval, repeat := model.Duration(0), model.Duration(time.Second), model.Duration(time.Hour)
	httpConfig := commoncfg.DefaultHTTPClientConfig

	root := *cfg.Route
	root.Routes = append([]*amconfig.Route{{
		Receiver:       name,
		Matchers:       amcommoncfg.Matchers{{Type: amlabels.MatchEqual, Name: model.AlertNameLabel, Value: DrillAlert}},
		GroupByStr:     []string{"..."},
		GroupByAll:     true,
		GroupWait:      &wait,
		GroupInterval:  &interval,
		RepeatInterval: &repeat,
	}}, cfg.Route.Routes...)

	out := *cfg
	out.Route = &root
	out.Receivers = append(append([]amconfig.Receiver{}, cfg.Receivers...), amconfig.Receiver{
		Name: name,
		WebhookConfigs: []*webhook.WebhookConfig{{
			NotifierConfig: amcommoncfg.NotifierConfig{VSendResolved: true},
			HTTPConfig:     &httpConfig,
			URL:            amcommoncfg.SecretTemplateURL(url),
			Timeout:        5 * time.Second,
		}},
	})
	return &out
}

// freeReceiverName avoids a receiver of the user's with the same name, which is as valid as any other.
func freeReceiverName(cfg *amconfig.Config, name string) string {
	taken := make(map[string]bool, len(cfg.Receivers))
	for _, r := range cfg.Receivers {
		taken[r.Name] = true
	}
	for i, free := 2, name; ; i++ {
		if !taken[free] {
			return free
		}
		free = name + "-" + strconv.Itoa(i)
	}
}
