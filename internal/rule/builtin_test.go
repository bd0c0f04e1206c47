package rule

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/require"
)

func TestBuiltinRulesAreSound(t *testing.T) {
	names := map[string]bool{}
	for name, content := range Builtin() {
		f, errs := Parse(builtinPrefix+name, content, compiler())
		require.Empty(t, errs)
		require.Empty(t, f.Warnings)
		require.Empty(t, Lint(f))
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				require.False(t, names[r.Name], "%s stands twice", r.Name)
				names[r.Name] = true
				require.Equal(t, Alerting, r.Kind)
				for _, l := range []string{r.Labels.Get("severity"), r.Annotations.Get("summary"), r.Annotations.Get("description")} {
					require.NotEmpty(t, l, r.Name)
				}
			}
		}
	}
	require.Contains(t, Builtin(), BuiltinMeta)
	require.Contains(t, Builtin(), BuiltinHost)
	require.True(t, names["TocsinRuleFileBroken"] && names["TocsinConfigReloadFailed"] && names["TocsinDrill"] && names["TargetDown"])
}

// TestAClockThatNothingSets needs two things to be wrong at once.
func TestAClockThatNothingSets(t *testing.T) {
	load := withTrouble(t, `node_timex_sync_status{job="node",instance="h"}`, "0")
	load = strings.Replace(load, `node_timex_maxerror_seconds{job="node",instance="h"} 0.5`, `node_timex_maxerror_seconds{job="node",instance="h"} 16`, 1)
	require.Equal(t, []string{"HostClockNotSynchronised"}, firing(t, load))
}

func TestTheDrillGroup(t *testing.T) {
	f, errs := Parse("builtin:meta", Builtin()[BuiltinMeta], compiler())
	require.Empty(t, errs)
	i := slices.IndexFunc(f.Groups, func(g *Group) bool { return g.Name == "tocsin-drill" })
	require.GreaterOrEqual(t, i, 0)
	g := f.Groups[i]
	require.Equal(t, time.Second, g.Interval)
	require.Len(t, g.Rules, 1)
	require.Equal(t, "tocsin_drill == 1", g.Rules[0].Plan.String())
	require.Zero(t, g.Rules[0].For)
	require.Equal(t, labels.FromStrings("severity", "none"), g.Rules[0].Labels)
}

// quiet is a host and a tocsin on which all is well, for eight hours.
const quiet = `
load 1m
  up{job="node",instance="h"} 1x480
  node_cpu_seconds_total{job="node",instance="h",cpu="0",mode="idle"} 0+58x480
  node_cpu_seconds_total{job="node",instance="h",cpu="0",mode="steal"} 0+0x480
  node_load15{job="node",instance="h"} 0.5x480
  node_memory_MemAvailable_bytes{job="node",instance="h"} 8e9x480
  node_memory_MemTotal_bytes{job="node",instance="h"} 16e9x480
  node_memory_SwapFree_bytes{job="node",instance="h"} 0x480
  node_memory_SwapTotal_bytes{job="node",instance="h"} 0x480
  node_vmstat_pgmajfault{job="node",instance="h"} 0+10x480
  node_vmstat_oom_kill{job="node",instance="h"} 3x480
  node_filesystem_avail_bytes{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"} 50e9-1e6x480
  node_filesystem_size_bytes{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"} 100e9x480
  node_filesystem_files{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"} 1e6x480
  node_filesystem_files_free{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"} 5e5x480
  node_filesystem_readonly{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"} 0x480
  node_filesystem_avail_bytes{job="node",instance="h",device="loop0",fstype="squashfs",mountpoint="/snap"} 0x480
  node_filesystem_size_bytes{job="node",instance="h",device="loop0",fstype="squashfs",mountpoint="/snap"} 1e9x480
  node_filesystem_readonly{job="node",instance="h",device="loop0",fstype="squashfs",mountpoint="/snap"} 1x480
  node_md_disks{job="node",instance="h",device="md0",state="failed"} 0x480
  node_timex_offset_seconds{job="node",instance="h"} -0.001x480
  node_timex_sync_status{job="node",instance="h"} 1x480
  node_timex_maxerror_seconds{job="node",instance="h"} 0.5x480
  node_network_receive_errs_total{job="node",instance="h",device="lo"} 0x480
  node_network_receive_packets_total{job="node",instance="h",device="lo"} 0x480
  node_network_transmit_errs_total{job="node",instance="h",device="eth0"} 1x480
  node_network_transmit_packets_total{job="node",instance="h",device="eth0"} 0+9000x480
  node_network_receive_errs_total{job="node",instance="h",device="eth0"} 1x480
  node_network_receive_packets_total{job="node",instance="h",device="eth0"} 0+9000x480
  node_nf_conntrack_entries{job="node",instance="h"} 10x480
  node_nf_conntrack_entries_limit{job="node",instance="h"} 1000x480
  node_filefd_allocated{job="node",instance="h"} 10x480
  node_filefd_maximum{job="node",instance="h"} 1000x480
  node_systemd_unit_state{job="node",instance="h",name="x",state="failed"} 0x480
  tocsin_build_info{job="tocsin",instance="t"} 1x480
  tocsin_rule_file_last_load_successful{job="tocsin",instance="t",file="a"} 1x480
  tocsin_config_last_reload_successful{job="tocsin",instance="t"} 1x480
  alertmanager_notifications_failed_total{job="tocsin",instance="t",integration="email",reason="other"} 5x480
  alertmanager_notifications_failed_total{job="am",instance="elsewhere",integration="email",reason="other"} 0+5x480
  tocsin_notify_alerts_dropped_total{job="tocsin",instance="t",reason="invalid"} 0x480
  tocsin_history_healthy{job="tocsin",instance="t"} 1x480
  tocsin_ledger_healthy{job="tocsin",instance="t"} 1x480
  tocsin_samples_rejected_total{job="tocsin",instance="t",reason="old"} 7x480
  prometheus_rule_evaluation_failures_total{job="tocsin",instance="t",rule_group="f;g"} 0x480
  prometheus_rule_group_iterations_missed_total{job="tocsin",instance="t",rule_group="f;g"} 0x480
`

