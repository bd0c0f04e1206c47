package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// activeAt returns since when the alert is active, "" when it is not.
func activeAt(s *server, alertname string) string {
	s.t.Helper()
	var out struct {
		Data struct {
			Alerts []struct {
				Labels   map[string]string
				State    string
				ActiveAt string `json:"activeAt"`
			}
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.get("/api/v1/alerts", 200)), &out))
	for _, a := range out.Data.Alerts {
		if a.Labels["alertname"] == alertname {
			return a.ActiveAt
		}
	}
	return ""
}

func (s *server) wantActive(alertname string) string {
	s.t.Helper()
	var at string
	eventually(s.t, 30*time.Second, func() error {
		if at = activeAt(s, alertname); at == "" {
			return fmt.Errorf("%s is not active", alertname)
		}
		return nil
	})
	return at
}

func TestReload(t *testing.T) {
	t.Parallel()
	s, r := configured(t, "")
	config, rules := filepath.Join(s.dir, "tocsin.yml"), filepath.Join(s.dir, "rules.yml")
	stop := make(chan struct{})
	defer close(stop)
	go func() { // a breach that lasts
		for {
			_, _ = remoteWriteV1(t, s, 50, "__name__", "temperature", "instance", "i", "job", "kiln")
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
			}
		}
	}()
	r.wantAlert(t, "firing", "TooHot")
	since := s.wantActive("TooHot")

	t.Run("good configuration by POST keeps state", func(t *testing.T) {
		require.NoError(t, os.WriteFile(config, []byte(strings.Replace(plainConfig, "scrape_interval: 1s", "scrape_interval: 2s", 1)), 0o644))
		code, body := s.do(http.MethodPost, "/-/reload", nil, nil)
		require.Equal(t, 200, code, body)
		require.Equal(t, since, activeAt(s, "TooHot"))
		require.Contains(t, s.get("/api/v1/status/config", 200), "scrape_interval: 2s")
	})
	t.Run("bad configuration changes nothing and says so everywhere", func(t *testing.T) {
		require.NoError(t, os.WriteFile(config, []byte(plainConfig+"\nnonsense: true\n"), 0o644))
		code, body := s.do(http.MethodPost, "/-/reload", nil, nil)
		require.Equal(t, 500, code)
		require.Contains(t, body, "nonsense")
		require.Contains(t, s.get("/metrics", 200), "\ntocsin_config_last_reload_successful 0\n")
		require.Contains(t, s.get("/api/v1/status", 200), "nonsense")
		require.Contains(t, s.log.String(), "nonsense")
		require.Equal(t, since, activeAt(s, "TooHot"))
		require.Contains(t, s.get("/api/v1/status/config", 200), "scrape_interval: 2s")
	})
	t.Run("SIGHUP and file change", func(t *testing.T) {
		require.NoError(t, os.WriteFile(config, []byte(plainConfig), 0o644))
		eventually(t, 20*time.Second, func() error {
			if !strings.Contains(s.get("/metrics", 200), "\ntocsin_config_last_reload_successful 1\n") {
				return fmt.Errorf("the changed file was not read")
			}
			return nil
		})
		before := strings.Count(s.log.String(), "configuration was reloaded")
		require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, 20*time.Second, func() error {
			if strings.Count(s.log.String(), "configuration was reloaded") == before {
				return fmt.Errorf("SIGHUP did nothing")
			}
			return nil
		})
		require.Equal(t, since, activeAt(s, "TooHot"))
	})
	t.Run("broken rule file keeps its last good version and raises an alert", func(t *testing.T) {
		require.NoError(t, os.WriteFile(rules, []byte("groups:\n- name: fast\n  rules:\n  - alert: TooHot\n    expr: temperature >\n"), 0o644))
		r.wantAlert(t, "firing", "TocsinRuleFileBroken")
		require.Equal(t, since, activeAt(s, "TooHot"))
		require.Contains(t, s.get("/", 200), "rules.yml")
		require.NoError(t, os.WriteFile(rules, []byte(fastRules), 0o644))
		r.wantAlert(t, "resolved", "TocsinRuleFileBroken")
		require.Equal(t, since, activeAt(s, "TooHot"))
	})
	t.Run("a new rule beside the old", func(t *testing.T) {
		require.NoError(t, os.WriteFile(rules, []byte(fastRules+"  - alert: Warm\n    expr: temperature > 25\n"), 0o644))
		s.wantActive("Warm")
		require.Equal(t, since, activeAt(s, "TooHot"))
	})
	t.Run("a failing rule does not stop its group", func(t *testing.T) {
		require.NoError(t, os.WriteFile(rules, []byte(strings.Replace(fastRules, "  rules:\n",
			"  rules:\n  - record: broken\n    expr: temperature * on(job) group_left up\n  - record: many\n    expr: '{__name__=~\"up|temperature\"} * on() group_left {__name__=~\"up|temperature\"}'\n", 1)+
			"  - alert: StillHere\n    expr: temperature > 26\n"), 0o644))
		s.wantActive("StillHere")
		eventually(t, 20*time.Second, func() error { // what alerts is evaluated at once, what records at the next tick
			if !strings.Contains(s.get("/api/v1/rules", 200), `"health":"err"`) {
				return errors.New("no rule fails")
			}
			return nil
		})
		require.Equal(t, since, activeAt(s, "TooHot"))
	})
}

// TestKill9 loses nothing that was acknowledged.
func TestKill9(t *testing.T) {
	t.Parallel()
	s, _ := configured(t, "")
	code, body := remoteWriteV1(t, s, 12, "__name__", "kept", "i", "1")
	require.Equal(t, 204, code, body)
	code, body = s.do(http.MethodPut, "/metrics/job/batch/instance/a", nil, []byte("# TYPE done gauge\ndone 7\n"))
	require.Equal(t, 200, code, body)
	dir := s.dir
	s.kill()
	s = start(t, dir, "--config", "tocsin.yml")
	s.wantQuery("kept", "12")
	s.wantQuery(`done{job="batch",instance="a"}`, "7")
	s.wantQuery(`push_time_seconds{job="batch"} > bool 0`, "1")
	code, body = s.do(http.MethodDelete, "/metrics/job/batch/instance/a", nil, nil)
	require.Equal(t, 202, code, body)
	s.wantQuery(`done{job="batch"}`, "")
	s.stop()
}
