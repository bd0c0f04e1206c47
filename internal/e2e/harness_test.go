package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// binary is the tocsin under test, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "tocsin-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "tocsin")
	args, cgo := []string{"build", "-o", binary}, "CGO_ENABLED=0"
	if raceDetector { // the binary is what is to be watched; one that saw a race exits with 66
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
	}
	build := exec.Command("go", append(args, "github.com/tocsin/tocsin/cmd/tocsin")...)
	build.Env = append(os.Environ(), cgo)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the binary: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// server is one running tocsin.
type server struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	dir     string // its working directory, with its data in tocsin-data
	exited  chan error
	console *lockedBuffer
	log     *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var pageLine = regexp.MustCompile(`(?m)^\s+page\s+(https?://\S+)/$`)

// start runs `tocsin run` in dir with args and waits until it is ready.
func start(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := launch(t, dir, args...)
	s.awaitReady()
	return s
}

// awaitReady waits until the process has said where its page is.
func (s *server) awaitReady() {
	s.t.Helper()
	eventually(s.t, 60*time.Second, func() error {
		select {
		case err := <-s.exited:
			s.exited <- err
			s.t.Fatalf("tocsin ended: %v\n%s", err, s.log)
		default:
		}
		m := pageLine.FindStringSubmatch(s.console.String())
		if m == nil {
			return errors.New("no page line yet")
		}
		s.url = m[1]
		return nil
	})
}

// launch runs `tocsin run` and does not wait. When the test ends it is killed, and what it said shown if the test failed.
func launch(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := begin(t, dir, args...)
	t.Cleanup(func() {
		if s.cmd.ProcessState == nil {
			_ = s.cmd.Process.Kill()
			select { // What it has open is to be taken away.
			case <-s.exited:
			case <-time.After(10 * time.Second):
			}
		}
		if t.Failed() {
			t.Logf("console:\n%s\nlog:\n%s", tail(s.console.String(), 8000), tail(s.log.String(), 8000))
		}
	})
	return s
}

// begin is launch for those who see to the process's end themselves.
func begin(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	s := &server{t: t, dir: dir, exited: make(chan error, 1), console: &lockedBuffer{}, log: &lockedBuffer{}}
	s.cmd = command(dir, s.console, s.log, args...)
	require.NoError(t, s.cmd.Start())
	go func() { s.exited <- s.cmd.Wait() }()
	return s
}

// command is `tocsin run` in dir on a free port.
func command(dir string, stdout, stderr io.Writer, args ...string) *exec.Cmd {
	cmd := exec.Command(binary, append([]string{"run", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, stdout, stderr
	return cmd
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// stop sends SIGTERM and expects exit code 0 in time.
func (s *server) stop() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	s.ended(0)
}

// kill is kill -9.
func (s *server) kill() {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Kill())
	select {
	case <-s.exited:
	case <-time.After(30 * time.Second):
		s.t.Fatal("the process outlived kill -9")
	}
}

// ended waits for the process's end and checks its exit code.
func (s *server) ended(code int) {
	s.t.Helper()
	select {
	case <-s.exited:
		require.Equal(s.t, code, s.cmd.ProcessState.ExitCode(), "exit code; log:\n%s", tail(s.log.String(), 4000))
	case <-time.After(60 * time.Second):
		s.t.Fatalf("tocsin did not end; log:\n%s", tail(s.log.String(), 4000))
	}
}

// eventually polls until f returns nil.
func eventually(t *testing.T, limit time.Duration, f func() error) {
	t.Helper()
	if err := within(limit, f); err != nil {
		t.Fatal(err)
	}
}

// within polls until f returns nil, and returns its last error when the time is over.
func within(limit time.Duration, f func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := f()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", limit, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// get returns the body of a GET, which must be answered with the status.
func (s *server) get(path string, status int) string {
	s.t.Helper()
	resp, err := http.Get(s.url + path)
	require.NoError(s.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(s.t, err)
	require.Equal(s.t, status, resp.StatusCode, "%s: %s", path, b)
	return string(b)
}

// do sends a request and returns status and body.
func (s *server) do(method, path string, header http.Header, body []byte) (int, string) {
	s.t.Helper()
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	require.NoError(s.t, err)
	for k, v := range header {
		req.Header[k] = v
	}
	code, answer, err := doRequest(req)
	require.NoError(s.t, err)
	return code, answer
}

// doRequest is do for those who may ask a server that ends meanwhile.
func doRequest(req *http.Request) (int, string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// vector is the result of an instant query: labels and value of each sample.
type vector []struct {
	Metric map[string]string  `json:"metric"`
	Value  [2]json.RawMessage `json:"value"`
}

func (v vector) value(i int) string { return strings.Trim(string(v[i].Value[1]), `"`) }

func (s *server) query(expr string) (vector, error) {
	resp, err := http.Get(s.url + "/api/v1/query?query=" + url.QueryEscape(expr))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var out struct {
		Status, Error string
		Data          struct{ Result vector }
	}
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, err
	}
	if out.Status != "success" {
		return nil, fmt.Errorf("query %s: %s", expr, out.Error)
	}
	return out.Data.Result, nil
}

// wantQuery waits until expr returns exactly one sample of the value; an empty value waits for no sample.
func (s *server) wantQuery(expr, value string) {
	s.t.Helper()
	eventually(s.t, 30*time.Second, func() error {
		v, err := s.query(expr)
		switch {
		case err != nil:
			return err
		case value == "" && len(v) == 0:
			return nil
		case len(v) == 1 && v.value(0) == value:
			return nil
		}
		return fmt.Errorf("%s is %v, want %q", expr, v, value)
	})
}

// tocsin runs another command of the binary and returns its exit code and output.
func tocsin(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return runIn(t, "", binary, args...)
}

// runIn runs a program in dir.
func runIn(t *testing.T, dir, name string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var o, e bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &o, &e
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatalf("run %s: %v", name, err)
	}
	return cmd.ProcessState.ExitCode(), o.String(), e.String()
}

// program finds an installed client or skips loudly.
func program(t *testing.T, name, debianPackage string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("LOUD SKIP: %s is not installed (Debian package %s): this client was NOT tried", name, debianPackage)
	}
	return path
}

// write makes a file in dir.
func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return path
}

// lines returns the non-empty lines of s.
func lines(s string) []string {
	var out []string
	sc := bufio.NewScanner(strings.NewReader(s))
	for sc.Scan() {
		if strings.TrimSpace(sc.Text()) != "" {
			out = append(out, sc.Text())
		}
	}
	return out
}

// background starts another server for the test's time; what it said is shown when the test fails.
func background(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", cmd.Path, tail(log.String(), 4000))
		}
	})
}