// TestBuiltinRulesFire takes the quiet host and lets one thing go wrong from the middle on: the alerts named fire, and
// those only. For each rule there is a trouble.
func TestBuiltinRulesFire(t *testing.T) {
	for _, tc := range []struct {
		series, values string // what the series has from the middle on, in promqltest's notation
		want           []string
	}{
		{"", "", nil},
		{`up{job="node",instance="h"}`, "0", []string{"TargetDown"}},
		{`node_cpu_seconds_total{job="node",instance="h",cpu="0",mode="idle"}`, "100000+3", []string{"HostCPUBusy"}},
		{`node_cpu_seconds_total{job="node",instance="h",cpu="0",mode="steal"}`, "0+12", []string{"HostCPUStolen"}},
		{`node_load15{job="node",instance="h"}`, "2.5", []string{"HostLoadHigh"}},
		{`node_memory_MemAvailable_bytes{job="node",instance="h"}`, "1e9", []string{"HostMemoryLow"}},
		{`node_memory_MemAvailable_bytes{job="node",instance="h"}`, "1e8", []string{"HostMemoryLow", "HostMemoryExhausted"}},
		{`node_vmstat_pgmajfault{job="node",instance="h"}`, "3000+400000", []string{"HostMemoryPressure"}},
		{`node_vmstat_oom_kill{job="node",instance="h"}`, "4+1", []string{"HostOOMKill"}},
		{`node_memory_SwapTotal_bytes{job="node",instance="h"}`, "1e9", []string{"HostSwapFull"}},
		{`node_filesystem_avail_bytes{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"}`, "5e9", []string{"HostDiskLow", "HostDiskWillFill"}},
		{`node_filesystem_avail_bytes{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"}`, "1e9", []string{"HostDiskLow", "HostDiskFull", "HostDiskWillFill"}},
		{`node_filesystem_avail_bytes{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"}`, "39e9-1e8", []string{"HostDiskWillFill"}},
		{`node_filesystem_files_free{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"}`, "4e4", []string{"HostInodesLow"}},
		{`node_filesystem_readonly{job="node",instance="h",device="sda",fstype="ext4",mountpoint="/"}`, "1", []string{"HostFilesystemReadOnly"}},
		{`node_md_disks{job="node",instance="h",device="md0",state="failed"}`, "1", []string{"HostRAIDDegraded"}},
		{`node_timex_offset_seconds{job="node",instance="h"}`, "-0.2", []string{"HostClockSkewed"}},
		{`node_timex_sync_status{job="node",instance="h"}`, "0", nil}, // it has been set not long ago
		{`node_timex_maxerror_seconds{job="node",instance="h"}`, "16", nil},
		{`node_network_receive_errs_total{job="node",instance="h",device="eth0"}`, "1+200", []string{"HostNetworkReceiveErrors"}},
		{`node_network_transmit_errs_total{job="node",instance="h",device="eth0"}`, "1+200", []string{"HostNetworkTransmitErrors"}},
		{`node_nf_conntrack_entries{job="node",instance="h"}`, "900", []string{"HostConnectionTableFull"}},
		{`node_filefd_allocated{job="node",instance="h"}`, "900", []string{"HostFileDescriptorsLow"}},
		{`node_systemd_unit_state{job="node",instance="h",name="x",state="failed"}`, "1", []string{"HostServiceFailed"}},
		{`tocsin_rule_file_last_load_successful{job="tocsin",instance="t",file="a"}`, "0", []string{"TocsinRuleFileBroken"}},
		{`tocsin_config_last_reload_successful{job="tocsin",instance="t"}`, "0", []string{"TocsinConfigReloadFailed"}},
		{`alertmanager_notifications_failed_total{job="tocsin",instance="t",integration="email",reason="other"}`, "5+1", []string{"TocsinNotificationsFailing"}},
		{`tocsin_notify_alerts_dropped_total{job="tocsin",instance="t",reason="invalid"}`, "0+1", []string{"TocsinAlertsDropped"}},
		{`tocsin_history_healthy{job="tocsin",instance="t"}`, "0", []string{"TocsinHistoryFailing"}},
		{`tocsin_ledger_healthy{job="tocsin",instance="t"}`, "0", []string{"TocsinLedgerFailing"}},
		{`tocsin_samples_rejected_total{job="tocsin",instance="t",reason="old"}`, "7+1", []string{"TocsinSamplesRejected"}},
		{`prometheus_rule_evaluation_failures_total{job="tocsin",instance="t",rule_group="f;g"}`, "0+1", []string{"TocsinRuleFailing"}},
		{`prometheus_rule_group_iterations_missed_total{job="tocsin",instance="t",rule_group="f;g"}`, "0+1", []string{"TocsinEvaluationsMissed"}},
		{`tocsin_drill{drill="1"}`, "1", []string{"TocsinDrill"}},
	} {
		t.Run(tc.series+" "+tc.values, func(t *testing.T) {
			require.ElementsMatch(t, tc.want, firing(t, withTrouble(t, tc.series, tc.values)))
		})
	}
}

