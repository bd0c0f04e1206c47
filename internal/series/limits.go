// Package series holds what every room needs to know of a series: its labels, and how many and how long they may be.
//
// It must not know where series come from or where they are kept.
package series

import (
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Limits bounds the label set of one series. Zero fields take DefaultLimits' values; negative ones mean no limit.
type Limits struct {
	// Labels is how many labels a series may have, __name__ included.
	Labels int
	// NameLength is how many bytes a label's name may have.
	NameLength int
	// ValueLength is how many bytes a label's value (or the metric's name) may have.
	ValueLength int
}

// DefaultLimits returns the limits that apply where the configuration is silent.
func DefaultLimits() Limits {
	return Limits{Labels: 128, NameLength: 1024, ValueLength: 8192}
}

// WithDefaults returns l with DefaultLimits' values in place of zeros.
func (l Limits) WithDefaults() Limits {
	d := DefaultLimits()
	if l.Labels == 0 {
		l.Labels = d.Labels
	}
	if l.NameLength == 0 {
		l.NameLength = d.NameLength
	}
	if l.ValueLength == 0 {
		l.ValueLength = d.ValueLength
	}
	return l
}

// LimitError says which limit a series is over.
type LimitError struct {
	// Metric is the series' name, Label the label at fault (empty when there are too many).
	Metric, Label string
	// What is "labels", "label name bytes" or "label value bytes".
	What       string
	Got, Limit int
}

func (e *LimitError) Error() string {
	if e.Label == "" {
		return fmt.Sprintf("series %q has %d %s, at most %d are allowed", e.Metric, e.Got, e.What, e.Limit)
	}
	return fmt.Sprintf("series %q, label %.40q: %d %s, at most %d are allowed", e.Metric, e.Label, e.Got, e.What, e.Limit)
}

// Check returns a *LimitError when ls is over a limit, nil otherwise. It allocates only to say no.
func (l Limits) Check(ls labels.Labels) error {
	var err *LimitError
	n := 0
	ls.Range(func(lb labels.Label) {
		n++
		switch {
		case err != nil:
		case l.NameLength > 0 && len(lb.Name) > l.NameLength:
			err = &LimitError{Label: lb.Name, What: "label name bytes", Got: len(lb.Name), Limit: l.NameLength}
		case l.ValueLength > 0 && len(lb.Value) > l.ValueLength:
			err = &LimitError{Label: lb.Name, What: "label value bytes", Got: len(lb.Value), Limit: l.ValueLength}
		}
	})
	if err == nil && l.Labels > 0 && n > l.Labels {
		err = &LimitError{What: "labels", Got: n, Limit: l.Labels}
	}
	if err == nil {
		return nil
	}
	err.Metric = ls.Get(model.MetricNameLabel)
	if len(err.Metric) > 100 {
		err.Metric = err.Metric[:100] + "…"
	}
	return err
}
