package e2e_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestStopIsBounded stops a tocsin whose clients and destinations hang. It must end in time, with exit code 0, having
// closed what it can.
func TestStopIsBounded(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
	require.NoError(t, err)
	defer silent.Close()
	const short = "tocsin: {shutdown_timeout: 6s, self_scrape: {interval: 1s}%s}\n"
	for name, config := range map[string]string{
		"request":      fmt.Sprintf(short, ""),
		"target":       fmt.Sprintf(short, "") + "scrape_configs: [{job_name: a, scrape_timeout: 50s, static_configs: [{targets: ['ADDR']}]}]\n",
		"remote write": fmt.Sprintf(short, "") + "remote_write: [{url: 'http://ADDR/'}]\n",
		"webhook":      fmt.Sprintf(short, ", notifications: {alertmanager_config: am.yml}") + "rule_files: [rules.yml]\n",
		"alertmanager": fmt.Sprintf(short, "") + "rule_files: [rules.yml]\nalerting: {alertmanagers: [{static_configs: [{targets: ['ADDR']}]}]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, "tocsin.yml", strings.ReplaceAll(config, "ADDR", silent.Addr().String()))
			write(t, dir, "am.yml", "route: {receiver: a, group_wait: 0s}\nreceivers: [{name: a, webhook_configs: [{url: 'http://"+silent.Addr().String()+"/'}]}]\n")
			write(t, dir, "rules.yml", "groups: [{name: g, interval: 1s, rules: [{alert: Always, expr: vector(1)}]}]\n")
			s := start(t, dir, "--config", "tocsin.yml")
			if name == "request" {
				halfRequest(t, s)
			}
			s.wantQuery(`up{job="tocsin"}`, "1") // so that remote write has something to send
			if strings.Contains(config, "rule_files") {
				s.wantActive("Always")
			}
			began := time.Now()
			s.stop()
			require.Less(t, time.Since(began), 15*time.Second)
		})
	}
}

// halfRequest begins a push and leaves it at that. When it returns, the server waits for the rest.
func halfRequest(t *testing.T, s *server) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = fmt.Fprint(c, "PUT /metrics/job/x HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n")
	require.NoError(t, err)
	line, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "100 Continue")
}

// TestConsoleReaderGone is `tocsin run | head -1`: the process outlives its reader and goes on telling.
func TestConsoleReaderGone(t *testing.T) {
	t.Parallel()
	s := &server{t: t, dir: t.TempDir(), exited: make(chan error, 1), console: &lockedBuffer{}, log: &lockedBuffer{}}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	s.cmd = command(s.dir, w, s.log)
	require.NoError(t, s.cmd.Start())
	require.NoError(t, w.Close())
	go func() { s.exited <- s.cmd.Wait() }()
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	in := bufio.NewScanner(r)
	for in.Scan() {
		if m := pageLine.FindStringSubmatch(in.Text()); m != nil {
			s.url = m[1]
			break
		}
	}
	require.NoError(t, r.Close())
	alerts := `[{"labels":{"alertname":"x"}}]`
	code, body := s.do(http.MethodPost, "/api/v2/alerts", http.Header{"Content-Type": {"application/json"}}, []byte(alerts))
	require.Equal(t, 200, code, body)
	for range 2 { // the drill makes transitions, which are not printed; its rules' neighbours are
		code, out, errOut := tocsin(t, "drill", "--url", s.url, "--json")
		require.Equal(t, 0, code, out+errOut)
	}
	eventually(t, 60*time.Second, func() error {
		if !strings.Contains(s.log.String(), "The console is gone") {
			return fmt.Errorf("nothing was printed yet")
		}
		return nil
	})
	s.get("/-/healthy", 200)
	s.stop()
}

// TestSecondInterrupt leaves at once where a request holds up the stop; SIGTERM twice does not.
func TestSecondInterrupt(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	halfRequest(t, s)
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGTERM))
	eventually(t, 20*time.Second, func() error {
		if !strings.Contains(s.log.String(), "msg=Stopping") {
			return fmt.Errorf("not stopping yet")
		}
		return nil
	})
	began := time.Now()
	eventually(t, 20*time.Second, func() error {
		if time.Since(began) < 1500*time.Millisecond { // sooner it counts as the first one, sent twice
			return fmt.Errorf("too soon")
		}
		return s.cmd.Process.Signal(syscall.SIGINT)
	})
	s.ended(1)
	require.Less(t, time.Since(began), 8*time.Second)
	require.Contains(t, s.log.String(), "second interrupt")
}

