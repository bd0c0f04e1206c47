package chain

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/sim"
)

const (
	// lookback is how long a series is seen after its last sample. Samples come every scrape.
	lookback = 22 * time.Second
	scrape   = 5 * time.Second
	// groupInterval is how long the pipeline lets changes of a group come together.
	groupInterval = 4 * time.Second
	// series is how many there are.
	series = 3
)

var receivers = []string{"left", "right"}

// Values change when samples come, 0 seconds after multiples of 5; a `for` or keep_firing_for that began then ends in
// none of these seconds. What comes at the same time has no order.
var modelRules = []modelRule{
	{name: "Now", group: "g", interval: 10 * time.Second},
	{name: "Hold", group: "g", interval: 10 * time.Second, hold: 21 * time.Second},
	{name: "Keep", group: "h", interval: 15 * time.Second, hold: 6 * time.Second, keep: 33 * time.Second},
	{name: "Hysteresis", group: "h", interval: 15 * time.Second, hysteresis: true},
}

func ruleFiles() map[string]string {
	text, side := "groups:\n", "groups:\n"
	for _, group := range []string{"g", "h"} {
		sides := ""
		for _, r := range modelRules {
			if r.group != group {
				continue
			}
			if !strings.Contains(text, "name: "+group) {
				text += fmt.Sprintf("- name: %s\n  interval: %s\n  rules:\n", group, r.interval)
			}
			text += fmt.Sprintf("  - {alert: %s, expr: v > 90, for: %s, keep_firing_for: %s}\n", r.name, promDuration(r.hold), promDuration(r.keep))
			if r.hysteresis {
				sides += fmt.Sprintf("  - {alert: %s, clear: v < 70}\n", r.name)
			}
		}
		if sides != "" {
			side += "- name: " + group + "\n  rules:\n" + sides
		}
	}
	return map[string]string{"f.yml": text, "f.tocsin.yml": side}
}

func promDuration(d time.Duration) string { return fmt.Sprintf("%ds", int(d.Seconds())) }

func alertmanagerFile() string {
	text := fmt.Sprintf("route:\n  receiver: %s\n  group_by: [alertname]\n  group_wait: 0s\n  group_interval: %s\n  repeat_interval: 12h\n  routes:\n",
		receivers[0], promDuration(groupInterval))
	for _, r := range receivers {
		text += fmt.Sprintf("  - {receiver: %s, continue: true}\n", r)
	}
	text += "receivers:\n"
	for _, r := range receivers {
		text += fmt.Sprintf("- {name: %s, webhook_configs: [{url: 'http://%s/', timeout: 4s}]}\n", r, host(r))
	}
	return text
}

func host(receiver string) string { return receiver + ".example:80" }

// story is one run of the simulation.
type story struct {
	*ground
	random *rand.Rand
	hooks  map[string]*sim.Webhook
	p      *process

	values     map[string]float64
	nextChange map[string]time.Time
	nextFault  map[string]time.Time
	faulty     map[string][]span // by receiver: when it did not work as it should
	full       []span            // when the disk was
	nextDisk   time.Time
	diskUntil  time.Time
	nextKill   time.Time
	killBy     time.Time // a kill is armed, and comes by then in any case

	lives   []span
	samples map[string][]seen
	log     []string
	begun   time.Time
}

func newStory(g *ground, seed uint64) *story {
	g.rules, g.config = ruleFiles(), alertmanagerFile()
	s := &story{
		ground: g, random: rand.New(rand.NewPCG(seed, 11)), hooks: map[string]*sim.Webhook{}, values: map[string]float64{},
		nextChange: map[string]time.Time{}, nextFault: map[string]time.Time{}, faulty: map[string][]span{}, samples: map[string][]seen{}, begun: time.Now(),
	}
	for _, r := range receivers {
		l, err := g.network.Listen(host(r))
		require.NoError(g.t, err)
		s.hooks[r] = sim.NewWebhookOn(l)
		s.nextFault[r] = s.begun.Add(s.between(20, 120))
	}
	for i := range series {
		s.values[fmt.Sprint(i)] = 60
		s.nextChange[fmt.Sprint(i)] = s.begun.Add(s.between(10, 90))
	}
	s.nextKill, s.nextDisk = s.begun.Add(s.between(60, 300)), s.begun.Add(s.between(60, 400))
	return s
}

// between returns a random time of some seconds.
func (s *story) between(from, to int) time.Duration {
	return time.Duration(from)*time.Second + time.Duration(s.random.IntN(1000*(to-from)))*time.Millisecond
}

func (s *story) note(format string, args ...any) {
	s.log = append(s.log, time.Now().UTC().Format(stampFormat)+" "+fmt.Sprintf(format, args...))
}

// tell lets things happen for a while and then, when all is well again, come to an end.
func (s *story) tell(d time.Duration) {
	s.birth()
	end := s.begun.Add(d)
	for time.Now().Before(end) {
		s.change()
		s.breakDisk()
		s.breakReceivers()
		s.beat()
	}
	s.mend()
	for end = time.Now().Add(3 * time.Minute); time.Now().Before(end); {
		s.beat()
	}
}

