// Package console prints what happens as lines for people.
//
// It must not know how alerts come to be; it is given transitions. Nobody ever waits for it: a reader that is slow or
// gone costs lines, which are counted, and never holds up an alert.
package console

import (
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

const (
	// maxWaiting bounds the lines that wait for the reader.
	maxWaiting = 1024
	// lastWords is how long Stop waits for the reader to take what is left.
	lastWords = time.Second
)

// Options configures a Printer. Only Writer is required.
type Options struct {
	// Writer takes the lines, one Write each.
	Writer io.Writer
	// Logger is told once when the reader is gone; nil discards.
	Logger *slog.Logger
	// Registerer takes the count of lines that were not printed; nil keeps it private.
	Registerer prometheus.Registerer
}

// Printer writes one line a transition. Its methods are safe for concurrent use and do not block.
type Printer struct {
	w      io.Writer
	logger *slog.Logger
	slow   prometheus.Counter // lines dropped because the queue was full
	gone   prometheus.Counter // lines dropped because writing failed

	queue chan string
	done  chan struct{} // closed when the writing goroutine has ended

	mu      sync.Mutex // guards what follows, and sending to queue against its closing
	started bool
	stopped bool
	missed  int // lines dropped since the last that was queued
}

// New returns a printer that holds lines back until Start.
func New(o Options) *Printer {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	dropped := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_console_dropped_total",
		Help: "Lines for the console that were not printed, by reason: slow (its reader does not keep up), gone (it cannot be written to).",
	}, []string{"reason"})
	o.Registerer.MustRegister(dropped)
	return &Printer{
		w: o.Writer, logger: o.Logger,
		slow: dropped.WithLabelValues("slow"), gone: dropped.WithLabelValues("gone"),
		queue: make(chan string, maxWaiting), done: make(chan struct{}),
	}
}

// Start begins to print. Starting twice is starting once.
func (p *Printer) Start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.started || p.stopped {
		return
	}
	p.started = true
	go p.print()
}

// print writes queued lines until Stop. After the first that cannot be written no other is tried.
func (p *Printer) print() {
	defer close(p.done)
	broken := false
	for line := range p.queue {
		if broken {
			p.gone.Inc()
			continue
		}
		if _, err := io.WriteString(p.w, line); err != nil {
			broken = true
			p.gone.Inc()
			p.logger.Warn("The console is gone; nothing is printed any more, everything else goes on", "err", err)
		}
	}
}

// Stop prints what is left, for as long as a second, and takes no more lines. It may be called more than once, and
// without Start. A reader that does not read leaves one goroutine in its Write.
func (p *Printer) Stop() {
	p.mu.Lock()
	if !p.stopped {
		p.stopped = true
		close(p.queue)
	}
	started := p.started
	p.mu.Unlock()
	if !started {
		return
	}
	limit := time.NewTimer(lastWords)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
	}
}

// Println prints one line soon.
func (p *Printer) Println(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return
	}
	text := line + "\n"
	if p.missed > 0 {
		text = fmt.Sprintf("… %d lines were left out: they were not read in time\n", p.missed) + text
	}
	select {
	case p.queue <- text:
		p.missed = 0
	default:
		p.missed++
		p.slow.Inc()
	}
}

// Transition prints one alert's change of state.
func (p *Printer) Transition(t alert.Transition) { p.Println(Line(t)) }

// Line renders a transition: time, state, alert, labels, value and what it cleared with, why, since when, summary.
func Line(t alert.Transition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %s", t.At.Local().Format("15:04:05"), word(t), t.Rule)
	if ls := otherLabels(t.Labels); ls != "" {
		b.WriteString(" {" + ls + "}")
	}
	fmt.Fprintf(&b, "  value %s", strconv.FormatFloat(t.Value, 'g', 6, 64))
	if t.Clearing.Known {
		fmt.Fprintf(&b, ", now %s", strconv.FormatFloat(t.Clearing.Value, 'g', 6, 64))
	}
	if t.Flapping && !t.Mark() {
		b.WriteString("  (flapping)")
	}
	if why := unusual(t.Reason); why != "" {
		b.WriteString("  " + why)
	}
	if d := t.At.Sub(t.ActiveAt); d >= time.Second {
		fmt.Fprintf(&b, "  after %s", d.Round(time.Second))
	}
	if s := t.Annotations.Get("summary"); s != "" {
		b.WriteString("  " + s)
	}
	return oneLine(b.String())
}

// unusual says why a state changed where that is not what one expects.
func unusual(r alert.Reason) string {
	switch r {
	case alert.SeriesMissing, alert.LimitExceeded, alert.RuleGone, alert.ForGrew:
		return r.Text()
	}
	return ""
}

func word(t alert.Transition) string {
	switch {
	case t.Mark():
		return t.Reason.Word()
	case t.Resolved():
		return "RESOLVED"
	case t.To == alert.Firing:
		return "FIRING"
	case t.To == alert.Pending:
		return "pending"
	}
	return "inactive"
}

func otherLabels(ls labels.Labels) string {
	var parts []string
	ls.Range(func(l labels.Label) {
		if l.Name != labels.AlertName {
			parts = append(parts, l.Name+"="+strconv.Quote(l.Value))
		}
	})
	return strings.Join(parts, ", ")
}

// oneLine keeps names and annotations from breaking the console's lines or controlling the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
