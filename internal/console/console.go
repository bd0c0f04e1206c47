// Package console prints what happens as lines for people.
//
// It must not know how alerts come to be; it is given transitions and deliveries.
package console

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// Printer writes one line a transition. It is safe for concurrent use.
type Printer struct {
	mu sync.Mutex
	w  io.Writer
}

// New returns a printer that writes to w.
func New(w io.Writer) *Printer { return &Printer{w: w} }

// Println writes one line.
func (p *Printer) Println(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A console that went away (a closed pipe) must not stop alerting.
	_, _ = fmt.Fprintln(p.w, line)
}

// Transition prints one alert's change of state.
func (p *Printer) Transition(t alert.Transition) { p.Println(Line(t)) }

// Line renders a transition: time, state, alert, labels, value, since when, summary.
func Line(t alert.Transition) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %-8s  %s", t.At.Local().Format("15:04:05"), word(t), t.Rule)
	if ls := otherLabels(t.Labels); ls != "" {
		b.WriteString(" {" + ls + "}")
	}
	fmt.Fprintf(&b, "  value %s", strconv.FormatFloat(t.Value, 'g', 6, 64))
	if d := t.At.Sub(t.ActiveAt); d >= time.Second {
		fmt.Fprintf(&b, "  after %s", d.Round(time.Second))
	}
	if s := t.Annotations.Get("summary"); s != "" {
		b.WriteString("  " + oneLine(s))
	}
	return b.String()
}

func word(t alert.Transition) string {
	switch {
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

// oneLine keeps an annotation from breaking the console's lines or controlling the terminal.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
