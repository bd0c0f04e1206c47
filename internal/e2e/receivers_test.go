package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// receiversConfig is an alertmanager.yml that tells every receiver of every alert.
func receiversConfig(all []*misbehaving, mended bool) string {
	routes, receivers := "", ""
	for _, m := range all {
		url, extra := m.url, m.extra
		if mended {
			url = m.mended
			extra = strings.ReplaceAll(extra, "false", "true")
		}
		routes += fmt.Sprintf("  - {receiver: %s, continue: true}\n", m.name)
		receivers += fmt.Sprintf("- name: %s\n  webhook_configs: [{url: '%s', timeout: 5s%s}]\n", m.name, url, extra)
	}
	return fmt.Sprintf(`
route:
  receiver: healthy
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  repeat_interval: 1h
  routes:
%sreceivers:
%s`, routes, receivers)
}

const receiversRules = `
groups:
- name: receivers
  interval: 1s
  rules:
  - {alert: Told, expr: told > 1}
`

// receiversServer starts tocsin with the receivers and further settings of notifications.
func receiversServer(t *testing.T, dir string, all []*misbehaving, settings string) *server {
	t.Helper()
	write(t, dir, "rules.yml", receiversRules)
	write(t, dir, "alertmanager.yml", receiversConfig(all, false))
	write(t, dir, "tocsin.yml", fmt.Sprintf(`
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications: {alertmanager_config: alertmanager.yml%s}
  self_scrape: {enabled: false}
`, settings))
	return start(t, dir, "--config", "tocsin.yml")
}

func (s *server) tell(id int, v float64) {
	s.t.Helper()
	code, body := s.remoteWriteOf("told", fmt.Sprint(id), v)
	require.Equal(s.t, 204, code, body)
}

func eventuallyHas(t *testing.T, m *misbehaving, what string) {
	t.Helper()
	eventually(t, 60*time.Second, func() error {
		if !m.has(what) {
			return fmt.Errorf("%s has not heard %q; it was asked %d times", m.name, what, len(m.attempts()))
		}
		return nil
	})
}

// TestReceiversThatMisbehave has receivers that are broken in every way there is beside one that is not. That one hears
// of everything while the others are broken; when they are mended, they hear of everything, too.
func TestReceiversThatMisbehave(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	broken := brokenReceivers(t)
	healthy := &misbehaving{name: "healthy", heard: map[string]bool{}, works: true}
	h := httptest.NewServer(healthy.serve(nil))
	t.Cleanup(h.Close)
	healthy.url, healthy.mended = h.URL, h.URL
	all := append([]*misbehaving{healthy}, broken...)
	s := receiversServer(t, dir, all, ", min_backoff: 200ms, max_backoff: 2s")

	// One after the other: each comes while all before it are held up elsewhere.
	const alerts = 8
	var slowest time.Duration
	for i := range alerts {
		began := time.Now()
		s.tell(i, 5)
		eventuallyHas(t, healthy, fmt.Sprint("firing ", i))
		slowest = max(slowest, time.Since(began))
	}
	for i := range alerts / 2 {
		s.tell(i, 0)
		eventuallyHas(t, healthy, fmt.Sprint("resolved ", i))
	}
	t.Logf("the healthy receiver heard of each within %s", slowest.Round(time.Millisecond))
	for _, m := range broken {
		if m.name == "slow" {
			continue
		}
		require.False(t, m.has("firing 0"), "%s was to be broken", m.name)
	}
	// What waits is known, and why.
	eventually(t, 60*time.Second, func() error { return s.waitsFor(broken) })

	for _, m := range broken {
		if strings.HasPrefix(m.name, "limited") {
			eventually(t, 60*time.Second, m.askedAgain)
			m.leftAlone(t)
		}
	}
	for _, m := range broken {
		m.mend()
	}
	write(t, dir, "alertmanager.yml", receiversConfig(all, true))
	require.Equal(t, 200, must(s.do(http.MethodPost, "/-/reload", nil, nil)))
	for _, m := range broken {
		for i := range alerts {
			if i < alerts/2 {
				eventuallyHas(t, m, fmt.Sprint("resolved ", i))
			} else {
				eventuallyHas(t, m, fmt.Sprint("firing ", i))
			}
		}
	}
	eventually(t, 60*time.Second, func() error {
		if box := s.outbox(); len(box.Waiting)+len(box.DeadLetters) > 0 {
			return fmt.Errorf("something waits still: %+v", box)
		}
		return nil
	})
	s.stop()
}

