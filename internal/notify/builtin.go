package notify

import (
	amconfig "github.com/prometheus/alertmanager/config"
)

// builtinYAML is the configuration where nobody gave one. Its receiver tells nobody: the console shows transitions by
// itself, the API and the status page show alerts. What counts in it:
//
//   - group_by ['...'] makes each alert a group of its own. With any other grouping the second alert of a group would
//     wait for the group's next flush instead of being told of at once.
//   - group_wait 0s: told on arrival.
//   - group_interval 5s is how late a recovery may be told of. Each alert that fires costs one flush (some 20 µs) an
//     interval, so a shorter one is paid for by those who have many alerts.
const builtinYAML = `
route:
  receiver: console
  group_by: ['...']
  group_wait: 0s
  group_interval: 5s
  repeat_interval: 4h
receivers:
  - name: console
`

// Builtin returns the configuration that holds where no alertmanager.yml is given. Each call returns a new one.
func Builtin() *amconfig.Config {
	cfg, err := amconfig.Load(builtinYAML)
	if err != nil {
		panic("BUG: the built-in alertmanager configuration does not load: " + err.Error())
	}
	return cfg
}
