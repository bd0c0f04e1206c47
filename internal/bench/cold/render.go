package cold

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WriteText writes the report for people: a table a profile.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nseed %d\n", r.Machine, r.Seed)
	for i := range r.Profiles {
		r.Profiles[i].text(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (p *ProfileReport) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s, %s batches of a sample of each\n\n", p.Title(), count(p.Batches))
	rows := [][]string{{
		"scenario", "ready ms", "first eval ms", "avg ms", "p50", "p95", "p99", "max", "evals/s", "CPU s", "RSS MiB",
		"kernels", "lanes in code", "code KiB", "compile ms", "pays after",
	}}
	results := p.results()
	for i, r := range results {
		rows = append(rows, p.row(r, p.Outcomes[i]))
	}
	writeTable(b, rows)
	b.WriteByte('\n')
	for _, line := range p.words(results) {
		fmt.Fprintln(b, line)
	}
}

func (p *ProfileReport) row(r Result, x *Outcome) []string {
	row := []string{
		r.Name, number(r.ReadyMS), number(r.FirstEvalMS), number(r.AvgMS), number(r.P50MS), number(r.P95MS), number(r.P99MS),
		number(r.MaxMS), number(r.EvalsPerS), number(r.CPUS), number(r.RSSMiB),
	}
	if r.Name == upstreamEngine {
		return row
	}
	share := "–"
	if x.AllLanes > 0 {
		share = number(100*float64(x.MachineLanes)/float64(x.AllLanes)) + " %"
	}
	pays := "–"
	switch {
	case r.BreakEvenEvals != nil:
		pays = count(int(*r.BreakEvenEvals)) + " evals"
	case x.Compiled > 0:
		pays = "never"
	}
	return append(row, fmt.Sprintf("%s/%s", count(x.Compiled), count(x.Kernels)), share, number(float64(r.CodeBytes)/1024),
		number(1000*r.CompileS), pays)
}

// words are what the table does not say.
func (p *ProfileReport) words(results []Result) (lines []string) {
	by := map[string]Result{}
	for _, r := range results {
		by[r.Name] = r
	}
	with, without, zero := by[warm], by[noJIT], by[upstreamEngine]
	lines = append(lines, fmt.Sprintf("Warm against nojit: ready after %s× the time, batches %s× as fast by the median. Upstream takes %s× as long as warm for a batch.",
		ratio(with.ReadyMS, without.ReadyMS), ratio(without.P50MS, with.P50MS), ratio(zero.P50MS, with.P50MS)))
	if zero.Batches < p.Batches {
		lines = append(lines, fmt.Sprintf("The upstream engine was timed in %s of the batches.", count(zero.Batches)))
	}
	if x := p.Outcomes[0]; x.Failing > 0 || x.Bailed > 0 {
		lines = append(lines, fmt.Sprintf("%s rules fail over made-up series and are left out; %s evaluations were left to the upstream engine.",
			count(x.Failing), count(x.Bailed)))
	}
	seen := map[string]bool{}
	for _, x := range p.Outcomes {
		for _, note := range x.Notes {
			if line := x.Scenario + ": " + note; !seen[line] {
				seen[line] = true
				lines = append(lines, line)
			}
		}
	}
	return lines
}

func ratio(a, b float64) string {
	if b == 0 {
		return "–"
	}
	return number(a / b)
}

// writeTable writes rows under a heading, numbers to the right.
func writeTable(b *strings.Builder, rows [][]string) {
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := fmt.Sprintf("%-*s", width[0], row[0])
		for i, cell := range row[1:] {
			line += fmt.Sprintf("  %*s", width[i+1], cell)
		}
		fmt.Fprintln(b, strings.TrimRight(line, " "))
	}
}

// count writes an integer with thousands separated.
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// number writes three significant digits, all of a large number's integer part.
func number(x float64) string {
	if x >= 1000 {
		return count(int(x + 0.5))
	}
	s := strconv.FormatFloat(x, 'g', 3, 64)
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	return s
}
