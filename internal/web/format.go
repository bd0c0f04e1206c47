package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// moment is a time as a page shows it: how long ago, and when exactly.
type moment struct {
	// Ago is "never" for the zero time.
	Ago string
	// ISO is for machines and tooltips, empty for the zero time.
	ISO string
	// Clock is the time of day in UTC.
	Clock string
}

func momentOf(t, now time.Time) moment {
	if t.IsZero() || t.Unix() <= 0 {
		return moment{Ago: "never"}
	}
	return moment{Ago: ago(now.Sub(t)), ISO: t.UTC().Format(time.RFC3339), Clock: t.UTC().Format("15:04:05")}
}

// clock turns times into moments, all against the same now.
type clock struct{ now time.Time }

func (c clock) moment(t time.Time) moment { return momentOf(t, c.now) }

// ago words an age in its two largest units.
func ago(d time.Duration) string {
	switch {
	case d < time.Second:
		return "now"
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return twoUnits(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 24*time.Hour:
		return twoUnits(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return twoUnits(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

func twoUnits(n int, unit string, m int, smaller string) string {
	if m == 0 {
		return fmt.Sprintf("%d %s", n, unit)
	}
	return fmt.Sprintf("%d %s %d %s", n, unit, m, smaller)
}

// took words a duration of work: "40 µs", "0.4 ms", "12 ms", "1.3 s".
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return "–"
	case d < 95*time.Microsecond:
		return fmt.Sprintf("%d µs", max(1, d.Microseconds()))
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/1e6)
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return ago(d)
}

// byteSize words a size in binary units.
func byteSize(n int64) string {
	size := float64(n)
	for _, unit := range []string{"B", "KiB", "MiB", "GiB"} {
		if size < 999.5 {
			return strconv.FormatFloat(size, 'g', 3, 64) + " " + unit
		}
		size /= 1024
	}
	return strconv.FormatFloat(size, 'f', 1, 64) + " TiB"
}

// figure words a value with six significant digits, without an exponent where that reads better.
func figure(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	if abs := math.Abs(v); abs != 0 && (abs < 1e-4 || abs >= 1e15) {
		return strconv.FormatFloat(v, 'g', 4, 64)
	}
	if v == math.Trunc(v) {
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	}
	s := strconv.FormatFloat(v, 'g', 6, 64)
	if strings.ContainsRune(s, 'e') {
		s = strconv.FormatFloat(v, 'f', 1, 64)
	}
	return grouped(s)
}

// count words a number of things.
func count(n int) string { return grouped(strconv.Itoa(n)) }

// grouped puts a narrow space between groups of three digits left of the point, from five digits on.
func grouped(s string) string {
	whole, rest := s, ""
	if at := strings.IndexByte(s, '.'); at >= 0 {
		whole, rest = s[:at], s[at:]
	}
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	if len(whole) < 5 {
		return s
	}
	var b strings.Builder
	for i, c := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return sign + b.String() + rest
}

// plural returns "1 rule", "2 rules".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
