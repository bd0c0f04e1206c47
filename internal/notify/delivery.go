package notify

import (
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Delivery is one attempt to tell one integration of one receiver about one group of alerts.
type Delivery struct {
	// Receiver is the receiver's name in the configuration, Integration its kind ("webhook", "email", …) and Index its
	// place among those of its kind, from 0.
	Receiver, Integration string
	Index                 int
	// GroupKey names the aggregation group; GroupLabels are what its alerts have in common.
	GroupKey    string
	GroupLabels labels.Labels
	Alerts      []DeliveredAlert
	// StartedAt and EndedAt enclose the attempt.
	StartedAt, EndedAt time.Time
	// Attempt counts from 1 within one flush of the group.
	Attempt int
	// Err is nil where the integration accepted the message; Retry says whether another attempt follows otherwise.
	Err   error
	Retry bool
}

// DeliveredAlert is one alert of a Delivery.
type DeliveredAlert struct {
	Fingerprint model.Fingerprint
	Labels      labels.Labels
	StartsAt    time.Time
	// Resolved says whether the message told of the alert's end.
	Resolved bool
}

func deliveredAlerts(alerts []*amalert.Alert) []DeliveredAlert {
	out := make([]DeliveredAlert, len(alerts))
	for i, a := range alerts {
		out[i] = DeliveredAlert{
			Fingerprint: a.Fingerprint(), Labels: toLabels(a.Labels), StartsAt: a.StartsAt, Resolved: a.Resolved(),
		}
	}
	return out
}

func toLabels(set model.LabelSet) labels.Labels {
	b := labels.NewScratchBuilder(len(set))
	for n, v := range set {
		b.Add(string(n), string(v))
	}
	b.Sort()
	return b.Labels()
}
