package config

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/stretchr/testify/require"
)

func quietLogger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// moduleDir returns where a module's source lies, and skips the test where it does not.
func moduleDir(t *testing.T, module string) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	dir := strings.TrimSpace(string(out))
	if err != nil || dir == "" {
		t.Skipf("SKIPPED: the source of %s is not in the module cache (%v)", module, err)
	}
	return dir
}

// TestPrometheusTestdata loads every configuration that Prometheus's own tests call good, and refuses every bad one.
func TestPrometheusTestdata(t *testing.T) {
	dir := filepath.Join(moduleDir(t, "github.com/prometheus/prometheus"), "config", "testdata")
	good, err := filepath.Glob(filepath.Join(dir, "*.good.yml"))
	require.NoError(t, err)
	if len(good) == 0 {
		t.Skipf("SKIPPED: no test data in %s", dir)
	}
	for _, file := range good {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file, LoadOptions{LookupEnv: noEnv})
			require.NoError(t, err)
			jobs, err := c.Prometheus.GetScrapeConfigs()
			require.NoError(t, err)
			var theirs []*promconfig.ScrapeConfig
			up, upErr := promconfig.LoadFile(file, false, quietLogger())
			if upErr == nil {
				theirs, upErr = up.GetScrapeConfigs()
			}
			if upErr != nil { // Only for kinds of discovery that are not linked.
				require.NotEmpty(t, c.Warnings)
				require.Contains(t, upErr.Error(), "_sd_configs not found in type")
				return
			}
			require.Equal(t, theirs, jobs)
		})
	}
	bad, err := filepath.Glob(filepath.Join(dir, "*.bad.yml"))
	require.NoError(t, err)
	for _, file := range bad {
		t.Run(filepath.Base(file), func(t *testing.T) {
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			c, err := Load(file, LoadOptions{LookupEnv: noEnv})
			if err == nil { // What is wrong in it belongs to a discovery that is not linked.
				require.NotEmpty(t, messages(c.Warnings))
				require.Contains(t, string(content), "_sd_configs")
				return
			}
			for _, e := range asErrors(err) {
				require.Positive(t, e.Line, e.Error())
				require.Positive(t, e.Column, e.Error())
				t.Log(e)
			}
		})
	}
}

// TestConfGood holds that the largest of Prometheus's examples names each kind of discovery that is left out.
func TestConfGood(t *testing.T) {
	file := filepath.Join(moduleDir(t, "github.com/prometheus/prometheus"), "config", "testdata", "conf.good.yml")
	content, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("SKIPPED: %s", err)
	}
	c, err := Load(file, LoadOptions{LookupEnv: noEnv})
	require.NoError(t, err)
	want := 0
	for _, m := range regexp.MustCompile(`(?m)^ +-? ?([a-z0-9]+)_sd_configs:`).FindAllStringSubmatch(string(content), -1) {
		if !slices.Contains(discovery.RegisteredConfigNames(), m[1]) {
			want++
		}
	}
	require.Greater(t, want, 20)
	got := 0
	for _, w := range c.Warnings {
		if strings.Contains(w.Message, "its targets will not be discovered") {
			got++
			require.Contains(t, w.Message, `job "`)
		}
	}
	require.Equal(t, want, got)
	require.Len(t, c.Prometheus.ScrapeConfigs, strings.Count(string(content), "job_name:"))
}

// TestUpstreamDiscoveryIsComplete holds the list of known kinds to Prometheus's source.
func TestUpstreamDiscoveryIsComplete(t *testing.T) {
	dir := filepath.Join(moduleDir(t, "github.com/prometheus/prometheus"), "discovery")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.go"))
	require.NoError(t, err)
	name := regexp.MustCompile(`SDConfig\) Name\(\) string \{\s*return "([a-z0-9]+)"`)
	var kinds []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		src, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range name.FindAllSubmatch(src, -1) {
			kinds = append(kinds, string(m[1]))
		}
	}
	if len(kinds) == 0 {
		t.Skipf("SKIPPED: no discovery source in %s", dir)
	}
	slices.Sort(kinds)
	require.Equal(t, kinds, upstreamDiscovery())
	for kind := range linkedDiscovery() {
		require.Contains(t, discovery.RegisteredConfigNames(), kind)
	}
	require.Len(t, discovery.RegisteredConfigNames(), len(linkedDiscovery())+1, "static comes on top")
}
