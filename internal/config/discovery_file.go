package config

import (
	"reflect"

	"github.com/prometheus/prometheus/discovery/file"
)

// fileDiscovery links discovery by file; Prometheus's package registers itself when it is imported.
func fileDiscovery() reflect.Type { return reflect.TypeFor[[]*file.SDConfig]() }
