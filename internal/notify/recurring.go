package notify

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // Time zones also where the machine knows none, as in small containers.

	"github.com/prometheus/alertmanager/matcher/compat"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
)

// Recurring is a silence that comes back: on certain days, at certain times of a certain place's clock.
type Recurring struct {
	// ID is set by AddRecurring.
	ID uint64 `json:"id"`
	// Matchers are as amtool takes them, such as severity="page"; all must match.
	Matchers []string `json:"matchers"`
	// Windows are when it holds. Where they overlap, so do the silences.
	Windows []Window `json:"windows"`
	// Zone is the IANA name of the time zone in which the windows are, such as Europe/Berlin; empty is UTC.
	Zone string `json:"zone"`
	// CreatedBy and Comment stand in each silence.
	CreatedBy string `json:"createdBy"`
	Comment   string `json:"comment"`
	// Until is when it ends for good: no window begins then or later. Zero is never.
	Until time.Time `json:"until,omitzero"`
}

// Window is a span of the day on some days of the week.
type Window struct {
	// Days are those on which the window begins, such as mon or mon-fri or sat-sun. Empty is every day.
	Days []string `json:"days,omitempty"`
	// Start and End are hours and minutes, such as 22:00; End may be 24:00. Where End is not after Start, the window ends
	// on the next day. Where clocks are set back and show a time twice, the window begins at the first and ends at the
	// last; where they are set forward over a time, it is the moment at which they are.
	Start string `json:"start"`
	End   string `json:"end"`
}

