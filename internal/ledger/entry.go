package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// Entry is one transition of one alert instance as it is recorded.
type Entry struct {
	alert.Transition
	// Expr is the rule's expression and Threshold what it compares with, as people wrote them. Either may be empty.
	Expr, Threshold string
	// Latency is from the arrival of the sample, or the due time of the tick, to the end of the evaluation.
	Latency time.Duration
}

// Instance is what the state machine needs of one alert instance to go on after a restart.
type Instance struct {
	// File, Group and Rule say which rule it belongs to, RuleID which version of it or, where rules of one group have one
	// name, which of them.
	File, Group, Rule, RuleID string
	alert.Alert
}

// Key returns what tells i from other instances.
func (i *Instance) Key() InstanceKey {
	return InstanceKey{File: i.File, Group: i.Group, Rule: i.Rule, RuleID: i.RuleID, Labels: i.Labels}
}

// InstanceKey names one alert instance. Two rules of one group may be the same in all that is here: such instances share a
// key, and the one recorded last is kept.
type InstanceKey struct {
	File, Group, Rule, RuleID string
	Labels                    labels.Labels
}

// hashedKey is an InstanceKey in 16 bytes: what the table of instances is ordered by.
type hashedKey [16]byte

// hash returns the first half of a SHA-256 of k, each part with its length before it.
func (k *InstanceKey) hash() hashedKey {
	buf := make([]byte, 0, 512)
	part := func(s string) {
		buf = binary.AppendUvarint(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	part(k.File)
	part(k.Group)
	part(k.Rule)
	part(k.RuleID)
	k.Labels.Range(func(l labels.Label) {
		part(l.Name)
		part(l.Value)
	})
	sum := sha256.Sum256(buf)
	return hashedKey(sum[:])
}

// rowEntries is how many transitions, deliveries or instances a row of the log holds at most: reading one of them decodes
// all.
const rowEntries = 64

// EntryID numbers what is recorded, in the order of recording. It is the row of the log and the place in it.
type EntryID uint64

func makeID(seq int64, at int) EntryID { return EntryID(uint64(seq)*rowEntries + uint64(at)) }

func (id EntryID) seq() int64 { return int64(id / rowEntries) }
func (id EntryID) place() int { return int(id % rowEntries) }
