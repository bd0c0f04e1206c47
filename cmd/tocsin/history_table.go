package main

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// historyTable prints transitions as rows, a header before the first. A column is as wide as the widest cell so far, so that
// it moves to the right only, however many pages follow.
type historyTable struct {
	w      io.Writer
	widths []int
	rows   int
}

func newHistoryTable(w io.Writer) *historyTable { return &historyTable{w: w} }

func (h *historyTable) print(entries []pastTransition) error {
	if len(entries) == 0 {
		return nil
	}
	var cells [][]string
	if h.rows == 0 {
		cells = append(cells, []string{"TIME", "CHANGE", "ALERT", "VALUE", "THRESHOLD", "AFTER", "RULE", "EVAL", "TOLD"})
		h.widths = make([]int, len(cells[0]))
	}
	for i := range entries {
		cells = append(cells, entries[i].cells()...)
	}
	h.rows += len(entries)
	for _, row := range cells {
		for i, cell := range row[:len(row)-1] { // nothing follows the last
			h.widths[i] = max(h.widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range cells {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", h.widths[i]+2-utf8.RuneCountInString(cell)))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(h.w, b.String())
	return err
}

// cells are a transition's row and, below it, one for each further delivery.
func (t *pastTransition) cells() [][]string {
	value := t.Value
	if t.Clearing != "" {
		value = t.Clearing
	}
	told := toldTexts(t.Deliveries)
	out := [][]string{{
		clockTime(t.At), t.changeText(), alertText(t.Rule, t.Labels), shortNumber(value), orDash(plainText(t.Threshold)), orDash(t.afterText()),
		orDash(shortVersion(t.RuleVersion)), orDash(seconds(t.Latency)), told[0],
	}}
	for _, more := range told[1:] {
		out = append(out, []string{"", "", "", "", "", "", "", "", more})
	}
	return out
}

// afterText is how long the state before lasted.
func (t *pastTransition) afterText() string {
	switch {
	case t.From == t.To:
		return ""
	case t.From == "firing":
		return seconds(t.Duration)
	case t.From == "pending":
		return seconds(t.At.Sub(t.ActiveAt).Seconds())
	}
	return ""
}

// toldTexts says who was told and what came of it; there is at least one text.
func toldTexts(ds []pastDelivery) []string {
	if len(ds) == 0 {
		return []string{"–"}
	}
	var out []string
	for _, d := range ds {
		text := d.Receiver
		if d.Integration != "" { // What is muted, is for all of the receiver's.
			text += "/" + d.Integration
		}
		text += " "
		switch d.Outcome {
		case "delivered":
			text += "delivered in " + seconds(d.Latency)
		case "gave_up":
			text += "refused"
		case "dead":
			text += "dead letter"
		default:
			text += d.Outcome
		}
		if d.Attempt > 1 {
			text += ", attempt " + strconv.Itoa(d.Attempt)
		}
		if d.Answer != "" && d.Outcome != "delivered" {
			text += ": " + d.Answer
		}
		out = append(out, plainText(text))
	}
	return out
}

func orDash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// shortVersion is as much of a rule's version as people compare.
func shortVersion(v string) string { return plainText(v[:min(len(v), 8)]) }

// shortNumber rounds a number to six digits; what is none stays as it is.
func shortNumber(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return plainText(text)
	}
	return strconv.FormatFloat(f, 'g', 6, 64)
}

// seconds words a duration for people: 850µs, 12ms, 1.3s, 10m0s. Zero is no text.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d <= 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// writeWhole writes what r has to a file, which is replaced only when all of it was read, and returns how many lines it
// has. What is there and is no file, such as a pipe, is written to as it is.
func writeWhole(path string, r io.Reader) (lines int, err error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return 0, err
		}
		lines, err = copyLines(f, r)
		return lines, errors.Join(err, f.Close())
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.part")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	lines, err = copyLines(f, r)
	if err = errors.Join(err, f.Close()); err != nil {
		return 0, err
	}
	return lines, os.Rename(f.Name(), path)
}

func copyLines(w io.Writer, r io.Reader) (lines int, err error) {
	counter := &lineCounter{w: bufio.NewWriterSize(w, 1<<16)}
	_, err = io.Copy(counter, r)
	return counter.lines, errors.Join(err, counter.w.Flush())
}

type lineCounter struct {
	w     *bufio.Writer
	lines int
}

func (l *lineCounter) Write(b []byte) (int, error) {
	for _, c := range b {
		if c == '\n' {
			l.lines++
		}
	}
	return l.w.Write(b)
}
