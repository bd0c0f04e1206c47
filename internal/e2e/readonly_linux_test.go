package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/sim"
	"github.com/tocsin/tocsin/internal/sim/baddisk"
)

// failing returns a disk that fails when it is told to, where it is mounted, and the directory behind it, or skips loudly.
func failing(t *testing.T) (d *baddisk.Disk, at, behind string) {
	t.Helper()
	at, behind = t.TempDir(), t.TempDir()
	d, err := baddisk.Mount(behind, at)
	if err != nil {
		t.Skipf("LOUD SKIP: this machine or this user has no FUSE, so that a disk that fails and comes back was NOT tried: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("umount: %v", err)
		}
	})
	return d, at, behind
}

// traffic writes batches all the time, and remembers which were acknowledged.
type traffic struct {
	s            *server
	cancel       context.CancelFunc
	work         sync.WaitGroup
	acknowledged []int
	refused      atomic.Int64
	next         int
}

const trafficSeries = 1000

func (s *server) traffic() *traffic {
	ctx, cancel := context.WithCancel(context.Background())
	tr := &traffic{s: s, cancel: cancel}
	tr.work.Go(func() {
		for ; ctx.Err() == nil; tr.next++ {
			code, body, err := s.tryWrite(tr.batch(tr.next))
			switch {
			case err != nil:
				return // It was killed.
			case code == 204:
				tr.acknowledged = append(tr.acknowledged, tr.next)
			case code/100 == 5:
				tr.refused.Add(1)
			default:
				s.t.Errorf("a write was answered with %d %s", code, body)
			}
			time.Sleep(5 * time.Millisecond)
		}
	})
	return tr
}

func (tr *traffic) stop() {
	tr.cancel()
	tr.work.Wait()
}

// batch is the n-th: a series that says so, many whose values do not compress, so that it is half a page of the log, and in
// each second batch a series that is new.
func (tr *traffic) batch(n int) []prompb.TimeSeries {
	at := time.Now().UnixMilli()
	one := func(v float64, ls ...string) prompb.TimeSeries {
		return prompb.TimeSeries{
			Labels: prompb.FromLabels(labels.FromStrings(ls...), nil), Samples: []prompb.Sample{{Value: v, Timestamp: at}},
		}
	}
	out := []prompb.TimeSeries{one(float64(n), "__name__", "traffic_batch")}
	for i := range trafficSeries {
		out = append(out, one(rand.Float64(), "__name__", "traffic", "i", fmt.Sprint(i)))
	}
	if n%2 == 0 {
		out = append(out, one(float64(n), "__name__", "traffic_fresh", "n", fmt.Sprint(n)))
	}
	return out
}

func (s *server) tryWrite(series []prompb.TimeSeries) (code int, body string, err error) {
	raw, err := (&prompb.WriteRequest{Timeseries: series}).Marshal()
	if err != nil {
		return 0, "", err
	}
	req, err := http.NewRequest(http.MethodPost, s.url+"/api/v1/write", strings.NewReader(string(snappy.Encode(nil, raw))))
	if err != nil {
		return 0, "", err
	}
	req.Header = http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}}
	return doRequest(req)
}

// switched is a tocsin whose data are on a disk that fails when it is told to.
type switched struct {
	*faultyDisk
	bad *baddisk.Disk
}

// newSwitched starts tocsin with an alert that fires, and one that is not far from it.
func newSwitched(t *testing.T) *switched {
	t.Helper()
	bad, at, behind := failing(t)
	hook, err := sim.NewWebhook()
	require.NoError(t, err)
	t.Cleanup(func() { hook.Close() })
	dir := t.TempDir()
	write(t, dir, "alertmanager.yml", fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname, id], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: '%s'}]
`, hook.URL()))
	write(t, dir, "rules.yml", `
groups:
- name: disk
  interval: 1s
  rules:
  - {alert: High, expr: disk_input > 10}
  - {alert: Waits, expr: disk_input > 10, for: 3s}
  - {record: 'disk:sum', expr: sum(disk_input)}
`)
	write(t, dir, "tocsin.yml", `
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications: {alertmanager_config: alertmanager.yml}
  self_scrape: {interval: 1s}
