package ledger

import "github.com/prometheus/prometheus/model/labels"

// What things occupy in memory, roughly, beside their strings.
const (
	entryBytes    = 360
	instanceBytes = 340
	flapBytes     = 64
	timeBytes     = 24
	keyBytes      = 120
	deliveryBytes = 400
)

func (t *Entry) size() int64 {
	return entryBytes + labelBytes(t.Labels) + labelBytes(t.Annotations) + int64(len(t.Expr)+len(t.Threshold))
}

func (i *Instance) size() int64 {
	n := instanceBytes + labelBytes(i.Labels) + labelBytes(i.Annotations)
	if i.Flap != nil {
		n += flapBytes + timeBytes*int64(len(i.Flap.Changes))
	}
	return n
}

func (k *InstanceKey) size() int64 { return keyBytes + labelBytes(k.Labels) }

func (d *storedDelivery) size() int64 {
	n := deliveryBytes + int64(len(d.GroupKey)+len(d.Answer)+8*len(d.refs))
	for _, a := range d.Alerts {
		n += keyBytes + labelBytes(a.Labels)
	}
	return n
}

func (b *batch) size() int64 {
	n := int64(0)
	for i := range b.entries {
		n += b.entries[i].size()
	}
	for i := range b.changed {
		n += b.changed[i].size()
	}
	for i := range b.gone {
		n += b.gone[i].size()
	}
	return n
}

func labelBytes(ls labels.Labels) int64 {
	n := 0
	ls.Range(func(l labels.Label) { n += len(l.Name) + len(l.Value) + 2 })
	return int64(n)
}
