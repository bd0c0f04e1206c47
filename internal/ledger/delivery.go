package ledger

import (
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Outcome of an attempt to deliver.
type Outcome string

// The outcomes.
const (
	// Delivered: the receiver took it.
	Delivered Outcome = "delivered"
	// Failed: another attempt follows.
	Failed Outcome = "failed"
	// GaveUp: the receiver refused it for good, no attempt follows.
	GaveUp Outcome = "gave_up"
	// Dead: it went to the list of dead letters.
	Dead Outcome = "dead"
	// Muted: nobody was told, on purpose; Answer says why (silenced, inhibited, acknowledged, flapping).
	Muted Outcome = "muted"
)

// Delivery is one attempt to tell one integration of one receiver about one group of alerts.
type Delivery struct {
	// ID is set by the ledger.
	ID EntryID
	// At is when the attempt ended.
	At time.Time
	// Receiver is the receiver's name, Integration its kind and Index its place among those of its kind.
	Receiver, Integration string
	Index                 int
	// GroupKey names the aggregation group, Route the route that led there.
	GroupKey, Route string
	// Alerts is what was told. What History returns has none: it belongs to the transition that it comes with.
	Alerts []DeliveredAlert
	// AlertCount is how many alerts it told of; RecordDelivery sets it.
	AlertCount int
	// Attempt counts from 1.
	Attempt int
	Latency time.Duration
	Outcome Outcome
	// Answer is the receiver's status, or the error; it is shortened to 512 bytes.
	Answer string
	// Notification is the ID of the outbox's entry, 0 if there is none.
	Notification uint64
}

// DeliveredAlert is one alert of a Delivery. It is attributed to the newest transition with these labels that the
// status tells of: for Resolved the last one from firing to inactive, else the last one to firing.
type DeliveredAlert struct {
	// Labels as they were recorded with the transition; what relabelling made of them afterwards is not found.
	Labels   labels.Labels
	Resolved bool
}

const (
	maxAnswer = 512
	// maxAlerts is how many alerts of one delivery are attributed to transitions; AlertCount tells of all.
	maxAlerts = 10_000
)

// shorten cuts what may be long and notes how many alerts there are.
func (d *Delivery) shorten() {
	d.AlertCount = len(d.Alerts)
	if len(d.Alerts) > maxAlerts {
		d.Alerts = d.Alerts[:maxAlerts]
	}
	if len(d.Answer) > maxAnswer {
		const mark = "…"
		cut := maxAnswer - len(mark)
		for cut > 0 && d.Answer[cut]&0xC0 == 0x80 { // Not within a rune.
			cut--
		}
		d.Answer = d.Answer[:cut] + mark
	}
}
