package ledger

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// The body of a row:
//
//	uvarint n, n × uvarint length, the bytes of n strings     the row's strings, each once
//	varint                                                    base: Unix seconds that times are relative to
//	uvarint n, n transitions; uvarint n, n instances; uvarint n, n keys of instances; uvarint n, n deliveries
//
// Within those: a string is the uvarint of its place in the table; a label set is a uvarint count and that many pairs of
// strings, names ascending; a float is its 8 bytes, little endian; a duration is a varint of nanoseconds; a time is a
// uvarint, 0 for the zero time or nanoseconds + 1, and then a varint of seconds after base. The order of fields is that
// of the functions below, which decoder's mirror.

// encoder builds bodies, one after the other.
type encoder struct {
	places map[string]uint64
	table  []string
	buf    []byte
	base   int64
}

func newEncoder() *encoder {
	return &encoder{places: make(map[string]uint64, 64), buf: make([]byte, 0, 1024)}
}

// encode returns the body of r. What earlier bodies took of memory is used again.
func (e *encoder) encode(r *row) []byte {
	clear(e.places)
	clear(e.table)
	e.table, e.buf, e.base = e.table[:0], e.buf[:0], r.base()
	e.uint(uint64(len(r.entries)))
	for i := range r.entries {
		e.entry(&r.entries[i])
	}
	e.uint(uint64(len(r.changed)))
	for i := range r.changed {
		e.instance(&r.changed[i])
	}
	e.uint(uint64(len(r.gone)))
	for i := range r.gone {
		e.key(&r.gone[i])
	}
	e.uint(uint64(len(r.deliveries)))
	for i := range r.deliveries {
		e.delivery(&r.deliveries[i])
	}
	return e.body()
}

// base returns a time near to those of the row, so that they take few bytes.
func (r *row) base() int64 {
	switch {
	case len(r.entries) > 0:
		return r.entries[0].At.Unix()
	case len(r.deliveries) > 0:
		return r.deliveries[0].At.Unix()
	case len(r.changed) > 0:
		return r.changed[0].ActiveAt.Unix()
	}
	return 0
}

// body returns the table of strings and what was written.
func (e *encoder) body() []byte {
	size := 0
	for _, s := range e.table {
		size += len(s) + 2
	}
	out := make([]byte, 0, size+len(e.buf)+2*binary.MaxVarintLen64)
	out = binary.AppendUvarint(out, uint64(len(e.table)))
	for _, s := range e.table {
		out = binary.AppendUvarint(out, uint64(len(s)))
	}
	for _, s := range e.table {
		out = append(out, s...)
	}
	out = binary.AppendVarint(out, e.base)
	return append(out, e.buf...)
}

func (e *encoder) entry(t *Entry) {
	e.string(t.File)
	e.string(t.Group)
	e.string(t.Rule)
	e.string(t.RuleID)
	e.uint(uint64(t.From))
	e.uint(uint64(t.To))
	e.labels(t.Labels)
	e.labels(t.Annotations)
	e.float(t.Value)
	e.time(t.ActiveAt)
	e.time(t.At)
	e.string(t.Expr)
	e.string(t.Threshold)
	e.duration(t.Latency)
	e.string(t.Reason.String())
	e.reading(t.Clearing)
	e.duration(t.Duration)
	e.bool(t.Flapping)
}

func (e *encoder) instance(i *Instance) {
	e.string(i.File)
	e.string(i.Group)
	e.string(i.Rule)
	e.string(i.RuleID)
	e.uint(uint64(i.State))
	e.labels(i.Labels)
	e.labels(i.Annotations)
	e.float(i.Value)
	for _, t := range i.times() {
		e.time(*t)
	}
	e.uint(uint64(i.Basis))
	e.string(i.Reason.String())
	e.reading(i.Clearing)
	e.flap(i.Flap)
}

// times lists the times of an instance in the order in which they are stored.
func (i *Instance) times() []*time.Time {
	return []*time.Time{&i.ActiveAt, &i.FiredAt, &i.ResolvedAt, &i.LastSentAt, &i.ValidUntil, &i.KeepFiringSince, &i.MissingSince}
}

func (e *encoder) reading(r alert.Reading) {
	e.bool(r.Known)
	if r.Known {
		e.float(r.Value)
	}
}

func (e *encoder) flap(f *alert.Flap) {
	e.bool(f != nil)
	if f == nil {
		return
	}
	e.uint(uint64(len(f.Changes)))
	for _, t := range f.Changes {
		e.time(t)
	}
	e.time(f.Since)
	e.bool(f.Kept)
}

func (e *encoder) key(k *InstanceKey) {
	e.string(k.File)
	e.string(k.Group)
	e.string(k.Rule)
	e.string(k.RuleID)
	e.labels(k.Labels)
}

func (e *encoder) delivery(d *storedDelivery) {
	e.time(d.At)
	e.string(d.Receiver)
	e.string(d.Integration)
	e.int(int64(d.Index))
	e.string(d.GroupKey)
	e.string(d.Route)
	e.uint(uint64(d.AlertCount))
	e.int(int64(d.Attempt))
	e.duration(d.Latency)
	e.string(string(d.Outcome))
	e.string(d.Answer)
	e.uint(d.Notification)
	e.uint(uint64(len(d.refs)))
	last := EntryID(0)
	for _, id := range d.refs {
		e.int(int64(id - last))
		last = id
	}
	e.int(d.asOf)
	e.uint(uint64(len(d.Alerts)))
	for _, a := range d.Alerts {
		e.bool(a.Resolved)
		e.labels(a.Labels)
	}
}

func (e *encoder) uint(v uint64) { e.buf = binary.AppendUvarint(e.buf, v) }
func (e *encoder) int(v int64)   { e.buf = binary.AppendVarint(e.buf, v) }

func (e *encoder) bool(v bool) {
	if v {
		e.uint(1)
		return
	}
	e.uint(0)
}

func (e *encoder) float(v float64) {
	e.buf = binary.LittleEndian.AppendUint64(e.buf, math.Float64bits(v))
}

func (e *encoder) duration(d time.Duration) { e.int(int64(d)) }

func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.uint(0)
		return
	}
	e.uint(uint64(t.Nanosecond()) + 1)
	e.int(t.Unix() - e.base)
}

func (e *encoder) string(s string) {
	at, ok := e.places[s]
	if !ok {
		at = uint64(len(e.table))
		e.places[s] = at
		e.table = append(e.table, s)
	}
	e.uint(at)
}

func (e *encoder) labels(ls labels.Labels) {
	e.uint(uint64(ls.Len()))
	ls.Range(func(l labels.Label) {
		e.string(l.Name)
		e.string(l.Value)
	})
}
