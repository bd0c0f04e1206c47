package config

import (
	"reflect"

	"github.com/prometheus/prometheus/discovery/dns"
)

// dnsDiscovery links discovery by dns; Prometheus's package registers itself when it is imported.
func dnsDiscovery() reflect.Type { return reflect.TypeFor[[]*dns.SDConfig]() }