// Occurrence is one coming of a window.
type Occurrence struct {
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// recurrence is a Recurring that was checked.
type recurrence struct {
	Recurring
	matchers amlabels.Matchers
	zone     *time.Location
	windows  []window
	made     map[string]time.Time // occurrences that were made by this process, and when they end
}

type window struct {
	days       [7]bool // by time.Weekday
	start, end int     // minutes; end may be of the next day, beyond 24:00
}

// check returns r ready for use, or what is wrong with it.
func (r Recurring) check() (*recurrence, error) {
	out := &recurrence{Recurring: r, made: map[string]time.Time{}}
	if len(r.Matchers) == 0 {
		return nil, errors.New(`matchers: there are none; a silence of everything is refused, name some alerts, such as severity="info"`)
	}
	matchesNothing := true
	for i, text := range r.Matchers {
		m, err := compat.Matcher(text, "recurring silence")
		if err != nil {
			return nil, fmt.Errorf("matchers[%d]: %q: %w", i, text, err)
		}
		matchesNothing = matchesNothing && m.Matches("")
		out.matchers = append(out.matchers, m)
	}
	if matchesNothing {
		return nil, errors.New("matchers: all of them match alerts without those labels too; at least one must not, or everything would be silenced")
	}
	if r.CreatedBy == "" {
		return nil, errors.New("createdBy: is empty; say who wants it")
	}
	if r.Comment == "" {
		return nil, errors.New("comment: is empty; say why")
	}
	zone, err := time.LoadLocation(r.Zone)
	if err != nil || r.Zone == "Local" {
		return nil, fmt.Errorf("zone: %q is no time zone that is known here; write a name such as Europe/Berlin or UTC", r.Zone)
	}
	out.zone = zone
	if len(r.Windows) == 0 {
		return nil, errors.New("windows: there are none; say when it holds, such as {days: [mon-fri], start: 22:00, end: 06:00}")
	}
	for i, w := range r.Windows {
		checked, err := w.check()
		if err != nil {
			return nil, fmt.Errorf("windows[%d].%w", i, err)
		}
		out.windows = append(out.windows, checked)
	}
	return out, nil
}

func (w Window) check() (out window, err error) {
	if out.start, err = minutes(w.Start); err != nil || out.start == 24*60 {
		return out, fmt.Errorf("start: %q is no time of the day; write hours and minutes, such as 22:00", w.Start)
	}
	if out.end, err = minutes(w.End); err != nil {
		return out, fmt.Errorf("end: %q is no time of the day; write hours and minutes, such as 06:00 or 24:00", w.End)
	}
	if out.end <= out.start {
		out.end += 24 * 60
	}
	if len(w.Days) == 0 {
		out.days = [7]bool{true, true, true, true, true, true, true}
	}
	for i, text := range w.Days {
		if err := out.addDays(text); err != nil {
			return out, fmt.Errorf("days[%d]: %w", i, err)
		}
	}
	return out, nil
}

func minutes(text string) (int, error) {
	h, m, ok := strings.Cut(text, ":")
	hours, err1 := strconv.ParseUint(h, 10, 8)
	mins, err2 := strconv.ParseUint(m, 10, 8)
	if !ok || err1 != nil || err2 != nil || len(m) != 2 || len(h) > 2 || mins > 59 || hours*60+mins > 24*60 {
		return 0, errors.New("not a time")
	}
	return int(hours*60 + mins), nil
}

// addDays adds a day or a range of days, which may go over the end of the week.
func (w *window) addDays(text string) error {
	names := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	day := func(s string) int {
		s = strings.ToLower(strings.TrimSpace(s))
		return slices.IndexFunc(names, func(n string) bool {
			return s == n || len(s) > 3 && strings.HasPrefix(s, n) && s == strings.ToLower(time.Weekday(slices.Index(names, n)).String())
		})
	}
	first, last, ranged := strings.Cut(text, "-")
	if !ranged {
		last = first
	}
	from, to := day(first), day(last)
	if from < 0 || to < 0 {
		return fmt.Errorf("%q is no day; write one such as mon, or some such as mon-fri", text)
	}
	for d := from; ; d = (d + 1) % 7 {
		w.days[d] = true
		if d == to {
			return nil
		}
	}
}

// Next returns the occurrence of r that is under way at now or, if none is, the next one. It is false where there is none
// before Until. An error says what is wrong with r.
func (r Recurring) Next(now time.Time) (Occurrence, bool, error) {
	checked, err := r.check()
	if err != nil {
		return Occurrence{}, false, err
	}
	all := checked.within(now, now.AddDate(0, 0, 9))
	if len(all) == 0 {
		return Occurrence{}, false, nil
	}
	return all[0], true, nil
}

// within returns the occurrences that end after from and begin before to, the one that begins first first.
func (r *recurrence) within(from, to time.Time) (out []Occurrence) {
	if !r.Until.IsZero() && to.After(r.Until) {
		to = r.Until
	}
	local := from.In(r.zone)
	// The day before the one before, for windows that began then; days are up to 26 hours apart in zones.
	for day := -2; ; day++ {
		date := time.Date(local.Year(), local.Month(), local.Day()+day, 12, 0, 0, 0, time.UTC)
		if at, _ := instants(r.zone, date, 0); at.After(to) {
			break
		}
		for _, w := range r.windows {
			if !w.days[date.Weekday()] {
				continue
			}
			start, _ := instants(r.zone, date, w.start)
			_, end := instants(r.zone, date, w.end)
			if start.Before(end) && end.After(from) && start.Before(to) {
				out = append(out, Occurrence{start, end})
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Occurrence) int { return a.Start.Compare(b.Start) })
	return out
}

// instants returns the first and the last instant at which the clocks in zone show a time, so many minutes after the
// midnight before date. They differ where clocks are set back and show it twice. Where they are set forward and never
// show it, both are the instant at which they are.
func instants(zone *time.Location, date time.Time, minute int) (first, last time.Time) {
	wall := time.Date(date.Year(), date.Month(), date.Day(), 0, minute, 0, 0, time.UTC)
	guess := time.Date(date.Year(), date.Month(), date.Day(), 0, minute, 0, 0, zone)
	before, after := guess.ZoneBounds()
	offsets := []int{offset(guess)}
	for _, change := range []time.Time{before, after} {
		if !change.IsZero() {
			offsets = append(offsets, offset(change.Add(-time.Nanosecond).In(zone)), offset(change.In(zone)))
		}
	}
	for _, o := range offsets {
		at := wall.Add(-time.Duration(o) * time.Second).In(zone)
		if offset(at) != o {
			continue
		}
		if first.IsZero() || at.Before(first) {
			first = at
		}
		if last.IsZero() || at.After(last) {
			last = at
		}
	}
	if !first.IsZero() {
		return first, last
	}
	for _, change := range []time.Time{before, after} {
		if change.IsZero() {
			continue
		}
		shows := func(at time.Time) time.Time { return change.UTC().Add(time.Duration(offset(at)) * time.Second) }
		if !wall.Before(shows(change.Add(-time.Nanosecond).In(zone))) && wall.Before(shows(change.In(zone))) {
			return change.In(zone), change.In(zone)
		}
	}
	return guess, guess
}

// offset is by how many seconds the clocks are before UTC's.
func offset(at time.Time) int {
	_, o := at.Zone()
	return o
}
