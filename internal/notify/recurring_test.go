package notify

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/alertmanager/silence"
	"github.com/stretchr/testify/require"
)

func nightly(zone string) Recurring {
	return Recurring{
		Matchers: []string{`severity="info"`, `team=~"a|b"`}, Windows: []Window{{Start: "22:00", End: "06:00"}}, Zone: zone,
		CreatedBy: "ada", Comment: "backups",
	}
}

func TestRecurringIsChecked(t *testing.T) {
	require.NoError(t, func() error { _, err := nightly("Europe/Berlin").check(); return err }())
	for want, change := range map[string]func(*Recurring){
		"matchers: there are none":                        func(r *Recurring) { r.Matchers = nil },
		`matchers[0]: "x": `:                              func(r *Recurring) { r.Matchers = []string{"x"} },
		"matchers: all of them match alerts without":      func(r *Recurring) { r.Matchers = []string{`a=~".*"`} },
		"createdBy: is empty":                             func(r *Recurring) { r.CreatedBy = "" },
		"comment: is empty":                               func(r *Recurring) { r.Comment = "" },
		`zone: "Berlin" is no time zone`:                  func(r *Recurring) { r.Zone = "Berlin" },
		`zone: "Local" is no time zone`:                   func(r *Recurring) { r.Zone = "Local" },
		"windows: there are none":                         func(r *Recurring) { r.Windows = nil },
		`windows[0].start: "24:00" is no time of the day`: func(r *Recurring) { r.Windows[0].Start = "24:00" },
		`windows[0].end: "6" is no time of the day`:       func(r *Recurring) { r.Windows[0].End = "6" },
		`windows[0].end: "24:01" is no time of the day`:   func(r *Recurring) { r.Windows[0].End = "24:01" },
		`windows[0].start: "12:60" is no time of the day`: func(r *Recurring) { r.Windows[0].Start = "12:60" },
		`windows[0].start: "-1:00" is no time of the day`: func(r *Recurring) { r.Windows[0].Start = "-1:00" },
		`windows[0].days[1]: "someday" is no day`:         func(r *Recurring) { r.Windows[0].Days = []string{"mon", "someday"} },
		`windows[0].days[0]: "mon-" is no day`:            func(r *Recurring) { r.Windows[0].Days = []string{"mon-"} },
	} {
		r := nightly("")
		change(&r)
		_, _, err := r.Next(time.Now())
		require.ErrorContains(t, err, want)
	}
}

func TestDaysOfWindows(t *testing.T) {
	for text, want := range map[string]string{
		"mon": "mon", "Monday": "mon", "mon-wed": "mon tue wed", "fri-mon": "fri sat sun mon", "sun": "sun", "SAT - SUN": "sat sun",
	} {
		w, err := Window{Days: []string{text}, Start: "0:00", End: "24:00"}.check()
		require.NoError(t, err, text)
		for d, name := range []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"} {
			require.Equal(t, strings.Contains(want, name), w.days[d], "%s: %s", text, name)
		}
	}
}

func TestNextWindow(t *testing.T) {
	r := nightly("Europe/Berlin")
	r.Windows = []Window{{Days: []string{"fri"}, Start: "22:00", End: "06:00"}}
	for now, want := range map[string]string{
		"2026-03-04T12:00:00Z": "2026-03-06T22:00:00+01:00 2026-03-07T06:00:00+01:00",
		"2026-03-07T04:59:59Z": "2026-03-06T22:00:00+01:00 2026-03-07T06:00:00+01:00",
		"2026-03-07T05:00:00Z": "2026-03-13T22:00:00+01:00 2026-03-14T06:00:00+01:00",
		"2026-03-28T12:00:00Z": "2026-04-03T22:00:00+02:00 2026-04-04T06:00:00+02:00",
	} {
		at, err := time.Parse(time.RFC3339, now)
		require.NoError(t, err)
		o, ok, err := r.Next(at)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, o.Start.Format(time.RFC3339)+" "+o.End.Format(time.RFC3339), now)
	}
	at := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	r.Until = time.Date(2026, 3, 6, 21, 0, 0, 0, time.UTC)
	_, ok, err := r.Next(at)
	require.NoError(t, err)
	require.False(t, ok, "no window begins then or later")
}