// TestReloadTakesAllOrNothing has the last room refuse: no other may keep the new configuration, nor lose its queues.
func TestReloadTakesAllOrNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const config = `
global: {scrape_interval: %s}
remote_write: [{url: 'http://127.0.0.1:1/%s'}]
alerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%s']}]}]}
tocsin: {shutdown_timeout: 3s, self_scrape: {interval: 1s}, notifications: {alertmanager_config: am.yml}, rules: {reload_interval: 0s}}
`
	const receiver = "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://127.0.0.1:1/'%s}]}]\n"
	write(t, dir, "am.yml", fmt.Sprintf(receiver, ""))
	write(t, dir, "tocsin.yml", fmt.Sprintf(config, "7s", "old", "7001"))
	s := start(t, dir, "--config", "tocsin.yml")
	s.wantQuery(`up{job="tocsin"}`, "1")
	old := func() {
		t.Helper()
		require.Contains(t, s.get("/api/v1/status/config", 200), "scrape_interval: 7s")
		metrics := s.get("/metrics", 200)
		require.Contains(t, metrics, "127.0.0.1:1/old")
		require.NotContains(t, metrics, "127.0.0.1:1/new")
		eventually(t, 20*time.Second, func() error {
			if b := s.get("/api/v1/alertmanagers", 200); !strings.Contains(b, "7001") || strings.Contains(b, "7002") {
				return fmt.Errorf("alertmanagers: %s", b)
			}
			return nil
		})
	}
	old()
	for name, files := range map[string][2]string{
		"receiver": {fmt.Sprintf(config, "8s", "new", "7002"), fmt.Sprintf(receiver, ", http_config: {tls_config: {ca_file: nope.pem}}")},
		"job":      {fmt.Sprintf(config, "8s", "new", "7002") + "scrape_configs: [{job_name: a, tls_config: {ca_file: nope.pem}}]\n", fmt.Sprintf(receiver, "")},
	} {
		write(t, dir, "am.yml", files[1])
		write(t, dir, "tocsin.yml", files[0])
		began := time.Now()
		code, body := s.do(http.MethodPost, "/-/reload", nil, nil)
		require.Equal(t, 500, code, name)
		require.Contains(t, body, "nope.pem", name)
		require.Less(t, time.Since(began), 20*time.Second, "%s: the queues of remote write were given up", name)
		old()
	}
	s.stop()
}

// TestMountedConfiguration changes files as Kubernetes does with a mounted ConfigMap: one link is swapped, above the
// files. Sizes and times stay the same, and nobody looks every now and then.
func TestMountedConfiguration(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mount := filepath.Join(dir, "mount")
	version := func(n int, alert string) {
		t.Helper()
		v := filepath.Join(mount, fmt.Sprintf("..v%d", n))
		require.NoError(t, os.MkdirAll(v, 0o755))
		write(t, v, "tocsin.yml", "rule_files: [rules.yml, more/*.yml]\ntocsin: {data: ../data, rules: {reload_interval: 0s}}\n")
		write(t, v, "rules.yml", "groups: [{name: g, interval: 1s, rules: [{alert: "+alert+", expr: vector(1)}]}]\n")
		for _, f := range []string{"tocsin.yml", "rules.yml"} {
			require.NoError(t, os.Chtimes(filepath.Join(v, f), time.Unix(1e9, 0), time.Unix(1e9, 0)))
		}
		require.NoError(t, os.Symlink(filepath.Base(v), filepath.Join(mount, "..tmp")))
		require.NoError(t, os.Rename(filepath.Join(mount, "..tmp"), filepath.Join(mount, "..data")))
		_ = os.RemoveAll(filepath.Join(mount, fmt.Sprintf("..v%d", n-1)))
	}
	version(1, "One")
	for _, f := range []string{"tocsin.yml", "rules.yml"} {
		require.NoError(t, os.Symlink("..data/"+f, filepath.Join(mount, f)))
	}
	more := filepath.Join(mount, "more")
	require.NoError(t, os.Mkdir(more, 0o755))
	s := start(t, dir, "--config", "mount/tocsin.yml")
	s.wantActive("One")
	version(2, "Two")
	s.wantActive("Two")
	version(3, "Six")
	s.wantActive("Six")
	// A directory that goes and comes back is followed again.
	require.NoError(t, os.Remove(more))
	require.NoError(t, os.Mkdir(more, 0o755))
	write(t, more, "late.yml", "groups: [{name: late, interval: 1s, rules: [{alert: Late, expr: vector(1)}]}]\n")
	s.wantActive("Late")
	s.stop()
}