`)
	s := &switched{&faultyDisk{t: t, disk: behind, hook: hook}, bad}
	s.server = start(t, dir, "--config", "tocsin.yml", "--data", filepath.Join(at, "data"))
	s.wantTaken("before", 20)
	s.wantTaken("during", 1)
	s.wantTold(10*time.Second, "firing", "High", "before")
	s.wantTold(10*time.Second, "firing", "Waits", "before")
	return s
}

// again starts it anew on the same data.
func (s *switched) again() {
	s.server = start(s.t, s.dir, s.cmd.Args[len(s.cmd.Args)-4:]...)
}

func (s *switched) wantTaken(id string, v float64) {
	s.t.Helper()
	eventually(s.t, 10*time.Second, func() error {
		if code, body := s.remoteWriteOf("disk_input", id, v); code != 204 {
			return fmt.Errorf("a write was answered with %d %s", code, body)
		}
		return nil
	})
}

func (s *switched) wantRefused(id string, v float64) {
	s.t.Helper()
	code, body := s.remoteWriteOf("disk_input", id, v)
	require.Equal(s.t, 503, code, body)
	require.Contains(s.t, body, "the file system is read-only; mount it writable")
}

// told is how often the receiver was told of an alert, of which id may be empty.
func (s *switched) told(status, alertname, id string) (n int) {
	for _, a := range s.hook.Alerts() {
		if a.Status == status && a.Labels["alertname"] == alertname && a.Labels["id"] == id {
			n++
		}
	}
	return n
}

func (s *switched) wantTold(within time.Duration, status, alertname, id string) {
	s.t.Helper()
	eventually(s.t, within, func() error {
		if s.told(status, alertname, id) == 0 {
			return fmt.Errorf("the receiver was not told: %s %s %s; the log:\n%s", status, alertname, id, tail(s.log.String(), 3000))
		}
		return nil
	})
}

// wantHistory waits until the status says of history what it should; nothing means that all is well.
func (s *switched) wantHistory(parts ...string) {
	s.t.Helper()
	eventually(s.t, 20*time.Second, func() error {
		var out struct {
			Data struct {
				History struct {
					Healthy bool
					Trouble string
				}
			}
		}
		if err := json.Unmarshal([]byte(s.get("/api/v1/status", 200)), &out); err != nil {
			return err
		}
		h := out.Data.History
		ok := h.Healthy == (len(parts) == 0)
		for _, p := range parts {
			ok = ok && strings.Contains(h.Trouble, p)
		}
		if !ok {
			return fmt.Errorf("the status says of history %+v, want %q", h, parts)
		}
		return nil
	})
}

// TestReadOnlyAndBack has the file system of the data turn read-only under the process and back, without a restart. Alerts
// that fire and end meanwhile are told at once, what is wrong is said, samples are refused; after it all is recorded, and
// nothing that was acknowledged is lost by a kill.
func TestReadOnlyAndBack(t *testing.T) {
	t.Parallel()
	s := newSwitched(t)
	tr := s.traffic()
	defer tr.stop()
	time.Sleep(time.Second)

	s.bad.Fail(syscall.EROFS)
	s.wantRefused("during", 20)
	s.wantTold(5*time.Second, "firing", "High", "during")
	s.wantRefused("before", 1)
	s.wantTold(5*time.Second, "resolved", "High", "before")
	s.wantTold(10*time.Second, "firing", "Waits", "during") // by the clock

	s.wantLog("level=ERROR", "Samples cannot be stored", "the file system is read-only; mount it writable")
	s.wantLog("level=ERROR", "The ledger cannot write", "not mounted read-only")
	s.wantTrouble("ledger.db cannot be written since", "not mounted read-only", "alerts go on")
	s.wantHistory("the file system is read-only", "samples are refused, alerts go on")
	s.wantMetric("tocsin_history_healthy", nil, func(v float64) bool { return v == 0 })
	s.wantMetric("tocsin_ledger_healthy", nil, func(v float64) bool { return v == 0 })
	s.wantMetric("tocsin_ledger_queue", map[string]string{"kind": "transition"}, func(v float64) bool { return v >= 3 })
	code, body := s.do(http.MethodPut, "/metrics/job/late", http.Header{}, []byte("disk_late 1\n"))
	require.Equal(t, 503, code)
	require.Contains(t, body, "read-only file system")
	require.Equal(t, 200, must(s.do(http.MethodGet, "/-/healthy", nil, nil)))
	s.wantTold(40*time.Second, "firing", "TocsinHistoryFailing", "")
	s.wantTold(10*time.Second, "firing", "TocsinLedgerFailing", "")
	require.NotZero(t, tr.refused.Load())

	s.bad.Mend()
	s.wantTaken("after", 1)
	s.wantHistory()
	s.wantTrouble()
	s.wantLog("level=INFO", "Samples can be stored again")
	s.wantLog("level=INFO", "The ledger can write again")
	s.wantLog("level=INFO", "The notification log is saved again")
	s.wantMetric("tocsin_ledger_queue", nil, func(v float64) bool { return v == 0 })
	s.wantMetric("tocsin_ledger_dropped_total", nil, func(v float64) bool { return v == 0 })
	require.Equal(t, 200, must(s.do(http.MethodPut, "/metrics/job/late", http.Header{}, []byte("disk_late 1\n"))))
	s.wantTold(20*time.Second, "resolved", "TocsinHistoryFailing", "")
	s.wantTold(20*time.Second, "resolved", "TocsinLedgerFailing", "")
	s.wantTransitionsNow("during", "firing", "High", "Waits")
	s.wantTransitionsNow("before", "inactive", "High", "Waits")
	time.Sleep(2 * time.Second) // The notification log is a second behind.

	s.kill()
	tr.stop()
	s.wantTransitions(alert.Firing, "High", 2)
	s.wantTransitions(alert.Firing, "Waits", 2)
	s.wantTransitions(alert.Inactive, "High", 1)
	s.again()
	tr.wantThere(s.server)
	s.wantTaken("during", 20)
	time.Sleep(3 * time.Second)
	for _, name := range []string{"High", "Waits"} {
		require.Equal(t, 1, s.told("firing", name, "during"), name)
		require.Equal(t, 1, s.told("resolved", name, "before"), name)
		require.Zero(t, s.told("resolved", name, "during"), name)
	}
	s.wantTaken("during", 1)
	s.wantTold(10*time.Second, "resolved", "High", "during")
	s.wantTold(10*time.Second, "resolved", "Waits", "during")
	s.stop()
}

// wantTransitionsNow expects the running process's history to have a transition of each rule's alert to a state.
func (s *switched) wantTransitionsNow(id, to string, rules ...string) {
	s.t.Helper()
	for _, rule := range rules {
		var out struct {
			Data struct {
				Entries []struct {
					Rule, To string
					Labels   map[string]string
				}
			}
		}
		require.NoError(s.t, json.Unmarshal([]byte(s.get("/api/v1/history?rule="+rule, 200)), &out))
		n := 0
		for _, e := range out.Data.Entries {
			if e.Rule == rule && e.To == to && e.Labels["id"] == id {
				n++
			}
		}
		require.Equal(s.t, 1, n, "%s of %s to %s: %+v", rule, id, to, out.Data.Entries)
	}
}

// TestADiskThatFailsForMoments has the disk take nothing for moments under load, in all the ways that it can, so that writes
// fail half-way, and then kills the process: what was acknowledged is there.
func TestADiskThatFailsForMoments(t *testing.T) {
	t.Parallel()
	s := newSwitched(t)
	tr := s.traffic()
	defer tr.stop()
	for i := range 12 {
		time.Sleep(300 * time.Millisecond)
		s.bad.Fail([]syscall.Errno{syscall.EROFS, syscall.ENOSPC, syscall.EIO}[i%3])
		time.Sleep(30 * time.Millisecond)
		s.bad.Mend()
		s.wantTaken("after", 1)
	}
	s.wantHistory()
	s.wantTrouble()
	time.Sleep(300 * time.Millisecond)
	s.kill()
	tr.stop()
	require.NotZero(t, tr.refused.Load())
	s.wantTransitions(alert.Firing, "High", 1)
	s.again()
	tr.wantThere(s.server)
	require.Equal(t, 1, s.told("firing", "High", "before"))
	s.stop()
}

// wantThere expects all that was acknowledged to be there.
func (tr *traffic) wantThere(s *server) {
	t := s.t
	t.Helper()
	t.Logf("%d batches were acknowledged, %d refused", len(tr.acknowledged), tr.refused.Load())
	var out struct {
		Data struct {
			Result []struct{ Values [][2]any }
		}
	}
	require.NoError(t, json.Unmarshal([]byte(s.get("/api/v1/query?query="+url.QueryEscape("traffic_batch[10m]"), 200)), &out))
	require.Len(t, out.Data.Result, 1)
	there := map[string]bool{}
	for _, v := range out.Data.Result[0].Values {
		there[v[1].(string)] = true
	}
	fresh, err := s.query("last_over_time(traffic_fresh[10m])")
	require.NoError(t, err)
	for i := range fresh {
		there["fresh "+fresh.value(i)] = true
	}
	for _, n := range tr.acknowledged {
		require.True(t, there[fmt.Sprint(n)], "batch %d was acknowledged, and is lost", n)
		require.True(t, n%2 == 1 || there[fmt.Sprint("fresh ", n)], "a new series of batch %d was acknowledged, and is lost", n)
	}
}
