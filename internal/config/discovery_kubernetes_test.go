//go:build !nokube

package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKubernetesDiscoveryIsLinked(t *testing.T) {
	c := mustParse(t, "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{role: pod}]\n")
	require.Empty(t, c.Warnings)
	require.Len(t, c.Prometheus.ScrapeConfigs[0].ServiceDiscoveryConfigs, 1)
	_, err := Parse("f", "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{rol: pod}]\n", LoadOptions{LookupEnv: noEnv})
	require.EqualError(t, err, `f:3:28: unknown field "rol" in scrape_configs[0].kubernetes_sd_configs[0] (did you mean "role"?)`)
}
