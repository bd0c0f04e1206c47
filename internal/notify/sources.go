package notify

import (
	"context"
	"sync"

	amalert "github.com/prometheus/alertmanager/alert"
	amcommoncfg "github.com/prometheus/alertmanager/config/common"
	"github.com/prometheus/alertmanager/inhibit"
	amlabels "github.com/prometheus/alertmanager/pkg/labels"
	"github.com/prometheus/alertmanager/provider"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/common/model"
)

// Upstream's inhibitor learns of alerts through a buffered subscription beside the dispatcher's. With group_wait 0s the
// dispatcher may flush a target before the inhibitor has read its source, and the target leaks.
//
// Here the inhibitor's subscription is synchronous instead. alertStore wraps upstream's provider: an alert that may be a
// source of some rule is handed to the inhibitor (a) before the batch that holds it enters the provider, so that its
// place in the batch does not matter, and (b) again from the provider's PostStore callback with what the provider made
// of it, which happens inside Put and before the dispatcher is told. As the inhibitor stays upstream's own, so do its
// semantics, its index by equal labels, its metrics and the inhibitedBy of the API.
//
// Locks: the provider's lock may be held while a feed hands over; an inhibitor takes no lock of the provider's once it
// has loaded, and while it loads, its feed keeps what comes instead of handing it over.

// alertStore is upstream's alert provider with synchronous feeds for inhibitors.
type alertStore struct {
	*mem.Alerts
	mu    sync.RWMutex
	feeds map[*sourceFeed]struct{}
}

// Put implements provider.Alerts. Alerts must not be changed by the caller afterwards.
func (s *alertStore) Put(ctx context.Context, alerts ...*amalert.Alert) error {
	s.announce(alerts)
	return s.Alerts.Put(ctx, alerts...)
}

// announce makes the active alerts of a batch known as sources before any of the batch can reach the dispatcher.
// Resolved ones wait for PostStore: telling of them early would open a gap, not close one.
func (s *alertStore) announce(alerts []*amalert.Alert) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for f := range s.feeds {
		var sources []*amalert.Alert
		for _, a := range alerts {
			if !a.Resolved() && f.isSource(a.Labels) {
				sources = append(sources, a)
			}
		}
		f.hand(sources...)
	}
}

func (s *alertStore) stored(a *amalert.Alert) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for f := range s.feeds {
		if f.isSource(a.Labels) {
			f.hand(a)
		}
	}
}

// storeCallback is what the provider calls: the silencer's own, and alertStore.stored.
type storeCallback struct {
	*silence.Silencer
	stored func(*amalert.Alert)
}

// PostStore implements mem.AlertStoreCallback.
func (c storeCallback) PostStore(a *amalert.Alert, _ bool) { c.stored(a) }

// sourceView is the provider as an inhibitor with the given rules sees it.
type sourceView struct {
	*alertStore
	sources []amlabels.Matchers
}

func (s *alertStore) forInhibitor(rules []amcommoncfg.InhibitRule) provider.Alerts {
	v := &sourceView{alertStore: s}
	for _, r := range rules {
		v.sources = append(v.sources, inhibit.NewInhibitRule(r).SourceMatchers)
	}
	return v
}

// SlurpAndSubscribe implements provider.Alerts. The subscription sees sources only, and each is handed over before Put
// lets anybody else see it.
func (v *sourceView) SlurpAndSubscribe(string) ([]*amalert.Alert, provider.AlertIterator) {
	f := &sourceFeed{
		sources: v.sources,
		backlog: map[model.Fingerprint]*amalert.Alert{},
		ch:      make(chan *provider.Alert),
		done:    make(chan struct{}),
	}
	v.mu.Lock()
	v.feeds[f] = struct{}{}
	v.mu.Unlock()

	known := map[model.Fingerprint]*amalert.Alert{}
	pending := v.GetPending()
	for a := range pending.Next() {
		known[a.Data.Fingerprint()] = a.Data
	}
	pending.Close()
	// What came since the feed was registered is at least as new as what was listed.
	for fp, a := range f.goLive() {
		known[fp] = a
	}
	initial := make([]*amalert.Alert, 0, len(known))
	for _, a := range known {
		initial = append(initial, a)
	}
	return initial, &feedIterator{feed: f, store: v.alertStore}
}

// sourceFeed hands sources to one inhibitor.
type sourceFeed struct {
	sources []amlabels.Matchers
	ch      chan *provider.Alert // unbuffered: that is what makes hand synchronous
	done    chan struct{}        // closed by the inhibitor when it ends

	mu      sync.Mutex
	backlog map[model.Fingerprint]*amalert.Alert // what came while the inhibitor loads; nil once it is live
}

func (f *sourceFeed) isSource(set model.LabelSet) bool {
	for _, m := range f.sources {
		if m.Matches(set) {
			return true
		}
	}
	return false
}

// goLive ends loading and returns what came meanwhile.
func (f *sourceFeed) goLive() map[model.Fingerprint]*amalert.Alert {
	f.mu.Lock()
	defer f.mu.Unlock()
	backlog := f.backlog
	f.backlog = nil
	return backlog
}

// hand returns when the inhibitor has taken in all of alerts, or has ended. The inhibitor works on one alert at a time,
// in the goroutine that receives: so when it receives the last alert a second time (which changes nothing), it is done
// with the first.
func (f *sourceFeed) hand(alerts ...*amalert.Alert) {
	if len(alerts) == 0 || f.keep(alerts) {
		return
	}
	for _, a := range append(alerts, alerts[len(alerts)-1]) {
		select {
		case f.ch <- &provider.Alert{Data: a}:
		case <-f.done:
			return
		}
	}
}

// keep puts alerts aside while the inhibitor loads, and reports whether it did.
func (f *sourceFeed) keep(alerts []*amalert.Alert) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.backlog == nil {
		return false
	}
	for _, a := range alerts {
		f.backlog[a.Fingerprint()] = a
	}
	return true
}

type feedIterator struct {
	feed  *sourceFeed
	store *alertStore
	once  sync.Once
}

// Next implements provider.AlertIterator.
func (it *feedIterator) Next() <-chan *provider.Alert { return it.feed.ch }

// Err implements provider.AlertIterator.
func (it *feedIterator) Err() error { return nil }

// Close implements provider.AlertIterator.
func (it *feedIterator) Close() {
	it.once.Do(func() {
		// First release whoever is handing over: they hold the lock that removing the feed needs.
		close(it.feed.done)
		it.store.mu.Lock()
		delete(it.store.feeds, it.feed)
		it.store.mu.Unlock()
	})
}
