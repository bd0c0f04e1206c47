package notify

import (
	"sync"
	"time"

	amalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/common/model"
)

// flaps knows which alerts are flapping and who was told so. An alert that begins to flap is told once, even where upstream
// sees nothing new in it; its repeats are muted, until it is calm.
type flaps struct {
	born time.Time // when this process began to look

	mu  sync.Mutex
	all map[model.Fingerprint]*flap
}

type flap struct {
	since time.Time
	told  map[laneKey]bool
}

func newFlaps(now time.Time) *flaps { return &flaps{born: now, all: map[model.Fingerprint]*flap{}} }

// set notes whether an alert is flapping, and since when.
func (f *flaps) set(fp model.Fingerprint, flapping bool, since time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch old := f.all[fp]; {
	case !flapping:
		delete(f.all, fp)
	case old == nil || !old.since.Equal(since):
		f.all[fp] = &flap{since: since, told: map[laneKey]bool{}}
	}
}

func (f *flaps) is(fp model.Fingerprint) bool {
	_, ok := f.since(fp)
	return ok
}

// since returns since when an alert is flapping; it is false where it is not.
func (f *flaps) since(fp model.Fingerprint) (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.all[fp]; fl != nil {
		return fl.since, true
	}
	return time.Time{}, false
}

// news reports whether there is a flapping alert that a lane was not told of. toldAt is when the lane was last told
// anything: what began to flap before this process, and before that, was told then.
func (f *flaps) news(key laneKey, alerts []*amalert.Alert, toldAt time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return false
	}
	for _, a := range alerts {
		fl := f.all[a.Fingerprint()]
		if fl == nil || fl.told[key] || a.Resolved() || fl.since.Before(f.born) && toldAt.After(fl.since) {
			continue
		}
		return true
	}
	return false
}

// told notes that a lane was told of alerts: of those that began to flap after the message was made, it did not say so.
func (f *flaps) told(key laneKey, alerts []*amalert.Alert) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return
	}
	for _, a := range alerts {
		if fl := f.all[a.Fingerprint()]; fl != nil && !a.Resolved() && a.Annotations[AnnotationFlapping] != "" {
			fl.told[key] = true
		}
	}
}
