package web

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/engine"
	"github.com/tocsin/tocsin/internal/ledger"
)

// ackView is an acknowledgement for programs.
type ackView struct {
	ID      uint64        `json:"id"`
	Labels  labels.Labels `json:"labels"`
	Owner   string        `json:"owner"`
	Comment string        `json:"comment"`
	At      time.Time     `json:"at"`
	// Until is when it ends by itself; absent where it does not.
	Until time.Time `json:"until,omitzero"`
}

func ackViewOf(a ledger.Ack) ackView {
	return ackView{ID: a.ID, Labels: a.Labels, Owner: a.Owner, Comment: a.Comment, At: a.At, Until: a.Until}
}

// ackRequest is the body of POST /api/v1/acks.
type ackRequest struct {
	// Labels name the alert: enough of them that one firing alert has them all.
	Labels map[string]string `json:"labels"`
	// Exact takes Labels as they are, all of them, for an alert that no rule here makes.
	Exact   bool   `json:"exact"`
	Owner   string `json:"owner"`
	Comment string `json:"comment"`
	// Until or For say when it ends by itself; without either it holds until it is withdrawn.
	Until string `json:"until"`
	For   string `json:"for"`
}

// Bounds of an acknowledgement's texts.
const (
	maxOwnerBytes   = 256
	maxCommentBytes = 4096
	maxAckLabels    = 200
	// maxCandidates is how many alerts a refusal lists.
	maxCandidates = 10
)

// serveAcks is GET /api/v1/acks: those that hold now, oldest first.
func (t *Tenant) serveAcks(w http.ResponseWriter, _ *http.Request) {
	if t.Acks == nil {
		t.notOpen(w, "acknowledgements")
		return
	}
	acks, err := t.Acks()
	if err != nil {
		failed(w, err)
		return
	}
	out := make([]ackView, 0, len(acks))
	for _, a := range acks {
		out = append(out, ackViewOf(a))
	}
	answerOwn(w, map[string]any{"acks": out})
}

// serveAcknowledge is POST /api/v1/acks.
func (t *Tenant) serveAcknowledge(now func() time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t.Acknowledge == nil {
			t.notOpen(w, "acknowledgements")
			return
		}
		var in ackRequest
		if err := readJSON(w, r, &in); err != nil {
			badData(w, err)
			return
		}
		a, err := in.ack(now())
		if err != nil {
			badData(w, err)
			return
		}
		if !in.Exact {
			if a.Labels, err = theFiringAlert(t.groups(), a.Labels); err != nil {
				failed(w, err)
				return
			}
		}
		if a, err = t.Acknowledge(a); err != nil {
			failed(w, err)
			return
		}
		answerOwn(w, ackViewOf(a))
	}
}

// ack checks the request.
func (in *ackRequest) ack(now time.Time) (ledger.Ack, error) {
	a := ledger.Ack{Labels: labels.FromMap(in.Labels), Owner: strings.TrimSpace(in.Owner), Comment: in.Comment}
	switch {
	case a.Labels.IsEmpty():
		return a, invalid("labels", errors.New(`name the alert: {"alertname": "…"}, and as many further labels as it takes`))
	case a.Labels.Len() > maxAckLabels:
		return a, invalid("labels", fmt.Errorf("there are more than %d", maxAckLabels))
	case a.Owner == "":
		return a, invalid("owner", errors.New("it is missing: say who looks after the alert"))
	case len(a.Owner) > maxOwnerBytes:
		return a, invalid("owner", fmt.Errorf("it has more than %d bytes", maxOwnerBytes))
	case len(a.Comment) > maxCommentBytes:
		return a, invalid("comment", fmt.Errorf("it has more than %d bytes", maxCommentBytes))
	case in.Until != "" && in.For != "":
		return a, invalid("for", errors.New("give either until or for"))
	case in.For != "":
		d, err := model.ParseDuration(in.For)
		if err != nil || d == 0 {
			return a, invalid("for", fmt.Errorf("%q is no duration such as 30m, 2h or 1d", in.For))
		}
		a.Until = now.Add(time.Duration(d))
	case in.Until != "":
		var err error
		if a.Until, err = parseMoment("until", in.Until); err != nil {
			return a, err
		}
		if !a.Until.After(now) {
			return a, invalid("until", errors.New("it is past"))
		}
	}
	return a, nil
}

