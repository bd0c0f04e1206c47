package ledger

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// exportPage is how many transitions Export reads at a time.
const exportPage = 500

// Export writes the transitions that q asks for to w as JSON lines, in q's order, each as MarshalJSON of Recorded does.
// Limit, where positive, ends it after as many. What is recorded meanwhile is included where the order is oldest first.
// It holds nothing up, however slow w is.
func (l *Ledger) Export(ctx context.Context, q Query, w io.Writer) error {
	left := q.Limit
	if left < 0 {
		return fmt.Errorf("ledger: an export of %d transitions: leave it 0 for all", left)
	}
	q.Limit = exportPage
	after, err := q.normal()
	if err != nil {
		return err
	}
	buf := bufio.NewWriter(w)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	for limited := left > 0; ; {
		if limited {
			q.Limit = min(exportPage, left)
		}
		p, err := l.page(ctx, &q, after)
		if err != nil {
			return err
		}
		for i := range p.Entries {
			if err := enc.Encode(&p.Entries[i]); err != nil {
				return fmt.Errorf("ledger: exporting: %w", err)
			}
		}
		left -= len(p.Entries)
		if p.Next == "" || limited && left <= 0 {
			return buf.Flush()
		}
		if after, err = parseToken(p.Next); err != nil {
			panic("BUG: a token that was just made: " + err.Error())
		}
	}
}

// recordedJSON is a transition for programs. Values are texts, as in Prometheus's API: JSON has no infinities. Times
// are RFC 3339 with nanoseconds, durations seconds.
type recordedJSON struct {
	ID          string         `json:"id"`
	At          time.Time      `json:"at"`
	File        string         `json:"file"`
	Group       string         `json:"group"`
	Rule        string         `json:"rule"`
	RuleVersion string         `json:"ruleVersion"`
	From        string         `json:"from"`
	To          string         `json:"to"`
	Labels      labels.Labels  `json:"labels"`
	Annotations labels.Labels  `json:"annotations"`
	Value       string         `json:"value"`
	ActiveAt    time.Time      `json:"activeAt,omitzero"`
	Expr        string         `json:"expr,omitempty"`
	Threshold   string         `json:"threshold,omitempty"`
	Latency     float64        `json:"evaluationLatencySeconds"`
	Reason      string         `json:"reason,omitempty"`
	Clearing    string         `json:"clearingValue,omitempty"`
	Duration    float64        `json:"firedSeconds,omitempty"`
	Flapping    bool           `json:"flapping,omitempty"`
	Deliveries  []deliveryJSON `json:"deliveries"`
}

type deliveryJSON struct {
	ID           string    `json:"id"`
	At           time.Time `json:"at"`
	Receiver     string    `json:"receiver"`
	Integration  string    `json:"integration"`
	Index        int       `json:"index"`
	GroupKey     string    `json:"groupKey,omitempty"`
	Route        string    `json:"route,omitempty"`
	Alerts       int       `json:"alerts"`
	Attempt      int       `json:"attempt"`
	Latency      float64   `json:"latencySeconds"`
	Outcome      Outcome   `json:"outcome"`
	Answer       string    `json:"answer,omitempty"`
	Notification uint64    `json:"notification,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (r Recorded) MarshalJSON() ([]byte, error) {
	out := recordedJSON{
		ID: r.ID.String(), At: r.At, File: r.File, Group: r.Group, Rule: r.Rule, RuleVersion: r.RuleID,
		From: r.From.String(), To: r.To.String(), Labels: r.Labels, Annotations: r.Annotations,
		Value: formatValue(r.Value), ActiveAt: r.ActiveAt, Expr: r.Expr, Threshold: r.Threshold,
		Latency: r.Latency.Seconds(), Reason: r.Reason.String(), Duration: r.Duration.Seconds(), Flapping: r.Flapping,
		Deliveries: make([]deliveryJSON, 0, len(r.Deliveries)),
	}
	if r.Clearing.Known {
		out.Clearing = formatValue(r.Clearing.Value)
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		out.Deliveries = append(out.Deliveries, deliveryJSON{
			ID: d.ID.String(), At: d.At, Receiver: d.Receiver, Integration: d.Integration, Index: d.Index,
			GroupKey: d.GroupKey, Route: d.Route, Alerts: d.AlertCount, Attempt: d.Attempt, Latency: d.Latency.Seconds(),
			Outcome: d.Outcome, Answer: d.Answer, Notification: d.Notification,
		})
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // Expressions are full of < and >.
	if err := enc.Encode(out); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

func formatValue(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

// String returns id as the API spells it. It is a text because JSON's numbers do not hold all of it.
func (id EntryID) String() string { return strconv.FormatUint(uint64(id), 10) }
