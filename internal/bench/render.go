package bench

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// table is rows of cells under headings. The first column is text, the others are numbers.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// text writes the table for a terminal.
func (t *table) text(w io.Writer) {
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range append([][]string{t.head}, t.rows...) {
		var b strings.Builder
		for i, c := range row {
			if i == 0 {
				fmt.Fprintf(&b, "%-*s", width[i], c)
			} else {
				fmt.Fprintf(&b, "  %*s", width[i], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}

// markdown writes the table for a document.
func (t *table) markdown(w io.Writer) {
	line := func(cells []string) { fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | ")) }
	line(t.head)
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---:"
	}
	rule[0] = "---"
	line(rule)
	for _, r := range t.rows {
		line(r)
	}
}

// section is a heading, words and a table.
type section struct {
	title, words string
	table        table
}

// WriteText writes the report for people.
func (r *EvalReport) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s\nseed %d, %d ticks\n", r.Machine, r.Seed, r.Ticks)
	writeText(w, r.sections())
}

// WriteText writes the report for people.
func (r *LatencyReport) WriteText(w io.Writer) {
	fmt.Fprintf(w, "%s\n%s at each background\n", r.Machine, r.Duration)
	writeText(w, r.sections())
}

func writeText(w io.Writer, sections []section) {
	for _, s := range sections {
		fmt.Fprintf(w, "\n%s\n%s\n\n", s.title, s.words)
		s.table.text(w)
	}
}

func writeMarkdown(w io.Writer, sections []section) {
	for _, s := range sections {
		fmt.Fprintf(w, "\n## %s\n\n%s\n\n", s.title, s.words)
		s.table.markdown(w)
	}
}

func (r *EvalReport) sections() []section {
	out := []section{r.classSection()}
	if len(r.Files) > 0 {
		out = append(out, r.fileSection())
	}
	if len(r.Churn) > 0 {
		out = append(out, r.churnSection())
	}
	if len(r.Arrivals) > 0 {
		out = append(out, r.arrivalSection())
	}
	return out
}

func (r *EvalReport) classSection() section {
	s := section{
		title: "Evaluation",
		words: "Time of a tick's evaluations by pairs of a rule and a series that it reads. New samples come between any two ticks. " + ClassWords(),
		table: table{head: []string{"class", "series", "rules", "tier", "ns/rule×series", "× upstream", "allocs/eval", "bytes/series", "feed ns/sample", "left to tier 0", "ticks", "compared"}},
	}
	for _, x := range r.Results {
		s.table.add(x.Class, count(x.Series), count(x.Rules), count(x.Tier), number(x.NSPerRuleSeries), number(x.RatioToUpstream),
			number(x.AllocsPerEval), number(x.BytesPerSeries), unless0(x.Tier, number(x.FeedNS)), unless0(x.Tier, count(x.Bailed)),
			count(x.Ticks), unless0(x.Tier, count(x.Compared)))
	}
	return s
}

// ClassWords says what the rules of each class share.
func ClassWords() string {
	var b strings.Builder
	fmt.Fprintf(&b, "The rules of a class differ in constants and are spread over %d selectors, each of which takes 49 of 50 series. "+
		"Tier 0 shares nothing and evaluates a sample of the rules. Above it:", selectors)
	sep := " "
	for _, c := range Classes() {
		fmt.Fprintf(&b, "%s%s: %s", sep, c.Name, c.Shared)
		sep = "; "
	}
	return b.String() + "."
}

func (r *EvalReport) fileSection() section {
	s := section{
		title: "Rule files",
		words: "Whole files over series that are made up for their selectors. Rules that fail on upstream over such series are left out.",
		table: table{head: []string{"file", "rules", "left out", "with a tier 1 plan", "series", "tier", "ns/rule", "× upstream", "left to tier 0", "compared"}},
	}
	for _, x := range r.Files {
		s.table.add(x.Class, count(x.Rules), count(x.Failed), count(x.Tier1), count(x.Series), count(x.Tier), number(x.NSPerRule),
			number(x.RatioToUpstream), unless0(x.Tier, count(x.Bailed)), unless0(x.Tier, count(x.Compared)))
	}
	return s
}

func (r *EvalReport) churnSection() section {
	s := section{
		title: "Churn",
		words: "An interval's cost (feeding its samples, then evaluating all rules once) where 1 % of the hosts were replaced by new ones, against one without.",
		table: table{head: []string{"class", "series", "rules", "tier", "replaced", "steady ms", "feed", "eval", "churn ms", "feed", "eval", "×"}},
	}
	for _, x := range r.Churn {
		s.table.add(x.Class, count(x.Series), count(x.Rules), count(x.Tier), count(x.Replaced), number(x.SteadyMS), number(x.SteadyFeed),
			number(x.SteadyEval), number(x.ChurnMS), number(x.ChurnFeed), number(x.ChurnEval), number(x.Ratio()))
	}
	return s
}

func (r *EvalReport) arrivalSection() section {
	s := section{
		title: "Arrivals",
		words: "A batch that brings one sample each for some of the series, spread over all, with all rules following arrivals.",
		table: table{head: []string{"class", "series", "rules", "tier", "changed", "feed µs", "pulse µs", "rules touched", "ns/rule"}},
	}
	for _, x := range r.Arrivals {
		s.table.add(x.Class, count(x.Series), count(x.Rules), count(x.Tier), count(x.Changed), number(x.FeedUS), number(x.PulseUS),
			count(x.Touched), number(1000*(x.FeedUS+x.PulseUS)/float64(x.Rules)))
	}
	return s
}

func (r *LatencyReport) sections() []section {
	s := section{
		title: "Latency",
		words: fmt.Sprintf("From just before the POST of a sample that breaches a rule to the webhook's hit; the server, the load and the webhook "+
			"share the machine. Background: batches of %s samples over %s series, with %d rules over them that follow arrivals. Ledger: what the change of an alert waited until it was on disk, within the times before it.",
			count(backgroundBatch), count(backgroundSeries), backgroundMetrics),
		table: table{head: []string{"background/s", "achieved/s", "probes", "lost", "p50 ms", "p99 ms", "max ms", "POST p50 ms", "ledger mean ms", "ledger p99 ms"}},
	}
	for _, x := range r.Results {
		s.add(x, count(x.BackgroundPerS))
	}
	if r.Reload == nil {
		return []section{s}
	}
	return []section{s, r.Reload.section(s.table.head)}
}

// section shows a reload under the columns of the other latencies.
func (r *ReloadResult) section(head []string) section {
	s := section{
		title: "Reload",
		words: fmt.Sprintf("The same with and without a reload that brings %s rules with a kernel each in place of as many others, which took %s ms. The p99 is %s times as long with it.",
			count(r.Rules), number(r.ReloadMS), number(r.P99Ratio)),
		table: table{head: append([]string{""}, head[1:]...)},
	}
	s.add(r.Quiet, "without")
	s.add(r.During, "with a reload")
	return s
}

// add adds a row of latencies.
func (s *section) add(x LatencyResult, name string) {
	s.table.add(name, number(x.AchievedPerS), count(x.N), count(x.Lost), number(x.P50MS), number(x.P99MS), number(x.MaxMS), number(x.PostP50MS),
		number(x.LedgerMeanMS), number(x.LedgerP99MS))
	if missed(x) {
		s.words += fmt.Sprintf(" The background of %s/s was NOT reached on this machine: %s/s came about.", count(x.BackgroundPerS), number(x.AchievedPerS))
	}
}

// missed says whether the background fell short by more than 5 %.
func missed(x LatencyResult) bool { return x.AchievedPerS < 0.95*float64(x.BackgroundPerS) }

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
		return count(int(round(x, 3)))
	}
	return strconv.FormatFloat(round(x, 3), 'f', -1, 64)
}

// unless0 is cell, and nothing for tier 0.
func unless0(tier int, cell string) string {
	if tier == 0 {
		return ""
	}
	return cell
}
