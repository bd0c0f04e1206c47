package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

const (
	probeMetric = "bench_probe"
	probeLabel  = "probe"
	probeAlert  = "BenchProbe"
	// startPatience is how long the server may take to start.
	startPatience = 30 * time.Second
)

// process is one `tocsin run` with data and configuration in a directory of its own.
type process struct {
	cmd    *exec.Cmd
	url    string
	dir    string
	exited chan struct{}
	out    safeBuffer
}

// start runs the binary and waits until it serves.
func start(ctx context.Context, binary, tmp, webhook string) (_ *process, err error) {
	dir, err := os.MkdirTemp(tmp, "tocsin-bench-")
	if err != nil {
		return nil, err
	}
	p := &process{dir: dir, exited: make(chan struct{})}
	defer func() {
		if err != nil {
			p.kill()
		}
	}()
	for name, content := range serverFiles(webhook) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	p.cmd = exec.Command(binary, "run", "--listen", "127.0.0.1:0", "--config", "tocsin.yml", "--data", "data")
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", binary, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // How it ended is of interest only before it serves; its output says why.
	}()
	p.url, err = p.waitForURL(ctx)
	return p, err
}

// waitForURL waits for the line that says where the page is, which is printed once everything runs.
func (p *process) waitForURL(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	line := regexp.MustCompile(`(?m)^\s+page\s+(https?://\S+)/$`)
	for {
		if m := line.FindSubmatch(p.out.bytes()); m != nil {
			return string(m[1]), nil
		}
		select {
		case <-p.exited:
			return "", fmt.Errorf("the server ended at once:\n%s", p.out.bytes())
		default:
		}
		if !sleep(ctx, 10*time.Millisecond) {
			return "", errors.Join(fmt.Errorf("the server did not start:\n%s", p.out.bytes()), ctx.Err())
		}
	}
}

// kill ends the process, which has nothing to save, and removes its directory.
func (p *process) kill() {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
	_ = os.RemoveAll(p.dir)
}

// safeBuffer may be written and read at the same time.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}
