package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/sim"
)

// mounted mounts a small file system on a new directory for the test's time, or skips loudly. It is taken away after what
// was started later has ended.
func mounted(t *testing.T, why string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", append(args, dir)...).CombinedOutput(); err != nil {
		t.Skipf("LOUD SKIP: %s needs a file system of its own, which this user may not mount: %v %s", why, err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	return dir
}

// fill leaves not a byte free beside file, and returns how many it took.
func fill(t *testing.T, file string) (n int) {
	t.Helper()
	f, err := os.Create(file)
	require.NoError(t, err)
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			var k int
			k, err = f.Write(make([]byte, size))
			n += k
		}
	}
	_ = f.Close() // It is full.
	return n
}

// number is the value of one of tocsin's own metrics, of the series with these labels; 0 where there is none.
func (s *server) number(name string, want map[string]string) float64 {
	s.t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(s.get("/metrics", 200)))
	require.NoError(s.t, err)
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		has := 0
		for _, l := range m.GetLabel() {
			if v, ok := want[l.GetName()]; ok && v == l.GetValue() {
				has++
			}
		}
		if has == len(want) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
		}
	}
	return sum
}

// wantMetric waits until one of tocsin's own metrics is as it should be.
func (s *server) wantMetric(name string, labels map[string]string, ok func(float64) bool) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, func() error {
		if v := s.number(name, labels); !ok(v) {
			return fmt.Errorf("%s%v is %g; the log:\n%s", name, labels, v, tail(s.log.String(), 3000))
		}
		return nil
	})
}

// wantLog waits for a line of the log that has all of parts.
func (s *server) wantLog(parts ...string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, func() error {
		for _, l := range lines(s.log.String()) {
			has := 0
			for _, p := range parts {
				if strings.Contains(l, p) {
					has++
				}
			}
			if has == len(parts) {
				return nil
			}
		}
		return fmt.Errorf("no line of the log has %q; it ends\n%s", parts, tail(s.log.String(), 3000))
	})
}

// wantHeard waits until the webhook heard of n alerts of a name in the status.
func wantHeard(t *testing.T, hook *sim.Webhook, status, alertname string, n int) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		heard := map[string]bool{}
		for _, a := range hook.Alerts() {
			if a.Status == status && a.Labels["alertname"] == alertname {
				heard[a.Labels["id"]] = true
			}
		}
		if len(heard) < n {
			return fmt.Errorf("heard of %d %s %s, want %d", len(heard), status, alertname, n)
		}
		return nil
	})
}

// faultyDisk is a tocsin whose data are on a disk that gets into trouble, with alerts that change meanwhile.
type faultyDisk struct {
	*server
	t     *testing.T
	disk  string
	hook  *sim.Webhook
	began time.Time
}

// heavy is how many alerts fire during the trouble, each with a label that does not compress: what is recorded of them
// does not fit into what the ledger has on disk already.
const heavy = 500

