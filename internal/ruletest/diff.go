package ruletest

import (
	"fmt"
	"strings"
)

// mismatch words a comparison that failed: both sides in full or, with diff, their lines merged, those only expected
// marked "-" and those only received "+".
func mismatch(expected, got []string, diff bool) string {
	var b strings.Builder
	if diff {
		b.WriteString("expected (-) and got (+):\n")
		for _, l := range diffLines(split(expected), split(got)) {
			b.WriteString("  " + l + "\n")
		}
		return b.String()
	}
	for _, side := range []struct {
		name  string
		lines []string
	}{{"expected", expected}, {"got", got}} {
		if len(side.lines) == 0 {
			fmt.Fprintf(&b, "%s: nothing\n", side.name)
			continue
		}
		fmt.Fprintf(&b, "%s:\n", side.name)
		for _, l := range split(side.lines) {
			b.WriteString("  " + l + "\n")
		}
	}
	return b.String()
}

// split returns the single lines of items.
func split(items []string) []string {
	var lines []string
	for _, s := range items {
		lines = append(lines, strings.Split(strings.TrimRight(s, "\n"), "\n")...)
	}
	return lines
}

// maxDiffCells bounds the table of diffLines, 8 bytes a cell.
const maxDiffCells = 1 << 22

// diffLines merges a and b along a longest common subsequence: "  " before lines of both, "- " before those of a alone,
// "+ " before those of b alone. Lists too long for that are set one after the other.
func diffLines(a, b []string) []string {
	var out []string
	add := func(mark string, lines ...string) {
		for _, l := range lines {
			out = append(out, mark+l)
		}
	}
	if (len(a)+1)*(len(b)+1) > maxDiffCells {
		add("- ", a...)
		add("+ ", b...)
		return out
	}
	common := commonLengths(a, b)
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		switch {
		case a[i] == b[j]:
			add("  ", a[i])
			i++
			j++
		case common[i+1][j] >= common[i][j+1]:
			add("- ", a[i])
			i++
		default:
			add("+ ", b[j])
			j++
		}
	}
	add("- ", a[i:]...)
	add("+ ", b[j:]...)
	return out
}

// commonLengths returns for each i, j the length of the longest common subsequence of a[i:] and b[j:].
func commonLengths(a, b []string) [][]int {
	t := make([][]int, len(a)+1)
	for i := range t {
		t[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				t[i][j] = t[i+1][j+1] + 1
			} else {
				t[i][j] = max(t[i+1][j], t[i][j+1])
			}
		}
	}
	return t
}
