//go:build nokube

package config

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithoutKubernetesItsDiscoveryIsNamed(t *testing.T) {
	c := mustParse(t, "scrape_configs:\n- job_name: a\n  kubernetes_sd_configs: [{role: pod}]\n")
	require.Equal(t, []string{`/etc/tocsin/tocsin.yml:3:3: job "a": kubernetes_sd_configs is not supported by this binary, which was built with ` +
		`the tag nokube: its targets will not be discovered`}, messages(c.Warnings))
	require.Empty(t, c.Prometheus.ScrapeConfigs[0].ServiceDiscoveryConfigs)
}
