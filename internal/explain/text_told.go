package explain

import (
	"fmt"
	"strings"
)

// told writes what the notification pipeline makes of an alert.
func (p *page) told(t *Told) {
	if t == nil {
		return
	}
	p.head("Who is told")
	for _, r := range t.Routes {
		p.line(2, 6, fmt.Sprintf("route %s to receiver %s, grouped by [%s] into %s", r.Path, r.Receiver, strings.Join(r.GroupBy, ", "), r.GroupKey))
		p.line(6, 10, fmt.Sprintf("first word after %s, news after %s, repeats after %s",
			span(seconds(r.GroupWaitSeconds)), span(seconds(r.GroupIntervalSeconds)), span(seconds(r.RepeatIntervalSeconds))))
	}
	switch {
	case t.Dropped:
		p.line(2, 6, "nobody: alerting.alert_relabel_configs drops it")
	case len(t.Routes) == 0:
		p.line(2, 6, "no route takes it")
	}
	for _, i := range t.InhibitedBy {
		p.line(2, 6, "inhibited by "+i)
	}
	for _, s := range t.SilencedBy {
		text := "silenced by " + s.ID
		if s.CreatedBy != "" {
			text += " of " + s.CreatedBy
		}
		if s.EndsAt != nil {
			text += " until " + clock(*s.EndsAt)
		}
		if s.Comment != "" {
			text += ": " + s.Comment
		}
		p.line(2, 6, text)
	}
	for _, m := range t.MutedBy {
		p.line(2, 6, "muted by "+m)
	}
	if a := t.Acknowledged; a != nil {
		text := "acknowledged by " + a.Owner
		if a.EndsAt != nil {
			text += " until " + clock(*a.EndsAt)
		}
		if a.Comment != "" {
			text += ": " + a.Comment
		}
		p.line(2, 6, text+"; repeats are held back")
	}
	if t.Flapping {
		p.line(2, 6, "flapping: repeats are held back")
	}
	for _, q := range t.Dead {
		text := fmt.Sprintf("given up for receiver %s %s after %s", q.Receiver, q.Integration, plural(q.Attempts, "attempt"))
		if q.LastError != "" {
			text += ": " + q.LastError
		}
		p.line(2, 6, text+"; `tocsin notifications resend` tries again")
	}
	for _, q := range t.Waiting {
		text := fmt.Sprintf("waiting for receiver %s %s after %s", q.Receiver, q.Integration, plural(q.Attempts, "attempt"))
		if q.NextAttempt != nil {
			text += ", next at " + clock(*q.NextAttempt)
		}
		if q.LastError != "" {
			text += ": " + q.LastError
		}
		p.line(2, 6, text)
	}
}
