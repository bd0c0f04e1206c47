package explain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"

	"github.com/tocsin/tocsin/internal/alert"
)

// when is t in UTC, nil where there is none.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// number writes v as Prometheus's API does.
func number(v float64) string {
	format := byte('f')
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.FormatFloat(v, format, -1, 64)
}

// clock writes a time for people.
func clock(t time.Time) string {
	t = t.UTC()
	if t.Nanosecond() < int(time.Millisecond) {
		return t.Format("2006-01-02 15:04:05Z")
	}
	return t.Format("2006-01-02 15:04:05.000Z")
}

// span writes a duration for people: two units of it, no more.
func span(d time.Duration) string {
	if d < 0 {
		return "-" + span(-d)
	}
	switch {
	case d == 0:
		return "0s"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 10*time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Hour:
		d = d.Round(time.Second)
	case d < 24*time.Hour:
		d = d.Round(time.Minute)
	default:
		d = d.Round(time.Hour)
	}
	return model.Duration(d).String()
}

// braces writes labels for people.
func braces(ls labels.Labels) string {
	name := ls.Get(model.MetricNameLabel)
	rest := labels.NewBuilder(ls).Del(model.MetricNameLabel).Labels()
	switch {
	case name == "":
		return rest.String()
	case rest.IsEmpty():
		return name
	case !model.LegacyValidation.IsValidMetricName(name):
		return ls.String()
	}
	return name + rest.String()
}

// matcherList writes matchers as a selector.
func matcherList(ms []*labels.Matcher) string {
	texts := make([]string, len(ms))
	for i, m := range ms {
		texts[i] = m.String()
	}
	return "{" + strings.Join(texts, ", ") + "}"
}

// worthText writes an element's value.
func worthText(e *promql.Sample) string {
	if e.H != nil {
		return "a native histogram"
	}
	return number(e.F)
}

// plural writes n things.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if thing == "series" {
		return fmt.Sprintf("%d series", n)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// few joins texts and says how many there are besides.
func few(texts []string, total int) string {
	out := strings.Join(texts, ", ")
	if total > len(texts) {
		out += fmt.Sprintf(" and %d more", total-len(texts))
	}
	return out
}

// basisText is what an active alert stands on, where that is not its condition.
func basisText(a *alert.Alert) string {
	switch a.Basis {
	case alert.OnCondition:
		return ""
	case alert.OnHysteresis:
		return "hysteresis holds it: the condition is false by now, and the `clear` expression does not hold yet"
	case alert.OnKeepFiring:
		return "keep_firing_for holds it: the condition cleared at " + clock(a.KeepFiringSince)
	case alert.OnHold:
		return "its series has been missing" + since(a.MissingSince) + ", and it stays what it was (on_missing: hold, or a restart not long ago)"
	case alert.OnFire:
		return "its series has been missing" + since(a.MissingSince) + ", and that counts as its condition (on_missing: fire)"
	case alert.OnNoData:
		return "its series has been missing" + since(a.MissingSince) + ", and it stays what it was and says that there are no data (on_missing: nodata)"
	}
	return a.Basis.String()
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " since " + clock(t)
}