// Over changes of clocks, in zones of all sorts: +1 h, half an hour, at midnight, to the south, from one day to the next.
func TestWindowsOverClockChanges(t *testing.T) {
	for _, c := range []struct{ zone, start, end, day, want string }{
		{"Europe/Berlin", "22:00", "06:00", "2026-03-28", "2026-03-28T22:00:00+01:00 2026-03-29T06:00:00+02:00"},
		{"Europe/Berlin", "02:30", "04:00", "2026-03-29", "2026-03-29T03:00:00+02:00 2026-03-29T04:00:00+02:00"},
		{"Europe/Berlin", "01:00", "02:30", "2026-03-29", "2026-03-29T01:00:00+01:00 2026-03-29T03:00:00+02:00"},
		{"Europe/Berlin", "02:10", "02:50", "2026-03-29", ""},
		{"Europe/Berlin", "02:30", "04:00", "2026-10-25", "2026-10-25T02:30:00+02:00 2026-10-25T04:00:00+01:00"},
		{"Europe/Berlin", "01:00", "02:30", "2026-10-25", "2026-10-25T01:00:00+02:00 2026-10-25T02:30:00+01:00"},
		{"Europe/Berlin", "02:10", "02:50", "2026-10-25", "2026-10-25T02:10:00+02:00 2026-10-25T02:50:00+01:00"},
		{"America/New_York", "00:00", "24:00", "2026-03-08", "2026-03-08T00:00:00-05:00 2026-03-09T00:00:00-04:00"},
		{"America/New_York", "00:00", "24:00", "2026-11-01", "2026-11-01T00:00:00-04:00 2026-11-02T00:00:00-05:00"},
		{"Australia/Lord_Howe", "01:30", "02:15", "2026-10-04", "2026-10-04T01:30:00+10:30 2026-10-04T02:30:00+11:00"},
		{"Australia/Lord_Howe", "01:45", "03:00", "2026-04-05", "2026-04-05T01:45:00+11:00 2026-04-05T03:00:00+10:30"},
		{"America/Santiago", "00:00", "02:00", "2026-09-06", "2026-09-06T01:00:00-03:00 2026-09-06T02:00:00-03:00"},
		{"Asia/Kolkata", "09:15", "10:00", "2026-07-01", "2026-07-01T09:15:00+05:30 2026-07-01T10:00:00+05:30"},
		{"Pacific/Kiritimati", "23:00", "01:00", "2026-01-01", "2026-01-01T23:00:00+14:00 2026-01-02T01:00:00+14:00"},
		{"", "23:00", "23:00", "2026-01-01", "2026-01-01T23:00:00Z 2026-01-02T23:00:00Z"},
	} {
		day, err := time.Parse(time.DateOnly, c.day)
		require.NoError(t, err)
		r := nightly(c.zone)
		r.Windows = []Window{{Days: []string{day.Weekday().String()}, Start: c.start, End: c.end}}
		checked, err := r.check()
		require.NoError(t, err)
		got := ""
		for _, o := range checked.within(day.Add(-12*time.Hour), day.Add(36*time.Hour)) {
			got += o.Start.Format(time.RFC3339) + " " + o.End.Format(time.RFC3339)
		}
		require.Equal(t, c.want, got, c)
	}
}

