package e2e_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestOnArrival: between two ticks, ten seconds apart, a sample runs down a chain of a recording rule and an alert to a
// webhook. The same alert in a strict group waits for its tick.
func TestOnArrival(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := newReceivers(t, dir)
	write(t, dir, "rules.yml", `
groups:
- name: chain
  interval: 10s
  rules:
  - {record: kiln:heat:max, expr: max by (kiln) (heat)}
  - {alert: TooHot, expr: kiln:heat:max > 1000, labels: {mode: stream}}
- name: patient
  interval: 10s
  rules:
  - {alert: TooHotAtTick, expr: max by (kiln) (heat) > 1000}
`)
	write(t, dir, "tocsin.yml", plainConfig+`
  rules:
    overrides: [{groups: patient, evaluation: strict}]
`)
	s := start(t, dir, "--config", "tocsin.yml")
	code, body := remoteWriteV1(t, s, 20, "__name__", "heat", "kiln", "a")
	require.Equal(t, 204, code, body)
	ticks := map[string]bool{}
	eventually(t, 60*time.Second, func() error {
		chain, patient := lastTick(s, "chain"), lastTick(s, "patient")
		if chain != "" {
			ticks[chain] = true
		}
		// The third tick is enough; and the strict group's is not to come between what follows.
		if at, err := time.Parse(time.RFC3339Nano, patient); len(ticks) < 3 || err != nil || time.Since(at) > 4*time.Second {
			return fmt.Errorf("ticks %v, strict %s", ticks, patient)
		}
		return nil
	})
	sent := time.Now()
	code, body = remoteWriteV1(t, s, 1200, "__name__", "heat", "kiln", "a")
	require.Equal(t, 204, code, body)
	a := r.wantAlert(t, "firing", "TooHot")
	t.Logf("told after %s", time.Since(sent))
	require.Equal(t, "a", a.Labels["kiln"])
	require.Empty(t, activeAt(s, "TooHotAtTick"))
	require.Contains(t, s.get("/metrics", 200), `tocsin_rule_stream_evaluations_total{trigger="arrival"}`)
	s.wantActive("TooHotAtTick")
	s.stop()
}

// lastTick returns when the group was last evaluated, "" if never.
func lastTick(s *server, group string) string {
	var out struct {
		Data struct {
			Groups []struct{ Name, LastEvaluation string }
		}
	}
	require.NoError(s.t, json.Unmarshal([]byte(s.get("/api/v1/rules", 200)), &out))
	for _, g := range out.Data.Groups {
		if at, err := time.Parse(time.RFC3339Nano, g.LastEvaluation); g.Name == group && err == nil && !at.IsZero() {
			return g.LastEvaluation
		}
	}
	return ""
}
