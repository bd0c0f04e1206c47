package loops

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WriteText writes the results as a table for people: times in nanoseconds a lane.
func WriteText(w io.Writer, results []Result) error {
	rows := [][]string{{"expression", "lanes", "tier", "ns/lane", "median", "× tier 1", "C ns/lane", "× C"}}
	for i, r := range results {
		expr, lanes := r.Expr, strconv.Itoa(r.Lanes)
		if i > 0 && results[i-1].Expr == expr {
			if expr = ""; results[i-1].Lanes == r.Lanes {
				lanes = ""
			}
		}
		cNs, toC := "–", "–"
		if r.RatioToC != nil {
			cNs, toC = figure(r.CNs), figure(*r.RatioToC)
		}
		rows = append(rows, []string{
			expr, lanes, strconv.Itoa(r.Tier), figure(r.NsPerLane), figure(r.MedianNs), figure(r.RatioToTier1), cNs, toC,
		})
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		fmt.Fprintf(&b, "%-*s", width[0], row[0])
		for i, cell := range row[1:] {
			fmt.Fprintf(&b, "  %*s", width[i+1], cell)
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// figure writes x with as many digits as were measured.
func figure(x float64) string {
	switch {
	case x < 1:
		return strconv.FormatFloat(x, 'f', 3, 64)
	case x < 10:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'f', 1, 64)
}
