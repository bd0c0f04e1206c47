package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// soon is well below any time-out in this test, and well above a delivery's time on a busy machine.
const soon = 3 * time.Second

func TestHangingReceiverDelaysNobodyElse(t *testing.T) {
	hanging, healthy := newHook(t).block(), newHook(t)
	n := start(t, Options{DrainTimeout: 100 * time.Millisecond}, fmt.Sprintf(`
route:
  receiver: healthy
  group_by: ['...']
  group_wait: 0s
  group_interval: 1s
  routes:
  - {matchers: [to="hanging"], receiver: hanging}
  - {matchers: [to="both"], receiver: both}
receivers:
- name: healthy
  webhook_configs: [{url: %[1]q}]
- name: hanging
  webhook_configs: [{url: %[2]q}]
- name: both
  webhook_configs: [{url: %[2]q}, {url: %[1]q}]
`, healthy.URL, hanging.URL))
	for i := range 20 {
		send(n, firing("H", "to", "hanging", "i", strconv.Itoa(i)))
	}
	eventually(t, "all 20 hang", func() bool { return hanging.called() == 20 })

	began := time.Now()
	send(n, firing("A", "to", "other"), firing("B", "to", "both"))
	eventually(t, "other receiver", func() bool { return healthy.count("firing", "to", "other") == 1 })
	eventually(t, "other integration of the receiver", func() bool { return healthy.count("firing", "to", "both") == 1 })
	require.Less(t, time.Since(began), soon)
}

// TestSilentMailServer: upstream's email integration waits for ever for a server that says nothing. It must not keep the
// receiver's other integration from later flushes of the group.
func TestSilentMailServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	accepted := make(chan net.Conn, 16)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- c // and not a word
		}
	}()
	h := newHook(t)
	reg := prometheus.NewRegistry()
	n := start(t, Options{Registerer: reg, DrainTimeout: 100 * time.Millisecond}, fmt.Sprintf(`
global: {smtp_smarthost: %q, smtp_from: a@example.org, smtp_require_tls: false}
route: {receiver: both, group_by: [alertname], group_wait: 0s, group_interval: 1s}
receivers:
- name: both
  email_configs: [{to: b@example.org}]
  webhook_configs: [{url: %q}]
`, l.Addr(), h.URL))
	send(n, firing("A", "i", "1"))
	eventually(t, "first", func() bool { return h.count("firing", "i", "1") == 1 })
	<-accepted
	send(n, firing("A", "i", "2"))
	eventually(t, "second, though the mail of the first hangs", func() bool { return h.count("firing", "i", "2") >= 1 })
	require.Positive(t, metric(t, reg, "tocsin_notify_attempts_abandoned_total", "integration=email"))
	stopped := time.Now()
	n.Stop()
	require.Less(t, time.Since(stopped), soon)
	for len(accepted) > 0 {
		_ = (<-accepted).Close()
	}
}

type stuck struct{ until chan struct{} }

func (s stuck) Notify(context.Context, ...*amalert.Alert) (bool, error) { <-s.until; return false, nil }
func (stuck) SendResolved() bool                                        { return true }

func TestAbandonedAttemptsAreBounded(t *testing.T) {
	s := stuck{make(chan struct{})}
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "x"}, []string{"integration"})
	a := &attempter{inner: amnotify.NewIntegration(s, s, "stuck", 0, "r"), abandoned: vec.WithLabelValues("stuck")}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	errs := make(chan error)
	for range maxAbandoned {
		go func() {
			_, err := a.Notify(done, &amalert.Alert{Alert: model.Alert{}})
			errs <- err
		}()
	}
	for range maxAbandoned {
		require.ErrorIs(t, <-errs, context.Canceled)
	}
	retry, err := a.Notify(done)
	require.True(t, retry && errors.Is(err, errHanging))
	close(s.until)
	eventually(t, "the integration is used again", func() bool {
		_, err := a.Notify(t.Context())
		return err == nil
	})
}
