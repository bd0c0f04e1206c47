package ledger

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// maxString bounds a string of a row: labels of 16 MiB and more cannot be represented.
const maxString = 16<<20 - 1

// decoder reads a body. After the first thing that cannot be, err is set and everything reads as zero.
type decoder struct {
	rest    []byte
	table   []string
	base    int64
	builder labels.ScratchBuilder
	err     error
}

func decodeBody(body []byte) (*row, error) {
	d := decoder{rest: body}
	d.strings()
	d.base = d.int()
	r := &row{}
	r.entries = make([]Entry, d.count(rowEntries))
	for i := range r.entries {
		d.entry(&r.entries[i])
	}
	r.changed = make([]Instance, d.count(rowEntries))
	for i := range r.changed {
		d.instance(&r.changed[i])
	}
	r.gone = make([]InstanceKey, d.count(rowEntries))
	for i := range r.gone {
		r.gone[i] = InstanceKey{File: d.string(), Group: d.string(), Rule: d.string(), RuleID: d.string(), Labels: d.labels()}
	}
	r.deliveries = make([]storedDelivery, d.count(rowEntries))
	for i := range r.deliveries {
		d.delivery(&r.deliveries[i])
	}
	if d.err == nil && len(d.rest) > 0 {
		d.fail("bytes after the end")
	}
	if d.err != nil {
		return nil, d.err
	}
	return r, nil
}

func (d *decoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s, %d bytes before the end", ErrDamaged, what, len(d.rest))
		d.rest = nil
	}
}

// strings reads the table.
func (d *decoder) strings() {
	lengths := make([]int, d.count(len(d.rest)))
	total := 0
	for i := range lengths {
		n := d.uint()
		if n > maxString || int(n) > len(d.rest) {
			d.fail("string of impossible length")
			return
		}
		lengths[i] = int(n)
		total += int(n)
	}
	if total > len(d.rest) {
		d.fail("strings longer than the row")
		return
	}
	all := string(d.rest[:total])
	d.rest = d.rest[total:]
	d.table = make([]string, len(lengths))
	for i, n := range lengths {
		d.table[i], all = all[:n], all[n:]
	}
}

func (d *decoder) entry(t *Entry) {
	t.File, t.Group, t.Rule, t.RuleID = d.string(), d.string(), d.string(), d.string()
	t.From, t.To = d.state(), d.state()
	t.Labels, t.Annotations = d.labels(), d.labels()
	t.Value = d.float()
	t.ActiveAt, t.At = d.time(), d.time()
	t.Expr, t.Threshold = d.string(), d.string()
	t.Latency = d.duration()
	t.Reason = d.reason()
	t.Clearing = d.reading()
	t.Duration = d.duration()
	t.Flapping = d.bool()
}

func (d *decoder) instance(i *Instance) {
	i.File, i.Group, i.Rule, i.RuleID = d.string(), d.string(), d.string(), d.string()
	i.State = d.state()
	i.Labels, i.Annotations = d.labels(), d.labels()
	i.Value = d.float()
	for _, t := range i.times() {
		*t = d.time()
	}
	i.Basis = d.basis()
	i.Reason = d.reason()
	i.Clearing = d.reading()
	i.Flap = d.flap()
}

func (d *decoder) reading() alert.Reading {
	if !d.bool() {
		return alert.Reading{}
	}
	return alert.Reading{Known: true, Value: d.float()}
}

func (d *decoder) flap() *alert.Flap {
	if !d.bool() {
		return nil
	}
	f := &alert.Flap{Changes: make([]time.Time, d.count(len(d.rest)))}
	for i := range f.Changes {
		f.Changes[i] = d.time()
	}
	f.Since, f.Kept = d.time(), d.bool()
	return f
}

func (d *decoder) delivery(v *storedDelivery) {
	v.At = d.time()
	v.Receiver, v.Integration = d.string(), d.string()
	v.Index = int(d.int())
	v.GroupKey, v.Route = d.string(), d.string()
	v.AlertCount = int(d.uint())
	v.Attempt = int(d.int())
	v.Latency = d.duration()
	v.Outcome = Outcome(d.string())
	v.Answer = d.string()
	v.Notification = d.uint()
	v.refs = make([]EntryID, d.count(maxAlerts))
	last := EntryID(0)
	for i := range v.refs {
		last += EntryID(d.int())
		v.refs[i] = last
	}
	v.asOf = d.int()
	v.Alerts = make([]DeliveredAlert, d.count(maxAlerts))
	for i := range v.Alerts {
		v.Alerts[i] = DeliveredAlert{Resolved: d.bool(), Labels: d.labels()}
	}
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("number cut off")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("number cut off")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads how many things follow: at most most, and each takes at least a byte.
func (d *decoder) count(most int) int {
	n := d.uint()
	if n > uint64(min(most, len(d.rest))) {
		d.fail("more entries than there can be")
		return 0
	}
	return int(n)
}

func (d *decoder) float() float64 {
	if len(d.rest) < 8 {
		d.fail("value cut off")
		return 0
	}
	v := math.Float64frombits(binary.LittleEndian.Uint64(d.rest))
	d.rest = d.rest[8:]
	return v
}

func (d *decoder) duration() time.Duration { return time.Duration(d.int()) }

func (d *decoder) time() time.Time {
	nanos := d.uint()
	if nanos == 0 {
		return time.Time{}
	}
	if nanos > uint64(time.Second) {
		d.fail("time of impossible nanoseconds")
		return time.Time{}
	}
	return time.Unix(d.base+d.int(), int64(nanos-1)).UTC()
}

func (d *decoder) state() alert.State {
	v := d.uint()
	if v > uint64(alert.Firing) {
		d.fail("unknown state")
		return alert.Inactive
	}
	return alert.State(v)
}

func (d *decoder) basis() alert.Basis {
	v := d.uint()
	if v > uint64(alert.OnNoData) {
		d.fail("unknown basis")
		return alert.OnCondition
	}
	return alert.Basis(v)
}

// reason reads a reason by its word. One that this version does not know is none: the rest is worth reading.
func (d *decoder) reason() alert.Reason {
	r, _ := alert.ParseReason(d.string())
	return r
}

func (d *decoder) bool() bool { return d.uint() == 1 }

func (d *decoder) string() string {
	at := d.uint()
	if at >= uint64(len(d.table)) {
		d.fail("string that is not in the table")
		return ""
	}
	return d.table[at]
}

func (d *decoder) labels() labels.Labels {
	n := d.count(len(d.rest))
	d.builder.Reset()
	last := ""
	for i := range n {
		name, value := d.string(), d.string()
		if i > 0 && name <= last {
			d.fail("labels out of order")
		}
		if d.err != nil {
			return labels.EmptyLabels()
		}
		d.builder.Add(name, value)
		last = name
	}
	return d.builder.Labels()
}