// withTrouble returns the quiet load, in which series takes other values from the fourth hour on.
func withTrouble(t *testing.T, series, values string) string {
	if series == "" {
		return quiet
	}
	var out []string
	found := false
	for line := range strings.SplitSeq(quiet, "\n") {
		if before, ok := strings.CutPrefix(line, "  "+series+" "); ok {
			found = true
			line = "  " + series + " " + strings.Replace(before, "x480", "x240", 1) + " " + values + "x240"
		}
		out = append(out, line)
	}
	if !found {
		require.Contains(t, series, "tocsin_drill")
		return strings.Replace(quiet, "load 1m\n", "load 1m\n  "+series+" _x240 "+values+"x240\n", 1)
	}
	return strings.Join(out, "\n")
}

// firing returns the built-in alerts whose expressions return something after eight hours, four of them in trouble.
func firing(t *testing.T, load string) []string {
	st := promqltest.LoadedStorage(t, load)
	engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1e6, Timeout: time.Minute, Parser: compiler().Parser()})
	t.Cleanup(func() { _ = engine.Close() })
	var out []string
	for name, content := range Builtin() {
		f, errs := Parse(name, content, compiler())
		require.Empty(t, errs)
		for _, g := range f.Groups {
			for _, r := range g.Rules {
				q, err := engine.NewInstantQuery(context.Background(), st, nil, r.Plan.String(), time.Unix(0, 0).Add(8*time.Hour))
				require.NoError(t, err)
				res := q.Exec(context.Background())
				require.NoError(t, res.Err, r.Name)
				v, err := res.Vector()
				require.NoError(t, err)
				if len(v) > 0 {
					out = append(out, r.Name)
				}
				q.Close()
			}
		}
	}
	return out
}
