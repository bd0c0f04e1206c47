package notify

import (
	"sync"

	"github.com/tocsin/tocsin/internal/ledger"
)

// deadKept bounds of how many lanes the last dead letter is remembered.
const deadKept = 100_000

// deadLetters knows the last dead letter of each lane: a repeat that becomes one takes its place. So a receiver that refuses
// everything has as many dead letters as there is to say, however often it is repeated.
type deadLetters struct {
	forgotten func()

	mu   sync.Mutex
	last map[laneKey]deadLetter
}

type deadLetter struct {
	id  uint64
	msg *message // as far as repeats looks at it
}

func newDeadLetters(forgotten func()) *deadLetters {
	return &deadLetters{forgotten: forgotten, last: map[laneKey]deadLetter{}}
}

// load takes note of the dead letters that the ledger has, the oldest first.
func (d *deadLetters) load(all []ledger.Notification) {
	for i := range all {
		if m, err := decodeMessage(all[i].Payload); err == nil { // Otherwise nothing can be its repeat.
			d.put(m, all[i].ID)
		}
	}
}

// repeatedBy returns the ID of the dead letter that it says again, 0 where there is none.
func (d *deadLetters) repeatedBy(it *item) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, ok := d.last[it.msg.lane()]
	if !ok || old.id == it.id || !it.msg.repeats(old.msg) {
		return 0
	}
	return old.id
}

// note takes note that it is a dead letter.
func (d *deadLetters) note(it *item) { d.put(it.msg, it.id) }

func (d *deadLetters) put(m *message, id uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := m.lane()
	if _, known := d.last[key]; !known && len(d.last) >= deadKept {
		clear(d.last)
		d.forgotten()
	}
	d.last[key] = deadLetter{id, &message{Firing: m.Firing, Resolved: m.Resolved}}
}
