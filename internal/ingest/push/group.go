package push

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// pushedGroup is the state of one group. It is replaced, never changed, so that a push that fails leaves no trace.
type pushedGroup struct {
	key      string
	labels   map[string]string // the grouping labels; values may be empty
	families map[string]*family
	lastPush time.Time // zero: never
	// lastFailure is when a push was last refused, failure why.
	lastFailure time.Time
	failure     string
	ttl         time.Duration // 0: never goes stale
	own         [2]*family    // push_time_seconds and push_failure_time_seconds
}

// keyOf returns a text that is the same for equal labels and different for others.
func keyOf(labels map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		b.WriteString(name)
		b.WriteByte(0xff) // in no UTF-8 text
		b.WriteString(labels[name])
		b.WriteByte(0xff)
	}
	return b.String()
}

// seal makes the group's own two families of its times. It must be called once all other fields are set.
func (p *pushedGroup) seal() *pushedGroup {
	p.own = [2]*family{
		timestampFamily(pushTime, "Last Unix time when changing this group in the push gateway succeeded.", p.labels, p.lastPush),
		timestampFamily(pushFailureTime, "Last Unix time when changing this group in the push gateway failed.", p.labels, p.lastFailure),
	}
	return p
}

// ownFamilies returns the group's own two families by name.
func (p *pushedGroup) ownFamilies() map[string]*family {
	return map[string]*family{pushTime: p.own[0], pushFailureTime: p.own[1]}
}

// with returns the group as a push at time now leaves it: all families replaced, or those of the same names only.
func (p *pushedGroup) with(fs map[string]*family, replace bool, now time.Time, ttl time.Duration) *pushedGroup {
	next := &pushedGroup{key: p.key, labels: p.labels, lastPush: now, lastFailure: p.lastFailure, failure: p.failure, ttl: ttl, families: fs}
	if !replace {
		next.families = maps.Clone(p.families)
		if next.families == nil {
			next.families = map[string]*family{}
		}
		maps.Copy(next.families, fs)
	}
	return next.seal()
}

// failed returns the group as a refused push leaves it.
func (p *pushedGroup) failed(now time.Time, why string) *pushedGroup {
	next := *p
	next.lastFailure, next.failure = now, why
	return next.seal()
}

// deadline is when the group goes stale; the zero time where it never does. A group that only ever saw refused pushes
// counts from the last of them.
func (p *pushedGroup) deadline() time.Time {
	switch {
	case p.ttl <= 0:
		return time.Time{}
	case p.lastPush.IsZero():
		return p.lastFailure.Add(p.ttl)
	}
	return p.lastPush.Add(p.ttl)
}

func (p *pushedGroup) expired(now time.Time) bool {
	d := p.deadline()
	return !d.IsZero() && !now.Before(d)
}

// all yields the group's series with their families, its own two included.
func (p *pushedGroup) all() iter.Seq2[*family, *entry] {
	return func(yield func(*family, *entry) bool) {
		for _, f := range p.families {
			for _, e := range f.entries {
				if !yield(f, e) {
					return
				}
			}
		}
		for _, f := range p.own {
			for _, e := range f.entries {
				if !yield(f, e) {
					return
				}
			}
		}
	}
}

// series returns how many series the group has, its own two included.
func (p *pushedGroup) series() int {
	n := len(p.own)
	for _, f := range p.families {
		n += len(f.entries)
	}
	return n
}

// GroupStatus is what there is to know of a pushed group.
type GroupStatus struct {
	// Labels are the grouping labels.
	Labels map[string]string `json:"labels"`
	// Families are the names of the group's metric families, sorted.
	Families []string `json:"families"`
	// Series is how many series it has, push_time_seconds and push_failure_time_seconds included.
	Series int `json:"series"`
	// LastPush and LastFailure are when a push was last taken and refused; nil: never.
	LastPush    *time.Time `json:"last_push,omitempty"`
	LastFailure *time.Time `json:"last_failure,omitempty"`
	// Error is why the last refused push was refused.
	Error string `json:"error,omitempty"`
	// LastPushSuccessful says whether the last push was taken.
	LastPushSuccessful bool `json:"last_push_successful"`
	// TTL is in seconds; 0 where the group never goes stale. ExpiresAt is when it does.
	TTL       float64    `json:"ttl_seconds"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

func (p *pushedGroup) status() GroupStatus {
	some := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		return &t
	}
	return GroupStatus{
		Labels:             maps.Clone(p.labels),
		Families:           slices.Sorted(maps.Keys(p.families)),
		Series:             p.series(),
		LastPush:           some(p.lastPush),
		LastFailure:        some(p.lastFailure),
		Error:              p.failure,
		LastPushSuccessful: p.lastPush.After(p.lastFailure),
		TTL:                p.ttl.Seconds(),
		ExpiresAt:          some(p.deadline()),
	}
}
