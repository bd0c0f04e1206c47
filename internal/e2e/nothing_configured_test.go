package e2e_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestWithoutConfiguration is what a new user sees.
func TestWithoutConfiguration(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	require.Contains(t, s.get("/-/healthy", 200), "Healthy")
	require.Contains(t, s.get("/-/ready", 200), "Ready")

	// This host under node_exporter's names, and this process.
	for _, expr := range []string{"node_load1", "node_memory_MemAvailable_bytes", "tocsin_build_info", `up{job="node"}`, `up{job="tocsin"}`} {
		eventually(t, 45*time.Second, func() error {
			v, err := s.query(expr)
			if err == nil && len(v) != 1 {
				err = fmt.Errorf("%s: %v", expr, v)
			}
			return err
		})
	}
	// Built-in host rules, none of them broken.
	var rules struct {
		Data struct {
			Groups []struct {
				Name  string
				Rules []struct{ Name, Health, LastError string }
			}
		}
	}
	eventually(t, 60*time.Second, func() error {
		require.NoError(t, json.Unmarshal([]byte(s.get("/api/v1/rules", 200)), &rules))
		n := 0
		for _, g := range rules.Data.Groups {
			for _, r := range g.Rules {
				n++
				if r.Health != "ok" {
					return fmt.Errorf("rule %s is %s %s", r.Name, r.Health, r.LastError)
				}
			}
		}
		if n < 10 {
			return fmt.Errorf("only %d built-in rules", n)
		}
		return nil
	})
	page := s.get("/", 200)
	require.NotContains(t, page, "<script")
	require.Contains(t, page, "node")

	code, out, errOut := tocsin(t, "drill", "--url", s.url, "--json")
	require.Equal(t, 0, code, errOut)
	var drill struct {
		Delivered bool
		TotalMS   float64 `json:"total_ms"`
		Legs      []struct {
			Leg string
			MS  float64
		}
	}
	require.NoError(t, json.Unmarshal([]byte(out), &drill), out)
	require.True(t, drill.Delivered)
	require.Greater(t, drill.TotalMS, 0.0)
	require.Len(t, drill.Legs, 3)

	code, out, _ = tocsin(t, "query", "--url", s.url, `up{job="tocsin"} == 1`)
	require.Equal(t, 0, code)
	require.Contains(t, out, `job="tocsin"`)
	s.stop()
	require.Empty(t, alarming(s.log.String()), "a quiet host and no configuration give no errors")
}

// alarming returns the log lines of errors.
func alarming(log string) []string {
	var out []string
	for _, l := range lines(log) {
		if strings.Contains(l, "level=ERROR") {
			out = append(out, l)
		}
	}
	return out
}

func TestDrillWithoutServer(t *testing.T) {
	t.Parallel()
	code, out, _ := tocsin(t, "drill", "--url", "http://127.0.0.1:1", "--json", "--timeout", "2s")
	require.Equal(t, 1, code)
	require.Contains(t, out, `"delivered": false`)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	code, out, _ := tocsin(t, "--help")
	require.Equal(t, 0, code)
	require.Contains(t, out, "tocsin drill")
	code, _, errOut := tocsin(t, "rnu")
	require.Equal(t, 2, code)
	require.Contains(t, errOut, "rnu")
	code, out, _ = tocsin(t, "version", "--json")
	require.Equal(t, 0, code)
	require.Contains(t, out, `"prometheus": "3.15.0"`)
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, out, _ = tocsin(t, "completion", shell)
		require.Equal(t, 0, code)
		require.Contains(t, out, "tocsin completion "+shell+" --list")
	}
	code, out, _ = tocsin(t, "completion", "bash", "--list", "--", "check")
	require.Equal(t, 0, code)
	require.Contains(t, out, "rules")
}
