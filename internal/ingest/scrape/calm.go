package scrape

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

const (
	// calmFor is for how long a line that was logged is not logged again.
	calmFor = time.Minute
	// maxCalmed bounds how many lines are remembered.
	maxCalmed = 1000
)

// calm is a log handler that lets a warning or an error through once a minute, its attributes being part of it, and then
// says how often it was left out. Upstream tells of the same broken target, pool or file at every scrape and refresh.
// Worse, file discovery refreshes whenever anything in a file's directory is written: where the log itself stands in
// that directory, a broken file would write the next line by its last one, for ever, as fast as the disk can.
type calm struct {
	next  slog.Handler
	key   string // the attributes and groups that the handler has
	lines *calmLines
}

type calmLines struct {
	now  func() time.Time
	seed maphash.Seed

	mu   sync.Mutex
	seen map[uint64]calmLine
}

type calmLine struct {
	at   time.Time
	left int // how often it was left out since
}

func newCalm(next slog.Handler, now func() time.Time) *calm {
	return &calm{next: next, lines: &calmLines{now: now, seed: maphash.MakeSeed(), seen: map[uint64]calmLine{}}}
}

func (c *calm) Enabled(ctx context.Context, level slog.Level) bool { return c.next.Enabled(ctx, level) }

func (c *calm) Handle(ctx context.Context, r slog.Record) error {
	if r.Level < slog.LevelWarn {
		return c.next.Handle(ctx, r)
	}
	left, ok := c.lines.pass(c.key, r)
	if !ok {
		return nil
	}
	if left > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("repeated", left))
	}
	return c.next.Handle(ctx, r)
}

func (c *calm) WithAttrs(attrs []slog.Attr) slog.Handler {
	key := c.key
	for _, a := range attrs {
		key += "\x00" + a.String()
	}
	return &calm{next: c.next.WithAttrs(attrs), key: key, lines: c.lines}
}

func (c *calm) WithGroup(name string) slog.Handler {
	return &calm{next: c.next.WithGroup(name), key: c.key + "\x01" + name, lines: c.lines}
}

// pass says whether r is to be logged now, and how often it was not since the last time.
func (l *calmLines) pass(key string, r slog.Record) (left int, ok bool) {
	var h maphash.Hash
	h.SetSeed(l.seed)
	_, _ = h.WriteString(key + "\x00" + r.Level.String() + "\x00" + r.Message)
	r.Attrs(func(a slog.Attr) bool {
		_, _ = h.WriteString("\x00" + a.String())
		return true
	})
	sum, now := h.Sum64(), l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	line, known := l.seen[sum]
	if known && now.Sub(line.at) < calmFor {
		line.left++
		l.seen[sum] = line
		return 0, false
	}
	if !known && len(l.seen) >= maxCalmed {
		l.forget(now)
	}
	l.seen[sum] = calmLine{at: now}
	return line.left, true
}

// forget makes room: what has had its minute goes, and everything where that is nothing.
func (l *calmLines) forget(now time.Time) {
	for sum, line := range l.seen {
		if now.Sub(line.at) >= calmFor {
			delete(l.seen, sum)
		}
	}
	if len(l.seen) >= maxCalmed {
		clear(l.seen)
	}
}
