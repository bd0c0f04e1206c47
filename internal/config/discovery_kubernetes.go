//go:build !nokube

package config

import (
	"reflect"

	"github.com/prometheus/prometheus/discovery/kubernetes"
)

// kubernetesDiscovery links discovery by Kubernetes' API, some 24 MB of binary; the build tag nokube leaves it out.
func kubernetesDiscovery() map[string]reflect.Type {
	return map[string]reflect.Type{"kubernetes": reflect.TypeFor[[]*kubernetes.SDConfig]()}
}