// instants against looking at the clock each minute.
func TestInstantsAgainstTheClock(t *testing.T) {
	r := newRand(t)
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Tehran", "Africa/Casablanca",
		"Pacific/Apia", "America/St_Johns", "Europe/Dublin", "Antarctica/Troll"}
	for range 300 {
		zone, err := time.LoadLocation(zones[r.IntN(len(zones))])
		require.NoError(t, err)
		date := time.Date(2005+r.IntN(30), time.Month(1+r.IntN(12)), 1+r.IntN(28), 12, 0, 0, 0, time.UTC)
		// Often at a change of the clocks.
		if _, change := date.In(zone).ZoneBounds(); !change.IsZero() && r.IntN(4) > 0 {
			local := change.In(zone)
			date = time.Date(local.Year(), local.Month(), local.Day(), 12, 0, 0, 0, time.UTC)
		}
		minute := r.IntN(24 * 60)
		if r.IntN(2) == 0 {
			minute = r.IntN(4 * 60)
		}
		wall := time.Date(date.Year(), date.Month(), date.Day(), 0, minute, 0, 0, time.UTC)
		shown := func(at time.Time) time.Time {
			l := at.In(zone)
			return time.Date(l.Year(), l.Month(), l.Day(), l.Hour(), l.Minute(), 0, 0, time.UTC)
		}
		var first, last time.Time
		for at := wall.Add(-16 * time.Hour); at.Before(wall.Add(16 * time.Hour)); at = at.Add(time.Minute) {
			switch {
			case shown(at).Equal(wall):
				if first.IsZero() {
					first = at
				}
				last = at
			case first.IsZero() && last.IsZero() && shown(at).After(wall) && !shown(at.Add(-time.Minute)).After(wall):
				first, last = at, at // Clocks go over it: unless it is found, that is when.
				for later := at; later.Before(at.Add(3 * time.Hour)); later = later.Add(time.Minute) {
					if shown(later).Equal(wall) {
						first, last = time.Time{}, time.Time{}
					}
				}
			}
		}
		gotFirst, gotLast := instants(zone, date, minute)
		require.True(t, first.Equal(gotFirst), "%s %s: %s, want %s", zone, wall, gotFirst, first)
		require.True(t, last.Equal(gotLast), "%s %s: %s, want %s", zone, wall, gotLast, last)
	}
}

func recurringSilences(t *testing.T, n *Notifier, states ...silence.SilenceState) (out []string) {
	t.Helper()
	all, _, err := n.silences.Query(t.Context(), silence.QState(states...))
	require.NoError(t, err)
	for _, s := range all {
		out = append(out, s.Annotations[annotationOccurrence])
	}
	return out
}

func TestRecurringSilences(t *testing.T) {
	dir, silences := t.TempDir(), t.TempDir()
	open := func() *Notifier {
		return start(t, Options{Ledger: openLedger(t, dir), Dir: silences, Settings: quick()}, "")
	}
	n := open()
	now := time.Now().UTC()
	r := nightly("UTC")
	// One window that is under way, whatever the time, one that begins in half an hour, one tomorrow.
	clock := func(d time.Duration) string { return now.Add(d).Format("15:04") }
	r.Windows = []Window{{Start: clock(-time.Minute), End: clock(20 * time.Minute)}, {Start: clock(30 * time.Minute), End: clock(50 * time.Minute)},
		{Start: clock(2 * time.Hour), End: clock(3 * time.Hour)}}
	r, err := n.AddRecurring(r)
	require.NoError(t, err)
	active := func() []string { return recurringSilences(t, n, silence.SilenceStateActive) }
	pending := func() []string { return recurringSilences(t, n, silence.SilenceStatePending) }
	eventually(t, "silences are made", func() bool { return len(active()) == 1 && len(pending()) == 1 })
	code, body := call(t, n.Handler(), http.MethodGet, "/api/v2/silences", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "backups (recurring silence 1)")

	for range 3 {
		require.NoError(t, n.makeRecurring(time.Now()))
		n.Stop()
		require.NoError(t, n.opts.Ledger.Close())
		n = open()
		require.Equal(t, []Recurring{r}, n.Recurring())
		require.NoError(t, n.makeRecurring(time.Now()))
		require.Len(t, active(), 1)
		require.Len(t, pending(), 1)
	}
	defer func() { n.Stop(); require.NoError(t, n.opts.Ledger.Close()) }()

	// One that somebody ended does not come back.
	all, _, err := n.silences.Query(t.Context(), silence.QState(silence.SilenceStateActive))
	require.NoError(t, err)
	require.NoError(t, n.silences.Expire(t.Context(), all[0].Id))
	require.NoError(t, n.makeRecurring(time.Now()))
	require.Empty(t, active())

	require.NoError(t, n.DeleteRecurring(t.Context(), r.ID))
	require.Empty(t, pending())
	require.Empty(t, n.Recurring())
	require.NoError(t, n.makeRecurring(time.Now()))
	require.Empty(t, pending())
	require.Error(t, n.DeleteRecurring(t.Context(), r.ID))
	r.Until = time.Now()
	_, err = n.AddRecurring(r)
	require.ErrorContains(t, err, "until: it would be over before its first window")
}
