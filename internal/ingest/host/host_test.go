//go:build linux

package host_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ingest/host"
)

func TestNodeExporterNames(t *testing.T) {
	g, err := host.NewGatherer(host.Options{})
	require.NoError(t, err)
	mfs, err := g.Gather()
	require.NoError(t, err)
	have := map[string]bool{}
	for _, mf := range mfs {
		have[mf.GetName()] = true
	}
	for _, name := range []string{
		"node_cpu_seconds_total", "node_memory_MemAvailable_bytes", "node_filesystem_avail_bytes", "node_load1",
		"node_boot_time_seconds", "node_network_receive_bytes_total", "node_scrape_collector_success",
	} {
		require.True(t, have[name], "%s is missing", name)
	}
}

func TestChosenCollectorsOnly(t *testing.T) {
	g, err := host.NewGatherer(host.Options{Collectors: []string{"loadavg"}})
	require.NoError(t, err)
	mfs, err := g.Gather()
	require.NoError(t, err)
	for _, mf := range mfs {
		require.NotEqual(t, "node_cpu_seconds_total", mf.GetName())
	}
	for name, why := range map[string]string{"nonsense": "missing collector", "perf": "disabled collector"} {
		_, err = host.NewGatherer(host.Options{Collectors: []string{name}})
		require.ErrorContains(t, err, why+": "+name)
	}
}