// newFaultyDisk starts tocsin with alerts of which Before fires before the trouble, Within fires and ends by the clock, and
// Late fires after it, when the ledger cannot take anything for certain.
func newFaultyDisk(t *testing.T, disk string) *faultyDisk {
	t.Helper()
	d := &faultyDisk{t: t, disk: disk}
	var err error
	d.hook, err = sim.NewWebhook()
	require.NoError(t, err)
	t.Cleanup(func() { d.hook.Close() })
	dir := t.TempDir()
	at := time.Now().Add(12 * time.Second).Truncate(time.Second)
	write(t, dir, "alertmanager.yml", fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname, id], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
- name: hook
  webhook_configs: [{url: '%s'}]
`, d.hook.URL()))
	write(t, dir, "rules.yml", fmt.Sprintf(`
groups:
- name: disk
  interval: 1s
  rules:
  - {alert: Before, expr: disk_input > 1}
  - {alert: Waits, expr: disk_input > 1, for: 12s}
  - {alert: Within, expr: 'disk_weight > 0 and on() (vector(time()) >= %d) and on() (vector(time()) < %d)'}
  - {alert: Late, expr: 'disk_input > 1 and on() (vector(time()) >= %d)'}
`, at.Unix(), at.Unix()+8, at.Unix()+10))
	write(t, dir, "tocsin.yml", `
global: {evaluation_interval: 1s}
rule_files: [rules.yml]
tocsin:
  notifications: {alertmanager_config: alertmanager.yml}
  self_scrape: {enabled: false}
  rules: {resend_delay: 5s}
`)
	d.began = time.Now()
	d.server = start(t, dir, "--config", "tocsin.yml", "--data", filepath.Join(disk, "data"))
	var weights strings.Builder
	for i := range heavy {
		fmt.Fprintf(&weights, "disk_weight{id=\"%d\",ballast=\"%s\"} 1\n", i, ballast(i))
	}
	require.Equal(t, 200, must(d.do(http.MethodPut, "/metrics/job/weights", http.Header{}, []byte(weights.String()))))
	require.Equal(t, 204, must(d.remoteWrite("disk_input", 5)))
	wantHeard(t, d.hook, "firing", "Before", 1)
	return d
}

// ballast is a text of 300 bytes that does not compress much, the same for the same i.
func ballast(i int) string {
	var b strings.Builder
	x := uint64(i)*0x9e3779b97f4a7c15 + 1
	for b.Len() < 300 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&b, "%016x", x)
	}
	return b.String()
}

// remoteWrite writes one sample of now and returns the answer.
func (s *server) remoteWrite(name string, v float64) (code int, body string) {
	s.t.Helper()
	return s.remoteWriteOf(name, "0", v)
}

func (s *server) remoteWriteOf(name, id string, v float64) (code int, body string) {
	s.t.Helper()
	req := prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  prompb.FromLabels(labels.FromStrings("__name__", name, "id", id), nil),
		Samples: []prompb.Sample{{Value: v, Timestamp: time.Now().UnixMilli()}},
	}}}
	raw, err := req.Marshal()
	require.NoError(s.t, err)
	return s.do(http.MethodPost, "/api/v1/write",
		http.Header{"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"snappy"}}, snappy.Encode(nil, raw))
}

// wantTrouble waits until the status says of the ledger's trouble what it should; nothing means that there is none.
func (s *server) wantTrouble(parts ...string) {
	s.t.Helper()
	eventually(s.t, 60*time.Second, func() error {
		var out struct {
			Data struct {
				Ledger struct {
					Open, Healthy bool
					Trouble       string
				}
			}
		}
		body := s.get("/api/v1/status", 200)
		if err := json.Unmarshal([]byte(body), &out); err != nil {
			return err
		}
		l := out.Data.Ledger
		ok := l.Open && l.Healthy == (len(parts) == 0)
		for _, p := range parts {
			ok = ok && strings.Contains(l.Trouble, p)
		}
		if !ok {
			return fmt.Errorf("the status says of the ledger %+v, want %q: %s", l, parts, body)
		}
		return nil
	})
}

// wantTransitions expects the ledger, which nobody has open, to have n transitions of a rule to the state since the start,
// and nothing to be wrong with it.
func (d *faultyDisk) wantTransitions(to alert.State, rule string, n int) {
	d.t.Helper()
	dir := filepath.Join(d.disk, "data", "tenants", "default", "ledger")
	report, err := ledger.Check(dir)
	require.NoError(d.t, err)
	require.Empty(d.t, report.Problems)
	l, err := ledger.Open(ledger.Options{Dir: dir})
	require.NoError(d.t, err)
	defer l.Close()
	page, err := l.History(context.Background(), ledger.Query{Rule: rule, States: []alert.State{to}, Limit: ledger.MaxLimit})
	require.NoError(d.t, err)
	require.Len(d.t, page.Entries, n, "%s to %s", rule, to)
}

// TestFullDisk fills the disk to the last byte while alerts are to fire: they do, people are told, and when there is room
// again all that happened comes to be on disk, without a restart, and what people were told with it: after a kill nobody is
// told again of what fires, and that it is over is told.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	d := newFaultyDisk(t, mounted(t, "a full disk", "-t", "tmpfs", "-o", "size=24m", "tocsin-test"))
	filler := filepath.Join(d.disk, "filler")
	require.NotZero(t, fill(t, filler))

	// Samples are refused, in a way that lets clients try again, and that says why.
	eventually(t, 30*time.Second, func() error {
		code, body := d.remoteWrite("disk_input", 6)
		if code/100 != 5 || !strings.Contains(body, "the disk is full") {
			return fmt.Errorf("a write was answered with %d %s", code, body)
		}
		return nil
	})
	code, body := d.do(http.MethodPut, "/metrics/job/late", http.Header{}, []byte("disk_late 1\n"))
	require.Equal(t, 503, code)
	require.Contains(t, body, "no space left")
	d.wantLog("level=ERROR", "nearly full", "samples are refused", "Free some space")
	d.wantMetric("tocsin_history_disk_low", nil, func(v float64) bool { return v == 1 })

	// Alerts go on: one whose `for` is over meanwhile, and many that begin to fire and are over again.
	wantHeard(t, d.hook, "firing", "Waits", 1)
	wantHeard(t, d.hook, "firing", "Within", heavy)
	d.wantLog("level=ERROR", "The ledger cannot write", "the disk is full: free some space on it")
	d.wantMetric("tocsin_ledger_errors_total", map[string]string{"doing": "commit"}, func(v float64) bool { return v > 0 })
	d.wantMetric("tocsin_ledger_queue", map[string]string{"kind": "transition"}, func(v float64) bool { return v > 0 })
	wantHeard(t, d.hook, "resolved", "Within", heavy)
	d.wantTrouble("ledger.db cannot be written since", "the disk is full: free some space on it", "alerts go on")
	wantHeard(t, d.hook, "firing", "Late", 1)
	require.Equal(t, 200, must(d.do(http.MethodGet, "/-/healthy", nil, nil)))

	// Room again.
	require.NoError(t, os.Remove(filler))
	d.wantLog("level=INFO", "The ledger can write again")
	d.wantTrouble()
	d.wantMetric("tocsin_ledger_queue", nil, func(v float64) bool { return v == 0 })
	d.wantMetric("tocsin_ledger_dropped_total", nil, func(v float64) bool { return v == 0 })
	d.wantMetric("tocsin_notify_outbox_told_unwritten", nil, func(v float64) bool { return v == 0 })
	d.wantLog("level=INFO", "There is room on the disk again")

	// It is on disk: a kill does not lose it, nor who was told. The ledger alone knows: the notification log is taken away.
	d.kill()
	require.NoError(t, os.RemoveAll(filepath.Join(d.disk, "data", "tenants", "default", "notify", "nflog")))
	d.wantTransitions(alert.Firing, "Within", heavy)
	d.wantTransitions(alert.Inactive, "Within", heavy)
	d.wantTransitions(alert.Firing, "Waits", 1)
	heard := len(d.hook.Alerts())
	d.server = start(t, d.dir, "--config", "tocsin.yml", "--data", filepath.Join(d.disk, "data"))
	time.Sleep(8 * time.Second) // All that fires is sent to the pipeline again by then.
	require.Len(t, d.hook.Alerts(), heard, "somebody was told again: %+v", d.hook.Alerts()[heard:])
	eventually(t, 30*time.Second, func() error {
		if code, body := d.remoteWrite("disk_input", 0); code != 204 {
			return fmt.Errorf("a write was answered with %d %s", code, body)
		}
		return nil
	})
	wantHeard(t, d.hook, "resolved", "Before", 1)
	wantHeard(t, d.hook, "resolved", "Waits", 1)
	wantHeard(t, d.hook, "resolved", "Late", 1)
	d.wantQuery(`last_over_time(disk_input{id="0"}[10m])`, "0")
	d.kill()
	d.wantTransitions(alert.Inactive, "Before", 1)
	d.wantTransitions(alert.Inactive, "Waits", 1)
	require.Len(t, d.hook.Alerts(), heard+3)
}

func must(code int, _ string) int { return code }

// TestDiskTurnsReadOnly has the file system give up, as one does whose disk fails: from one moment to the next nothing can
// be written. Alerts go on; after the file system was checked and mounted again, and only then can the process open its
// files, it goes on from what was there before.
func TestDiskTurnsReadOnly(t *testing.T) {
	t.Parallel()
	mkfs := program(t, "mkfs.ext4", "e2fsprogs")
	image := filepath.Join(t.TempDir(), "image")
	require.NoError(t, os.WriteFile(image, nil, 0o600))
	require.NoError(t, os.Truncate(image, 64<<20))
	out, err := exec.Command(mkfs, "-q", image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	disk := mounted(t, "a disk that turns read-only", "-o", "loop,errors=remount-ro", image)
	d := newFaultyDisk(t, disk)
	if out, err := exec.Command("mount", "-o", "remount,abort", disk).CombinedOutput(); err != nil {
		t.Skipf("LOUD SKIP: this file system cannot be made to give up: %v %s", err, out)
	}
	require.Error(t, os.WriteFile(filepath.Join(disk, "probe"), nil, 0o600), "it is not read-only")

	wantHeard(t, d.hook, "firing", "Waits", 1)
	wantHeard(t, d.hook, "firing", "Within", heavy)
	wantHeard(t, d.hook, "resolved", "Within", heavy)
	d.wantLog("level=ERROR", "The ledger cannot write", "not mounted read-only")
	d.wantMetric("tocsin_ledger_queue", map[string]string{"kind": "transition"}, func(v float64) bool { return v > 0 })
	d.wantTrouble("ledger.db cannot be written since", "not mounted read-only", "alerts go on")
	require.Equal(t, 5, must(d.remoteWrite("disk_input", 0))/100)
	require.Equal(t, 200, must(d.do(http.MethodGet, "/-/healthy", nil, nil)))

	d.kill()
	out, err = exec.Command("umount", disk).CombinedOutput()
	require.NoError(t, err, "%s", out)
	_ = exec.Command("e2fsck", "-p", image).Run() // What it mended is in its exit code.
	out, err = exec.Command("mount", "-o", "loop", image, disk).CombinedOutput()
	require.NoError(t, err, "%s", out)
	d.wantTransitions(alert.Firing, "Before", 1)
	s := start(t, d.dir, "--config", "tocsin.yml", "--data", filepath.Join(disk, "data"))
	d.server = s
	require.Equal(t, 204, must(d.remoteWrite("disk_input", 0)))
	wantHeard(t, d.hook, "resolved", "Before", 1)
	s.stop()
	d.wantTransitions(alert.Inactive, "Before", 1)
}
