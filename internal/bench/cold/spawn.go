package cold

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// progressWord begins the lines of a process's standard error that say how far it is.
const progressWord = "progress "

// ProgressLine is what a process writes to its standard error for Process.Progress.
func ProgressLine(done float64) string { return fmt.Sprintf("%s%.3f\n", progressWord, done) }

// spawn has a process of its own do what s says, in a directory of its own below tmp. When ctx ends, the process is
// killed; the directory is removed in any case.
func (o *Options) spawn(ctx context.Context, s Spec, progress func(done float64)) (_ *Outcome, err error) {
	if s.Dir, err = os.MkdirTemp(o.Dir, "tocsin-bench-"); err != nil {
		return nil, fmt.Errorf("make a directory for the samples: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(s.Dir)) }()
	s.Began = time.Now().UnixNano()
	spec, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("BUG: what a process is to do cannot be written: %w", err)
	}
	cmd := exec.CommandContext(ctx, o.Binary, append(o.Args[:len(o.Args):len(o.Args)], string(spec))...)
	var out bytes.Buffer
	said := &listener{progress: progress}
	cmd.Stdout, cmd.Stderr = &out, said
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("the process of scenario %s: %w\n%s", s.Scenario, err, said.rest())
	}
	var r Outcome
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return nil, fmt.Errorf("the process of scenario %s did not answer as it should: %w\n%s", s.Scenario, err, said.rest())
	}
	return &r, nil
}

// listener reads a process's standard error.
type listener struct {
	progress func(done float64)
	line     []byte
	others   []string
}

// keepLines bounds what is kept of a process's other words.
const keepLines = 50

// Write implements io.Writer.
func (l *listener) Write(p []byte) (int, error) {
	l.line = append(l.line, p...)
	for {
		line, rest, whole := bytes.Cut(l.line, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		l.hear(string(line))
		l.line = append(l.line[:0], rest...)
	}
}

func (l *listener) hear(line string) {
	if text, ok := strings.CutPrefix(line, progressWord); ok {
		if done, err := strconv.ParseFloat(text, 64); err == nil {
			l.progress(done)
			return
		}
	}
	if len(l.others) < keepLines {
		l.others = append(l.others, line)
	}
}

// rest returns what was no progress.
func (l *listener) rest() string {
	return strings.TrimSpace(strings.Join(append(l.others, string(l.line)), "\n"))
}
