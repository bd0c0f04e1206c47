package notify

import (
	"sync"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// originalsKept bounds each of the two halves of originals.
const originalsKept = 1 << 16

// originals remembers, for alerts whose labels were changed on the way to the pipeline, what they were. It holds those
// that were sent last: an alert that fires is sent again and again. What it has forgotten counts as unchanged.
type originals struct {
	mu       sync.RWMutex
	now, old map[model.Fingerprint]model.LabelSet
}

func (o *originals) put(fp model.Fingerprint, ls labels.Labels) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now == nil || len(o.now) >= originalsKept {
		o.now, o.old = map[model.Fingerprint]model.LabelSet{}, o.now
	}
	o.now[fp] = toLabelSet(ls, false)
}

// drop forgets an alert whose labels are unchanged by now.
func (o *originals) drop(fp model.Fingerprint) {
	o.mu.RLock()
	empty := len(o.now) == 0 && len(o.old) == 0
	o.mu.RUnlock()
	if empty {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.now, fp)
	delete(o.old, fp)
}

// get returns what the labels were, nil where they are unchanged.
func (o *originals) get(fp model.Fingerprint) model.LabelSet {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if set, ok := o.now[fp]; ok {
		return set
	}
	return o.old[fp]
}

// of returns the labels of an alert of the pipeline as the rule engine recorded them.
func (o *originals) of(set model.LabelSet) labels.Labels {
	if was := o.get(set.Fingerprint()); was != nil {
		return toLabels(was)
	}
	return toLabels(set)
}