// theFiringAlert returns all labels of the one firing alert that has these: the one with exactly these, or else the only
// one that has them among others. One that is pending is refused: an acknowledgement is of what people were told, and ends
// repeats.
func theFiringAlert(groups []engine.GroupStatus, some labels.Labels) (labels.Labels, error) {
	found := map[string]labels.Labels{} // two rules may make the same alert: it is one to people
	var pending labels.Labels
	for _, g := range groups {
		for _, r := range g.Rules {
			for _, a := range activeAlerts(r.Alerts) {
				switch {
				case !has(a.Labels, some):
				case a.State == alert.Pending:
					pending = a.Labels
				case labels.Equal(a.Labels, some):
					return a.Labels, nil
				default:
					found[a.Labels.String()] = a.Labels
				}
			}
		}
	}
	names := slices.Sorted(maps.Keys(found))
	switch {
	case len(names) == 1:
		return found[names[0]], nil
	case len(names) == 0 && !pending.IsEmpty():
		return pending, &answered{ErrRefused, fmt.Sprintf("%s is pending: nobody was told of it; it can be acknowledged when it fires", pending)}
	case len(names) == 0:
		return labels.EmptyLabels(), &answered{ErrNotFound, fmt.Sprintf("no active alert has the labels %s; /api/v1/alerts lists those that are active", some)}
	}
	more := ""
	if n := len(names) - maxCandidates; n > 0 {
		names, more = names[:maxCandidates], fmt.Sprintf(" and %d more", n)
	}
	return labels.EmptyLabels(), &answered{ErrRefused, fmt.Sprintf("%d firing alerts have the labels %s: give more labels, enough for one of %s%s",
		len(found), some, strings.Join(names, ", "), more)}
}

// has reports whether ls has all of some.
func has(ls, some labels.Labels) bool {
	all := true
	some.Range(func(l labels.Label) { all = all && ls.Get(l.Name) == l.Value })
	return all
}

// serveUnacknowledge is DELETE /api/v1/acks/{id}.
func (t *Tenant) serveUnacknowledge(w http.ResponseWriter, r *http.Request) {
	if t.Unacknowledge == nil {
		t.notOpen(w, "acknowledgements")
		return
	}
	id, err := pathID(r)
	if err != nil {
		badData(w, err)
		return
	}
	if err := t.Unacknowledge(id); err != nil {
		failed(w, err)
		return
	}
	answerOwn(w, map[string]any{"id": id})
}

// acknowledged tells which alerts somebody looks after, by their labels.
type acknowledged map[uint64][]ledger.Ack

// acknowledged reads the acknowledgements that hold now. An error leaves the lists without them; it is not worth losing
// the lists over.
func (t *Tenant) acknowledged() (acknowledged, error) {
	if t.Acks == nil {
		return nil, nil
	}
	acks, err := t.Acks()
	if err != nil {
		return nil, err
	}
	out := make(acknowledged, len(acks))
	for _, a := range acks {
		h := a.Labels.Hash()
		out[h] = append(out[h], a)
	}
	return out, nil
}

// of returns the newest acknowledgement of an alert, nil where there is none.
func (k acknowledged) of(a *alert.Alert) *ledger.Ack {
	if len(k) == 0 {
		return nil
	}
	acks := k[a.Labels.Hash()]
	for i := len(acks) - 1; i >= 0; i-- {
		if labels.Equal(acks[i].Labels, a.Labels) {
			return &acks[i]
		}
	}
	return nil
}
