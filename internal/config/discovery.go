package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"go.yaml.in/yaml/v3"
)

// upstreamDiscovery lists every kind of service discovery that Prometheus 3.15 knows; `<kind>_sd_configs` is its key. A
// kind that is not linked into this binary is warned about and left out; a kind that is not listed here is an unknown field.
func upstreamDiscovery() []string {
	return []string{
		"aws", "azure", "consul", "digitalocean", "dns", "docker", "dockerswarm", "ec2", "ecs", "elasticache", "eureka", "file", "gce",
		"hetzner", "http", "ionos", "kubernetes", "kuma", "lightsail", "linode", "marathon", "msk", "nerve", "nomad", "oci", "openstack",
		"outscale", "ovhcloud", "puppetdb", "rds", "scaleway", "serverset", "stackit", "triton", "uyuni", "vultr",
	}
}

// discoveryFields returns the discovery keys that a job may have, with the types of their values.
func discoveryFields() map[string]reflect.Type {
	out := map[string]reflect.Type{"static_configs": reflect.TypeFor[[]*targetgroup.Group]()}
	types := linkedDiscovery()
	for _, name := range discovery.RegisteredConfigNames() {
		if name != "static" {
			out[name+"_sd_configs"] = types[name]
		}
	}
	return out
}

// linkedDiscovery returns the types of the discovery configurations that this package links, by kind.
func linkedDiscovery() map[string]reflect.Type {
	out := map[string]reflect.Type{"file": fileDiscovery(), "http": httpDiscovery(), "dns": dnsDiscovery()}
	maps.Copy(out, kubernetesDiscovery())
	return out
}

// dropDiscovery takes the *_sd_configs of kinds that are not linked out of the document and returns a warning for each.
// lists are the sequences of scrape jobs or Alertmanagers, as spots.
func (d *document) dropDiscovery(lists ...spot) (warnings []Warning) {
	registered := discovery.RegisteredConfigNames()
	for _, list := range lists {
		seq := target(list.value)
		if seq == nil || seq.Kind != yaml.SequenceNode {
			continue
		}
		for i, item := range seq.Content {
			job := ""
			if s, ok := lookup(item, "job_name"); ok {
				job = fmt.Sprintf("job %q: ", target(s.value).Value)
			}
			for _, key := range mergedKeys(item) {
				kind, isDiscovery := strings.CutSuffix(key.Value, "_sd_configs")
				if !isDiscovery || slices.Contains(registered, kind) || !slices.Contains(upstreamDiscovery(), kind) {
					continue
				}
				d.skip[key] = true
				w := d.warningAt(key, nil, "%s%s is not supported%s: its targets will not be discovered", job, key.Value, whyNot(kind))
				w.Path = list.path.with(step{index: i}).with(step{key: key.Value}).String()
				warnings = append(warnings, w)
			}
		}
	}
	return warnings
}

// whyNot explains why a kind is not linked where that is a choice of the build.
func whyNot(kind string) string {
	if kind == "kubernetes" {
		return " by this binary, which was built with the tag nokube"
	}
	return ""
}

// mergedKeys returns the keys of the mapping n and of those that its merge keys (<<) name.
func mergedKeys(n *yaml.Node) (keys []*yaml.Node) {
	for _, m := range merged(n, nil) {
		for i := 0; i+1 < len(m.Content); i += 2 {
			keys = append(keys, m.Content[i])
		}
	}
	return keys
}

// merged returns the mapping n and those that its merge keys (<<) name, each once.
func merged(n *yaml.Node, found []*yaml.Node) []*yaml.Node {
	n = target(n)
	if n == nil || slices.Contains(found, n) {
		return found
	}
	switch n.Kind {
	case yaml.SequenceNode:
		for _, item := range n.Content {
			found = merged(item, found)
		}
	case yaml.MappingNode:
		found = append(found, n)
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "<<" {
				found = merged(n.Content[i+1], found)
			}
		}
	}
	return found
}
