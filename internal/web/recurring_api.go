package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/matcher/compat"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
)

// RecurringSilence is a silence that comes back: on some days of the week, between two times of day, in one time zone. It is
// not notify's Recurring, which has any number of windows: here are the one that people ask for, without a list around it, and
// a name that they need not take for a number.
type RecurringSilence struct {
	// ID is given when it is made.
	ID string `json:"id"`
	// Matchers must all match an alert's labels for it to be silenced, written as in Alertmanager: severity="page".
	Matchers []string `json:"matchers"`
	// Days on which it begins: mon, tue, … in the order of the week. Requests may have ranges (mon-fri) and whole names.
	Days []string `json:"days"`
	// From and To are times of day, "22:00". Where To is not after From it is on the day after; 24:00 is the day's end.
	From string `json:"from"`
	To   string `json:"to"`
	// TimeZone is where these are the days and times: an IANA name. Summer time is that zone's.
	TimeZone  string `json:"timeZone"`
	CreatedBy string `json:"createdBy"`
	Comment   string `json:"comment"`
	// Until is when it stops to come back; absent where it does not.
	Until time.Time `json:"until,omitzero"`
}

// maxRecurringMatchers bounds the matchers of one recurring silence.
const maxRecurringMatchers = 100

func weekdays() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

// normal checks r and returns it as it is kept: days spelled out, times with two digits. now is for Until.
func (r RecurringSilence) normal(now time.Time) (RecurringSilence, error) {
	var err error
	if r.Matchers, err = normalMatchers(r.Matchers); err != nil {
		return r, invalid("matchers", err)
	}
	if r.Days, err = normalDays(r.Days); err != nil {
		return r, invalid("days", err)
	}
	if r.From, err = timeOfDay(r.From); err != nil || r.From == endOfDay {
		return r, invalid("from", orElse(err, "a day that ends does not begin: write 00:00"))
	}
	if r.To, err = timeOfDay(r.To); err != nil {
		return r, invalid("to", err)
	}
	if r.From == r.To {
		return r, invalid("to", errors.New("it is the same as from: for whole days write 00:00 and 24:00"))
	}
	if r.TimeZone == "" {
		r.TimeZone = "UTC"
	}
	if _, err := time.LoadLocation(r.TimeZone); err != nil || r.TimeZone == "Local" {
		return r, invalid("timeZone", fmt.Errorf("%q is not known here; write a name such as Europe/Berlin", r.TimeZone))
	}
	r.CreatedBy = strings.TrimSpace(r.CreatedBy)
	switch {
	case r.CreatedBy == "" || len(r.CreatedBy) > maxOwnerBytes:
		return r, invalid("createdBy", fmt.Errorf("say who silences, in 1 to %d bytes", maxOwnerBytes))
	case strings.TrimSpace(r.Comment) == "" || len(r.Comment) > maxCommentBytes:
		return r, invalid("comment", fmt.Errorf("say why, in 1 to %d bytes", maxCommentBytes))
	case !r.Until.IsZero() && !r.Until.After(now):
		return r, invalid("until", errors.New("it is past"))
	}
	return r, nil
}

func orElse(err error, words string) error {
	if err != nil {
		return err
	}
	return errors.New(words)
}

// normalMatchers parses matchers as Alertmanager does, and as it does refuses those that would silence everything.
func normalMatchers(texts []string) ([]string, error) {
	if len(texts) == 0 || len(texts) > maxRecurringMatchers {
		return nil, fmt.Errorf("give 1 to %d matchers, such as severity=\"page\"", maxRecurringMatchers)
	}
	out := make([]string, 0, len(texts))
	all := true
	for _, text := range texts {
		m, err := compat.Matcher(text, "web")
		if err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		all = all && m.Matches("") && (m.Type == amlabels.MatchEqual || m.Type == amlabels.MatchRegexp)
		out = append(out, m.String())
	}
	if all {
		return nil, errors.New("at least one matcher must not match the empty text, or every alert is silenced")
	}
	return out, nil
}

// normalDays spells days and ranges of days out. None are all. A range may go over the end of the week: fri-mon.
func normalDays(texts []string) ([]string, error) {
	week := weekdays()
	if len(texts) == 0 {
		return week, nil
	}
	var on [7]bool
	for _, text := range texts {
		first, last, isRange := strings.Cut(text, "-")
		from, to := dayOfWeek(first), dayOfWeek(last)
		if !isRange {
			to = from
		}
		if from < 0 || to < 0 {
			return nil, fmt.Errorf("%q is no day and no range of days: write mon, sat or mon-fri", text)
		}
		for at := from; ; at = (at + 1) % 7 {
			on[at] = true
			if at == to {
				break
			}
		}
	}
	var out []string
	for i, day := range week {
		if on[i] {
			out = append(out, day)
		}
	}
	return out, nil
}

// dayOfWeek returns 0 for Monday, -1 for what is no day. Names may be cut to three letters.
func dayOfWeek(text string) int {
	text = strings.ToLower(strings.TrimSpace(text))
	for i, name := range []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"} {
		if text == name || text == name[:3] {
			return i
		}
	}
	return -1
}

const endOfDay = "24:00"

// timeOfDay returns text with two digits for the hour.
func timeOfDay(text string) (string, error) {
	text = strings.TrimSpace(text)
	if text == endOfDay {
		return text, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil {
		return "", fmt.Errorf("%q is no time of day from 00:00 to 24:00", text)
	}
	return t.Format("15:04"), nil
}

// serveRecurring is GET /api/v1/recurring-silences.
func (t *Tenant) serveRecurring(w http.ResponseWriter, _ *http.Request) {
	if t.RecurringSilences == nil {
		t.notOpen(w, "recurring silences")
		return
	}
	all, err := t.RecurringSilences()
	if err != nil {
		failed(w, err)
		return
	}
	answerOwn(w, map[string]any{"recurringSilences": orEmpty(all)})
}

// serveAddRecurring is POST /api/v1/recurring-silences.
func (t *Tenant) serveAddRecurring(now func() time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t.AddRecurringSilence == nil {
			t.notOpen(w, "recurring silences")
			return
		}
		var in RecurringSilence
		if err := readJSON(w, r, &in); err != nil {
			badData(w, err)
			return
		}
		if in.ID != "" {
			badData(w, invalid("id", errors.New("it is given when the silence is made; remove the old one and make a new one")))
			return
		}
		in, err := in.normal(now())
		if err != nil {
			badData(w, err)
			return
		}
		if in, err = t.AddRecurringSilence(in); err != nil {
			failed(w, err)
			return
		}
		answerOwn(w, in)
	}
}

// serveRemoveRecurring is DELETE /api/v1/recurring-silences/{id}.
func (t *Tenant) serveRemoveRecurring(w http.ResponseWriter, r *http.Request) {
	if t.RemoveRecurringSilence == nil {
		t.notOpen(w, "recurring silences")
		return
	}
	id := r.PathValue("id")
	if err := t.RemoveRecurringSilence(id); err != nil {
		failed(w, err)
		return
	}
	answerOwn(w, map[string]any{"id": id})
}
