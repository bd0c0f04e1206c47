//go:build nokube

package config

import "reflect"

// kubernetesDiscovery says that this binary was built without Kubernetes discovery.
func kubernetesDiscovery() map[string]reflect.Type { return nil }
