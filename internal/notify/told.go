package notify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/tocsin/tocsin/internal/ledger"
)

// What receivers were told stands in the notification log, which upstream keeps in memory and writes to its file a bit
// later. With a ledger, what it will say of a message is written together with the message, so that the two cannot
// contradict each other after a crash. Beside the log's own entry stands the message's number: messages of the same lane
// with a lower one were dealt with before it.

// toldData is what the ledger keeps: the number, and the entry as upstream writes it, if there is one.
func toldData(seq int64, entry *nflogpb.MeshEntry) ([]byte, error) {
	var b bytes.Buffer
	b.Write(binary.BigEndian.AppendUint64(nil, uint64(seq)))
	if entry != nil {
		if _, err := protodelim.MarshalTo(&b, entry); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func parseTold(data []byte) (seq int64, entry *nflogpb.MeshEntry, err error) {
	if len(data) < 8 {
		return 0, nil, fmt.Errorf("%d bytes are too few", len(data))
	}
	seq = int64(binary.BigEndian.Uint64(data))
	if len(data) == 8 {
		return seq, nil, nil
	}
	entry = &nflogpb.MeshEntry{}
	if err := protodelim.UnmarshalFrom(bytes.NewReader(data[8:]), entry); err != nil {
		return 0, nil, err
	}
	if entry.GetEntry().GetReceiver() == nil {
		return 0, nil, errors.New("it names no receiver")
	}
	return seq, entry, nil
}

// toldLog is the notification log as the pipeline sees it. It minds the data that some integrations keep there (the
// thread of a message that they update): those come with a delivery, which may be before or after the pipeline has logged
// the message.
type toldLog struct {
	log       *nflog.Log
	retention time.Duration
	forgotten func() // is told when fresh had to be emptied

	mu    sync.Mutex
	fresh map[laneKey]map[string]*nflogpb.ReceiverDataValue // of messages that are not logged yet
	// prolonged says when entries were prolonged.
	prolonged map[laneKey]time.Time
	// scratch encodes what upstream does not show otherwise.
	scratch *nflog.Log
	encoded []byte
}

// freshKept bounds the lanes of which data wait to be logged: a pipeline that gave a message up does not log it.
const freshKept = 10_000

func newToldLog(log *nflog.Log, retention time.Duration, forgotten func()) (*toldLog, error) {
	t := &toldLog{
		log: log, retention: retention, forgotten: forgotten, fresh: map[laneKey]map[string]*nflogpb.ReceiverDataValue{}, prolonged: map[laneKey]time.Time{},
	}
	var err error
	if t.scratch, err = nflog.New(nflog.Options{Metrics: prometheus.NewRegistry()}); err != nil {
		return nil, err
	}
	t.scratch.SetBroadcast(func(b []byte) { t.encoded = b })
	return t, nil
}

func (k laneKey) receiver() *nflogpb.Receiver {
	return &nflogpb.Receiver{GroupName: k.Receiver, Integration: k.Integration, Idx: uint32(k.Index)}
}

// Log implements upstream's NotificationLog.
func (t *toldLog) Log(r *nflogpb.Receiver, gkey string, firing, resolved []uint64, store *nflog.Store, expiry time.Duration) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := laneKey{target{r.GroupName, r.Integration, int(r.Idx)}, gkey}
	delete(t.prolonged, key)
	if data, ok := t.fresh[key]; ok {
		delete(t.fresh, key)
		store = nflog.NewStore(&nflogpb.Entry{ReceiverData: data})
	}
	return t.log.Log(r, gkey, firing, resolved, store, expiry)
}

// Query implements upstream's NotificationLog.
func (t *toldLog) Query(params ...nflog.QueryParam) ([]*nflogpb.Entry, error) {
	return t.log.Query(params...)
}

// entry returns what the log says of a lane; nil where it says nothing.
func (t *toldLog) entry(key laneKey) *nflogpb.Entry {
	entries, err := t.Query(nflog.QGroupKey(key.group), nflog.QReceiver(key.receiver()))
	if err != nil || len(entries) != 1 {
		return nil // The only errors are that there is none, and that nothing was asked.
	}
	return entries[0]
}

// at returns when a lane was last told anything; the zero time where that is not known.
func (t *toldLog) at(key laneKey) time.Time {
	if e := t.entry(key); e != nil {
		return e.Timestamp.AsTime()
	}
	return time.Time{}
}

func (t *toldLog) expiry(now time.Time, repeat time.Duration) time.Time {
	if repeat > 0 && 2*repeat < t.retention {
		return now.Add(2 * repeat)
	}
	return now.Add(t.retention)
}

// of returns what the ledger is to keep with a message.
func (t *toldLog) of(m *message, now time.Time) (ledger.Told, error) {
	e := &nflogpb.MeshEntry{
		Entry: &nflogpb.Entry{
			Receiver: m.lane().receiver(), GroupKey: []byte(m.GroupKey), Timestamp: timestamppb.New(now),
			FiringAlerts: m.Firing, ResolvedAlerts: m.Resolved, ReceiverData: t.data(m),
		},
		ExpiresAt: timestamppb.New(t.expiry(now, m.RepeatInterval)),
	}
	data, err := toldData(m.Seq, e)
	return ledger.Told{Key: m.lane().String(), Data: data, Expires: e.ExpiresAt.AsTime()}, err
}

// data returns what the integration keeps with a message of m's lane before m.
func (t *toldLog) data(m *message) map[string]*nflogpb.ReceiverDataValue {
	if m.Reason == amnotify.ReasonFirstNotification.String() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if data, ok := t.fresh[m.lane()]; ok {
		return data
	}
	return t.entry(m.lane()).GetReceiverData()
}

// prolong keeps a lane's entry for as long as entries are kept at all, without making it look newer. It returns until when
// that is, the zero time where it was done not long ago.
func (t *toldLog) prolong(key laneKey, now time.Time) (until time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.entry(key)
	if old == nil || now.Before(t.prolonged[key].Add(t.retention/4)) {
		return time.Time{}, nil
	}
	until = now.Add(t.retention)
	if err := t.change(old, old.ReceiverData, until); err != nil {
		return time.Time{}, err
	}
	if len(t.prolonged) >= mutesKept {
		clear(t.prolonged)
	}
	t.prolonged[key] = now
	return until, nil
}

// notProlonged has a lane prolonged again the next time: its entry's end in the ledger is the one before.
func (t *toldLog) notProlonged(key laneKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.prolonged, key)
}

