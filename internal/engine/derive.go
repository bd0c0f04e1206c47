package engine

import "github.com/prometheus/prometheus/model/labels"

// derivation remembers the labels that a rule makes of those of its result, so that they are made once. The zero value
// is empty.
type derivation struct {
	made   []derived
	places map[labels.Labels]int32
	// cursor is where the next one probably stands; asked counts those of the running evaluation.
	cursor, asked int
}

type derived struct{ from, to labels.Labels }

// begin starts an evaluation. What was not asked for by the one before may be forgotten.
func (d *derivation) begin() {
	if len(d.made) > 2*d.asked+spareSeries {
		clear(d.made)
		d.made = d.made[:0]
		clear(d.places)
	}
	d.cursor, d.asked = 0, 0
}

// of returns what from became, false where it has to be made, and then given to set.
func (d *derivation) of(from labels.Labels) (labels.Labels, bool) {
	d.asked++
	if d.cursor < len(d.made) && d.made[d.cursor].from == from {
		d.cursor++
		return d.made[d.cursor-1].to, true
	}
	at, ok := d.places[from]
	if !ok {
		return labels.EmptyLabels(), false
	}
	d.cursor = int(at) + 1
	return d.made[at].to, true
}

// set remembers what from became.
func (d *derivation) set(from, to labels.Labels) {
	if d.places == nil {
		d.places = map[labels.Labels]int32{}
	}
	d.places[from] = int32(len(d.made))
	d.made = append(d.made, derived{from, to})
	d.cursor = len(d.made)
}