// waitsFor reports whether the outbox says of each broken receiver why its messages wait, and of the others nothing.
func (s *server) waitsFor(broken []*misbehaving) error {
	s.t.Helper()
	why := map[string]string{"limited": "429", "limitedtls": "429", "limitedhttp2": "429", "failing": "500", "refused": "refused", "untrusted": "certificate",
		"nameless": "receiver.tocsin.invalid", "hanging": "", "dropping": "EOF", "halfclosed": "EOF"}
	box := s.outbox()
	said := map[string]string{}
	for _, n := range box.Waiting {
		said[n.Receiver] += n.LastError
	}
	for _, m := range broken {
		if _, ok := said[m.name]; m.name != "slow" && (!ok || !strings.Contains(said[m.name], why[m.name])) {
			return fmt.Errorf("the outbox does not say that %s has trouble with %q: %+v", m.name, why[m.name], box)
		}
	}
	if text, ok := said["healthy"]; ok || len(box.DeadLetters) > 0 {
		return fmt.Errorf("something of a healthy receiver waits (%s), or is dead: %+v", text, box)
	}
	return nil
}

// letter is a message of the outbox as the API shows it.
type letter struct {
	ID          uint64
	Receiver    string
	Integration string
	Attempts    int
	LastError   string
}

type letters struct {
	Waiting, DeadLetters []letter
	Circuits             []struct{ Receiver, State string }
}

func (s *server) outbox() letters {
	s.t.Helper()
	var out struct{ Data letters }
	require.NoError(s.t, json.Unmarshal([]byte(s.get("/api/v1/notifications/outbox", 200)), &out))
	return out.Data
}

// TestDeadLetters lets messages grow too old, and has others refused for good: they are listed, by the API and the
// command, go to the fallback receiver, outlive a kill, and are sent again when a person says so.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	one := func(name string, status int) *misbehaving {
		m := &misbehaving{name: name, heard: map[string]bool{}, works: status == 200}
		s := httptest.NewServer(m.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		m.url, m.mended = s.URL, s.URL
		return m
	}
	healthy, failing, refusing, spare := one("healthy", 200), one("failing", 503), one("refusing", 400), one("spare", 200)
	all := []*misbehaving{healthy, failing, refusing}
	config := receiversConfig(all, false) + fmt.Sprintf("- name: spare\n  webhook_configs: [{url: '%s'}]\n", spare.url)
	write(t, dir, "rules.yml", receiversRules)
	write(t, dir, "alertmanager.yml", config)
	write(t, dir, "tocsin.yml", `
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications:
    alertmanager_config: alertmanager.yml
    dead_letter_after: 3s
    min_backoff: 200ms
    max_backoff: 500ms
    fallback_receiver: spare
  self_scrape: {enabled: false}
`)
	s := start(t, dir, "--config", "tocsin.yml")
	s.tell(1, 5)
	eventuallyHas(t, healthy, "firing 1")
	dead := func(s *server) map[string]letter {
		byReceiver := map[string]letter{}
		eventually(t, 60*time.Second, func() error {
			box := s.outbox()
			for _, l := range box.DeadLetters {
				byReceiver[l.Receiver] = l
			}
			if len(byReceiver) < 2 {
				return fmt.Errorf("no dead letters of both: %+v", box)
			}
			return nil
		})
		return byReceiver
	}
	before := dead(s)
	require.Contains(t, before["failing"].LastError, "503")
	require.Contains(t, before["refusing"].LastError, "400")
	eventuallyHas(t, spare, "firing 1")

	s.kill()
	s = start(t, dir, "--config", "tocsin.yml")
	after := dead(s)
	require.Equal(t, before["failing"].ID, after["failing"].ID)
	require.Equal(t, before["refusing"].ID, after["refusing"].ID)
	code, out, stderr := tocsin(t, "notifications", "--url", s.url)
	require.Zero(t, code, stderr)
	require.Contains(t, out, "failing")
	require.Contains(t, out, "503")

	failing.set(true)
	refusing.set(true)
	require.Equal(t, 200, must(s.do(http.MethodPost, fmt.Sprintf("/api/v1/notifications/%d/resend", after["failing"].ID), nil, nil)))
	code, _, stderr = tocsin(t, "notifications", "resend", "--url", s.url, fmt.Sprint(after["refusing"].ID))
	require.Zero(t, code, stderr)
	eventuallyHas(t, failing, "firing 1")
	eventuallyHas(t, refusing, "firing 1")
	eventually(t, 30*time.Second, func() error {
		if box := s.outbox(); len(box.Waiting)+len(box.DeadLetters) > 0 {
			return fmt.Errorf("something is left: %+v", box)
		}
		return nil
	})
	s.tell(1, 0)
	eventuallyHas(t, failing, "resolved 1")
	s.stop()
}
