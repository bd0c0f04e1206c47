package web

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/tocsin/tocsin/internal/alert"
)

// apiAlert is upstream's alert and what tocsin adds to it.
type apiAlert struct {
	v1.Alert
	// Acknowledged says who looks after it.
	Acknowledged *ackSummary `json:"acknowledged,omitempty"`
	// Flapping tells that it changes all the time and is muted, NoData that its series is gone, MissingSince since when.
	Flapping     bool       `json:"flapping,omitempty"`
	NoData       bool       `json:"noData,omitempty"`
	MissingSince *time.Time `json:"missingSince,omitempty"`
}

type ackSummary struct {
	Owner   string `json:"owner"`
	Comment string `json:"comment"`
	// Until is absent where the acknowledgement does not end by itself.
	Until *time.Time `json:"until,omitempty"`
}

// alertDiscovery is upstream's, with our alerts.
type alertDiscovery struct {
	Alerts []*apiAlert `json:"alerts"`
}

// apiAlerts returns the active ones among alerts, most urgent first, then by labels; never nil.
func apiAlerts(alerts []alert.Alert, acks acknowledged) []*apiAlert {
	active := activeAlerts(alerts)
	out := make([]*apiAlert, 0, len(active))
	for i := range active {
		a := &active[i]
		v := &apiAlert{
			Alert: v1.Alert{
				Labels:          a.Labels,
				Annotations:     a.Annotations,
				State:           a.State.String(),
				ActiveAt:        &a.ActiveAt,
				KeepFiringSince: unlessZero(a.KeepFiringSince),
				Value:           strconv.FormatFloat(a.Value, 'e', -1, 64),
			},
			Flapping: a.Flapping(), NoData: a.NoData(), MissingSince: unlessZero(a.MissingSince),
		}
		if ack := acks.of(a); ack != nil {
			v.Acknowledged = &ackSummary{Owner: ack.Owner, Comment: ack.Comment, Until: unlessZero(ack.Until)}
		}
		out = append(out, v)
	}
	return out
}

// activeAlerts returns those that have not resolved, most urgent first, then by labels. Upstream gives them in no order.
func activeAlerts(alerts []alert.Alert) []alert.Alert {
	out := make([]alert.Alert, 0, len(alerts))
	for _, a := range alerts {
		if a.ResolvedAt.IsZero() && a.State != alert.Inactive {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b alert.Alert) int {
		return cmp.Or(-cmp.Compare(a.State, b.State), labels.Compare(a.Labels, b.Labels))
	})
	return out
}

func unlessZero(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