// change puts a copy of an entry in its place that is newer by a moment only.
func (t *toldLog) change(old *nflogpb.Entry, data map[string]*nflogpb.ReceiverDataValue, expires time.Time) error {
	e := proto.Clone(old).(*nflogpb.Entry)
	e.Timestamp = timestamppb.New(old.Timestamp.AsTime().Add(time.Nanosecond))
	e.ReceiverData = data
	return t.put(&nflogpb.MeshEntry{Entry: e, ExpiresAt: timestamppb.New(expires)})
}

// put enters an entry, unless the log has a newer one.
func (t *toldLog) put(e *nflogpb.MeshEntry) error {
	var b bytes.Buffer
	if _, err := protodelim.MarshalTo(&b, e); err != nil {
		return err
	}
	return t.log.Merge(b.Bytes())
}

// merge brings the log up to date from the ledger. It returns the number of the last message of each lane.
func (t *toldLog) merge(all []ledger.Told) (last map[string]int64, err error) {
	last = make(map[string]int64, len(all))
	var errs []error
	for _, told := range all {
		seq, entry, err := parseTold(told.Data)
		if err == nil && entry != nil {
			entry.ExpiresAt = timestamppb.New(told.Expires)
			err = t.put(entry)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("what %q was told: %w", told.Key, err))
			continue
		}
		last[told.Key] = seq
	}
	return last, errors.Join(errs...)
}

// receiverData lets attempts of the outbox see and change what integrations keep in the notification log.
type receiverData struct{ log *toldLog }

func (r *receiverData) open(m *message) *nflog.Store {
	return nflog.NewStore(&nflogpb.Entry{ReceiverData: r.log.data(m)})
}

// keep takes over what an integration put into store while it delivered m.
func (r *receiverData) keep(m *message, store *nflog.Store) error {
	t := r.log
	before := t.data(m)
	t.mu.Lock()
	defer t.mu.Unlock()
	key := m.lane()
	if err := t.scratch.Log(key.receiver(), key.group, nil, nil, store, 1); err != nil {
		return err
	}
	var written nflogpb.MeshEntry
	if err := protodelim.UnmarshalFrom(bytes.NewReader(t.encoded), &written); err != nil {
		return err
	}
	data := written.Entry.ReceiverData
	if maps.EqualFunc(data, before, func(a, b *nflogpb.ReceiverDataValue) bool { return proto.Equal(a, b) }) {
		return nil
	}
	expires := t.expiry(time.Now(), m.RepeatInterval)
	old := t.entry(key)
	switch {
	case m.FallbackFor != "": // No pipeline logs it.
		return t.log.Log(key.receiver(), key.group, m.Firing, m.Resolved, nflog.NewStore(&nflogpb.Entry{ReceiverData: data}), time.Until(expires))
	case old == nil || old.Timestamp.AsTime().UnixNano() < m.Seq: // The pipeline logs m presently.
		if len(t.fresh) >= freshKept {
			clear(t.fresh)
			t.forgotten()
		}
		t.fresh[key] = data
		return nil
	}
	return t.change(old, data, expires)
}
