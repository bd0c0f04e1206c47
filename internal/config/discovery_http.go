package config

import (
	"reflect"

	"github.com/prometheus/prometheus/discovery/http"
)

// httpDiscovery links discovery by http; Prometheus's package registers itself when it is imported.
func httpDiscovery() reflect.Type { return reflect.TypeFor[[]*http.SDConfig]() }