// beat is the time from one scrape to the next.
func (s *story) beat() {
	now := time.Now()
	s.p.append(s.values)
	for i, v := range s.values {
		s.samples[i] = append(s.samples[i], seen{now, v})
	}
	next := now.Truncate(scrape).Add(scrape)
	for time.Now().Before(next) {
		wait := time.Until(next)
		armed := !s.killBy.IsZero()
		if armed {
			wait = min(wait, time.Until(s.killBy))
		} else if due := time.Until(s.nextKill); due < wait && s.killable() {
			wait = max(due, 0)
		}
		timer := time.NewTimer(wait)
		select {
		case <-s.p.struck:
			timer.Stop()
			s.death("at its point")
			return
		case <-timer.C:
		}
		switch {
		case armed && !time.Now().Before(s.killBy):
			s.death("at any moment")
			return
		case !armed && !time.Now().Before(s.nextKill) && s.killable():
			s.arm()
		}
	}
}

// killable reports whether the process may be killed: what a disk does not take, a crash loses.
func (s *story) killable() bool {
	ok, _ := s.p.ledger.Healthy()
	return ok && s.diskUntil.IsZero()
}

// arm decides how the process is killed.
func (s *story) arm() {
	points := []string{"", recorded, notifying, answered}
	point := points[s.random.IntN(len(points))]
	s.killBy = time.Now()
	if point != "" {
		s.killBy = s.killBy.Add(s.between(10, 60))
		s.p.killAt(point)
	}
	s.note("to be killed: %q", point)
}

// death kills the process, and starts it again after a while.
func (s *story) death(how string) {
	s.lives[len(s.lives)-1].ended = time.Now()
	s.note("killed %s", how)
	s.p.kill()
	time.Sleep(time.Until(time.Now().Add(s.between(0, 3+s.random.IntN(80)))))
	s.birth()
	s.killBy, s.nextKill = time.Time{}, time.Now().Add(s.between(40, 300))
	time.Sleep(time.Until(time.Now().Truncate(scrape).Add(scrape)))
}

func (s *story) birth() {
	s.p = s.start()
	s.lives = append(s.lives, span{began: s.p.began})
	s.note("started")
}

// change gives series other values, each once in a while.
func (s *story) change() {
	for i := range series {
		name := fmt.Sprint(i)
		if time.Now().Before(s.nextChange[name]) {
			continue
		}
		s.nextChange[name] = time.Now().Add(s.between(45, 200))
		s.values[name] = []float64{95, 80, 60, 95, 60}[s.random.IntN(5)]
		s.note("v%s = %g", name, s.values[name])
	}
}

func (s *story) breakDisk() {
	switch now := time.Now(); {
	case !s.diskUntil.IsZero() && now.After(s.diskUntil):
		s.p.diskFull.Store(false)
		s.full[len(s.full)-1].ended = now
		s.diskUntil, s.nextDisk = time.Time{}, now.Add(s.between(100, 600))
		s.note("the disk has room")
	case s.diskUntil.IsZero() && now.After(s.nextDisk) && s.killBy.IsZero():
		s.p.diskFull.Store(true)
		s.full = append(s.full, span{began: now})
		s.diskUntil = now.Add(s.between(5, 60))
		s.note("the disk is full")
	}
}

// faults are what receivers do instead of answering at once.
var faults = map[string]sim.Behaviour{
	"hangs":            {Hang: true},
	"fails":            {Status: http.StatusInternalServerError},
	"drops":            {Drop: true},
	"is slow":          {Delay: 700 * time.Millisecond},
	"has enough of it": {Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"7"}}},
}

func (s *story) breakReceivers() {
	for _, r := range receivers {
		if time.Now().Before(s.nextFault[r]) {
			continue
		}
		s.nextFault[r] = time.Now().Add(s.between(20, 140))
		s.endFault(r)
		names := []string{"", "", "", "", "refuses", "hangs", "fails", "drops", "is slow", "has enough of it"}
		name := names[s.random.IntN(len(names))]
		s.network.Refuse(host(r), name == "refuses")
		s.hooks[r].Always(faults[name])
		if name != "" {
			s.faulty[r] = append(s.faulty[r], span{began: time.Now()})
		}
		s.note("%s %s", r, name)
	}
}

func (s *story) endFault(receiver string) {
	if all := s.faulty[receiver]; len(all) > 0 && all[len(all)-1].ended.IsZero() {
		all[len(all)-1].ended = time.Now()
	}
}

// mend makes all well.
func (s *story) mend() {
	for _, r := range receivers {
		s.network.Refuse(host(r), false)
		s.hooks[r].Always(sim.Behaviour{})
		s.endFault(r)
	}
	if !s.diskUntil.IsZero() {
		s.p.diskFull.Store(false)
		s.full[len(s.full)-1].ended = time.Now()
	}
	s.p.killAt("")
	s.killBy, s.diskUntil, s.nextKill = time.Time{}, time.Time{}, time.Now().Add(time.Hour)
	s.note("all is well")
}

// history is all that the ledger has, by alert.
func (s *story) history(t *testing.T) map[alertName][]alert.Transition {
	out := map[alertName][]alert.Transition{}
	for q := (ledger.Query{OldestFirst: true, Limit: ledger.MaxLimit}); ; {
		page, err := s.p.ledger.History(context.Background(), q)
		require.NoError(t, err)
		for _, e := range page.Entries {
			name := alertName{e.Rule, e.Labels.Get("i")}
			out[name] = append(out[name], e.Transition)
		}
		if q.After = page.Next; page.Next == "" {
			return out
		}
	}
}

// alertName names an alert: its rule and its series.
type alertName struct{ rule, series string }
