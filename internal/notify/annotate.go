package notify

import (
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// Annotations that alerts get on their way out, beside those of their rule. An alert that just fires gets none: its
// notifications are exactly Alertmanager's. In a webhook's message they stand among an alert's `annotations`; a template
// reads them as {{ .Annotations.tocsin_duration }} within {{ range .Alerts }}.
const (
	// AnnotationClearing, AnnotationDuration and AnnotationReason are of an alert that ended: the value of the expression
	// then (where it is known), how long it fired (4m12s), and why it ended (see alert.Reason).
	AnnotationClearing = "tocsin_clearing_value"
	AnnotationDuration = "tocsin_duration"
	AnnotationReason   = "tocsin_reason"
	// AnnotationNoData is "true" on an alert that fires and whose series is gone.
	AnnotationNoData = "tocsin_nodata"
	// AnnotationFlapping is "true" on an alert that changes all the time.
	AnnotationFlapping = "tocsin_flapping"
)

// annotated returns the annotations with which o leaves at now.
func annotated(o *alert.Outgoing, now time.Time) labels.Labels {
	ended := !o.Flapping && !o.EndsAt.IsZero() && !o.EndsAt.After(now)
	if !ended && !o.NoData && !o.Flapping {
		return o.Annotations
	}
	b := labels.NewBuilder(o.Annotations)
	if ended {
		if o.Clearing.Known {
			b.Set(AnnotationClearing, strconv.FormatFloat(o.Clearing.Value, 'g', -1, 64))
		}
		if o.Duration > 0 {
			b.Set(AnnotationDuration, spell(o.Duration))
		}
		b.Set(AnnotationReason, o.Reason.String()) // An empty one is none.
	} else {
		if o.NoData {
			b.Set(AnnotationNoData, "true")
		}
		if o.Flapping {
			b.Set(AnnotationFlapping, "true")
		}
	}
	return b.Labels()
}

// spell writes a duration for people: in whole seconds, or, below one, in whole milliseconds.
func spell(d time.Duration) string {
	if d >= time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(time.Millisecond).String()
}
