package bench

import (
	"fmt"
	"io"
	"time"
)

// Document is what BENCHMARKS.md is made of.
type Document struct {
	Eval    *EvalReport
	Latency *LatencyReport
	// Versions is one line on what was measured.
	Versions string
	// Commands are what to type for the same measurements, in order.
	Commands []string
	// Made is when.
	Made time.Time
}

// WriteMarkdown writes the whole document.
func (d *Document) WriteMarkdown(w io.Writer) {
	fmt.Fprintf(w, "# Benchmarks\n\nMade by `make bench`; do not edit. Ratios travel between machines, times do not.\n\n")
	fmt.Fprintf(w, "- machine: %s\n- versions: %s\n- date: %s\n- seed: %d, ticks: %d\n\n", d.Eval.Machine, d.Versions,
		d.Made.UTC().Format(time.DateOnly), d.Eval.Seed, d.Eval.Ticks)
	fmt.Fprintf(w, "Commands:\n\n")
	for _, c := range d.Commands {
		fmt.Fprintf(w, "    %s\n", c)
	}
	writeMarkdown(w, d.Eval.sections())
	writeMarkdown(w, d.Latency.sections())
}
