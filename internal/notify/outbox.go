package notify

import (
	"container/heap"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tocsin/tocsin/internal/ledger"
)

// The outbox stands between Alertmanager's pipeline and the integrations. The pipeline hands over a message and goes on
// as soon as the message is in the ledger, or delivered. The first attempt begins at once, and where it soon ends well the
// message never has to be written, only that it was told. See doc.go for what a crash can do.
//
// Messages of one lane (integration and aggregation group) are delivered one after the other, in order; lanes do not wait
// for each other. All of an integration's lanes share its circuit, its pause where it asked for one, and a bound on
// attempts at a time.

// maxConcurrent bounds the attempts of one integration that are under way.
const maxConcurrent = 64

// storeDelay is how long a message that is under way stays out of the ledger. A crash meanwhile does to it what it does to
// one that still waits in the pipeline's memory: the alerts of the ledger are told of again.
const storeDelay = 25 * time.Millisecond

var (
	errNoLedger   = errors.New("there is no ledger, and without one no outbox")
	errOutboxFull = errors.New("too many messages wait to be delivered already (notifications.max_waiting)")
	errNotAsked   = errors.New("the receiver failed again and again and is not asked at the moment")
)

// outbox owns what waits for delivery. Its lock is held for moments, and calls nobody.
type outbox struct {
	ledger  *ledger.Ledger
	logger  *slog.Logger
	metrics *outboxMetrics
	counted *upstreamMetrics
	// record takes note of an attempt, or of a message that is given up.
	record func(m *message, id uint64, d Delivery, outcome ledger.Outcome, answer string)
	dead   *deadLetters
	// receiverData is what the notification log keeps for an integration, and keepData changes it.
	receiverData *receiverData
	settings     *atomic.Pointer[Settings]

	cut    context.Context // ends attempts that outstay Stop's patience
	cutNow context.CancelFunc
	work   sync.WaitGroup // attempts, and what is being written
	sweeps chan struct{}  // closed by stop
	behind chan struct{}  // has room for one: the ledger refused something

	mu      sync.Mutex
	ports   map[target]*port
	items   map[uint64]*item // in lanes and in the ledger, by ID
	owed    owed             // what the ledger refused
	count   int              // in lanes, or being written
	flying  int              // attempts under way
	running bool             // attempts may begin
	idle    chan struct{}    // closed when stopped and nothing is under way
	stopped bool
	rand    *rand.Rand
	lastSeq int64
	// fallback are the integrations of the fallback receiver.
	fallback []target
}

// port is one integration and all that waits for it.
type port struct {
	key target
	// via delivers. It is nil where the configuration in force has no such integration.
	via     *attempter
	circuit circuit
	// pausedUntil is until when it asked not to be bothered; limited counts how often in a row.
	pausedUntil time.Time
	limited     int
	flying      int
	lanes       map[string]*lane
	ready       laneHeap // lanes with something to deliver and nothing under way
	alarm       *time.Timer
}

// lane is the messages of one aggregation group to one integration, in order.
type lane struct {
	port   *port
	group  string
	items  []*item // the first is the one under way, if one is
	flying bool
	due    time.Time
	place  int // in the heap
}

// stored says where a message is.
type stored int

const (
	storing   stored = iota // it is being written
	inLedger                // it survives a restart
	notStored               // it could not be written: the pipeline waits for what becomes of it
)

// item is one message in the outbox. Its fields but delivered and words belong to the outbox's lock.
type item struct {
	msg *message
	// told is what the notification log says of it; it has no key where the ledger knows for good.
	told ledger.Told
	// words is held by who writes msg to the ledger, so that what is newest comes last. Those that take each other's place
	// share it.
	words chan struct{}
	// unwritten says that the ledger has older words of it. drops are what it took the place of and is there still.
	unwritten bool
	drops     []uint64
	counted   bool // as one that the ledger did not take

	id       uint64
	created  time.Time
	attempts int
	lastErr  string
	stored   stored
	out      bool      // of its lane: it is delivered or refused
	refused  error     // for good, before it was known whether it is stored
	refusals int       // how often it was refused and is tried again all the same
	failedAt time.Time // when it was last counted as failed
	claimed  bool      // is being sent to the fallback receiver
	// discarded says that a person had it forgotten while it was under way: it is not tried again.
	discarded bool
	next      time.Time

	tried     chan struct{} // made when the first attempt begins, closed when it has ended
	once      bool          // has ended
	delivered atomic.Bool
	decided   chan struct{} // closed when the pipeline need not wait any more
	retry     bool          // valid when decided, as err
	err       error
}

func (n *Notifier) newOutbox() *outbox {
	o := &outbox{
		ledger: n.opts.Ledger, logger: n.logger, metrics: n.metrics.outbox, counted: n.upstreamMetrics, record: n.recordAttempt,
		dead: newDeadLetters(func() { n.metrics.outbox.forgotten.WithLabelValues("dead_letter").Inc() }),
		owed: owed{limit: owedBytes}, behind: make(chan struct{}, 1),
		receiverData: &receiverData{n.told}, settings: &n.settings, ports: map[target]*port{}, items: map[uint64]*item{},
		sweeps: make(chan struct{}), idle: make(chan struct{}), rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
	}
	o.cut, o.cutNow = context.WithCancel(context.Background())
	return o
}

// accept takes a message from the pipeline and returns when the message is in the ledger, or delivered. Otherwise the
// pipeline keeps it, and is told whether to try again. told is what the notification log will say of it.
func (o *outbox) accept(ctx context.Context, m *message, told ledger.Told) (retry bool, err error) {
	it := newItem(m, time.Now(), storing)
	it.told = told
	replaces, err := o.put(it)
	if err != nil {
		o.metrics.failures.WithLabelValues(failureFull).Inc()
		return true, err
	}
	o.work.Go(func() {
		if replaces {
			_ = o.replace(it) // It is counted, and what was refused is owed.
		} else {
			o.letFirstEnd(it)
			_ = o.store(it)
		}
	})
	select {
	case <-it.decided:
		return it.retry, it.err
	case <-ctx.Done():
		return o.withdraw(ctx, it)
	}
}

// number returns the next message's number.
func (o *outbox) number(now time.Time) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastSeq = max(o.lastSeq+1, now.UnixNano())
	return o.lastSeq
}

// put places it in its lane and begins the first attempt, if its turn is now. It reports whether it took the place of one
// that said the same.
func (o *outbox) put(it *item) (replaces bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stopped {
		return false, errDraining
	}
	l := o.port(it.msg.target).lane(it.msg.lane().group)
	if last := len(l.items) - 1; last >= 0 && !(last == 0 && l.flying) && l.items[last].replaceableBy(it) {
		it.take(l.items[last])
		l.items[last], o.items[it.id] = it, it
		return true, nil
	}
	if o.count >= o.settings.Load().MaxWaiting {
		o.settleLane(l)
		return false, errOutboxFull
	}
	o.count++
	o.metrics.waiting.Set(float64(o.count))
	l.items = append(l.items, it)
	if len(l.items) == 1 {
		l.due = time.Now()
	}
	if refused := o.makeWay(l); refused != nil {
		o.work.Go(func() { o.giveUp(refused, deadRefused, "refused: "+refused.lastErr) })
	}
	o.settleLane(l)
	o.pump(l.port)
	return false, nil
}

// replaceableBy reports whether it waits, in the ledger, and next says the same. One that is just being sent to the fallback
// receiver is noted to be, and stays what it is meanwhile.
func (it *item) replaceableBy(next *item) bool {
	return it.stored == inLedger && !it.claimed && next.msg.repeats(it.msg)
}

// take gives it the place and the history of an older item that says the same.
func (it *item) take(older *item) {
	it.id, it.created, it.attempts, it.lastErr, it.next = older.id, older.created, older.attempts, older.lastErr, older.next
	it.refusals, it.words, it.drops = older.refusals, older.words, older.drops
	it.msg.FallbackSent = older.msg.FallbackSent
	// What it says is in the ledger already, if in other words: nothing is lost where those cannot be changed.
	it.stored = inLedger
	it.decide(false, nil)
}

func (it *item) decide(retry bool, err error) {
	select {
	case <-it.decided:
	default:
		it.retry, it.err = retry, err
		close(it.decided)
	}
}

func (o *outbox) port(key target) *port {
	p := o.ports[key]
	if p == nil {
		p = &port{key: key, lanes: map[string]*lane{}}
		o.ports[key] = p
	}
	return p
}

func (p *port) lane(group string) *lane {
	l := p.lanes[group]
	if l == nil {
		l = &lane{port: p, group: group, place: -1}
		p.lanes[group] = l
	}
	return l
}

// letFirstEnd returns at the end of an attempt that began at once, or after storeDelay.
func (o *outbox) letFirstEnd(it *item) {
	o.mu.Lock()
	tried := it.tried
	o.mu.Unlock()
	if tried == nil {
		return
	}
	delay := time.NewTimer(storeDelay)
	defer delay.Stop()
	select {
	case <-tried:
	case <-delay.C:
	}
}

func newItem(m *message, created time.Time, s stored) *item {
	return &item{msg: m, created: created, stored: s, words: make(chan struct{}, 1), decided: make(chan struct{})}
}

// store writes it into the ledger and does what came to be due meanwhile. Where that fails, it is owed.
func (o *outbox) store(it *item) error {
	payload, err := it.msg.encode()
	ids := []uint64{0}
	if err == nil {
		ids, err = o.ledger.ChangeOutbox(ledger.OutboxChange{
			Enqueue: []ledger.Notification{{Key: it.msg.lane().String(), Payload: payload, CreatedAt: it.created, NextAt: it.created}},
			Told:    []ledger.Told{it.told},
			Unless:  it.delivered.Load,
		})
	}
	if err != nil {
		o.notStored(it, err)
		return err
	}
	o.isStored(it, ids[0])
	return nil
}

// replace writes the newest words of a message that is in the ledger. Where that fails, the older ones say the same, and the
// newer ones are owed.
func (o *outbox) replace(it *item) error {
	it.words <- struct{}{}
	defer func() { <-it.words }()
	o.mu.Lock()
	if newer := o.items[it.id]; newer != nil && newer != it {
		o.mu.Unlock()
		return nil // Whoever put that in its place writes it next.
	}
	msg, drops := it.msg, it.drops
	change := ledger.OutboxChange{Settle: drops}
	if it.told.Key != "" {
		change.Told = []ledger.Told{it.told}
	}
	o.mu.Unlock()
	payload, err := msg.encode()
	if err == nil {
		change.Replace = []ledger.Replacement{{ID: it.id, Payload: payload}}
		_, err = o.ledger.ChangeOutbox(change)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case err == nil:
		it.unwritten, it.drops = false, it.drops[len(drops):]
		return nil
	case it.out:
		o.owe(it.told)
	default:
		it.unwritten = true
		o.fallBehind()
	}
	o.countRefused(it, err)
	return err
}

// countRefused counts each message once that the ledger does not take. The lock is held.
func (o *outbox) countRefused(it *item, err error) {
	if it.counted {
		return
	}
	it.counted = true
	reason := failureOther
	if errors.Is(err, ledger.ErrNotDurable) {
		reason = failureNotDurable
	}
	o.metrics.failures.WithLabelValues(reason).Inc()
}

// isStored goes on with an item that is in the ledger under id, or, with 0, need not be there.
func (o *outbox) isStored(it *item, id uint64) {
	o.mu.Lock()
	it.stored, it.id = inLedger, id
	it.decide(false, nil)
	out, refused, attempts := it.out, it.refused, it.attempts
	if id != 0 && !out {
		o.items[id] = it
	}
	o.mu.Unlock()
	switch {
	case out && refused != nil:
		o.bury(it, refused.Error())
	case out:
		o.settle(it)
	case attempts > 0:
		o.postpone(it)
	}
}

// notStored leaves an item to the pipeline, which waits for what becomes of it, and to catchUp.
func (o *outbox) notStored(it *item, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.countRefused(it, err)
	it.stored = notStored
	p := o.port(it.msg.target)
	l := p.lane(it.msg.lane().group)
	switch {
	case it.out && it.refused == nil:
		o.owe(it.told)
		o.gone(1)
		return
	case it.refused != nil:
		o.gone(1)
		it.decide(false, it.refused)
		return
	case len(l.items) > 0 && l.items[0] == it && l.flying:
		o.fallBehind()
		return // finished decides, if there is no room before.
	case it.attempts > 0:
		it.decide(true, errors.New(it.lastErr))
	case !p.open(time.Now()):
		it.decide(true, errNotAsked)
	default:
		o.fallBehind()
		return // Its turn comes, or room.
	}
	o.remove(l, it)
}

// withdraw takes it back where the pipeline has no more time, and it is neither stored nor under way.
func (o *outbox) withdraw(ctx context.Context, it *item) (bool, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case <-it.decided:
		return it.retry, it.err
	default:
	}
	if it.stored == notStored {
		l := o.port(it.msg.target).lane(it.msg.lane().group)
		if !l.flying || l.items[0] != it {
			o.remove(l, it)
		}
	}
	return true, context.Cause(ctx)
}

// remove takes an item that is not under way out of its lane.
func (o *outbox) remove(l *lane, it *item) {
	for i, other := range l.items {
		if other == it {
			l.items = append(l.items[:i:i], l.items[i+1:]...)
			o.gone(1)
			break
		}
	}
	o.settleLane(l)
}

// settleLane forgets a lane that is empty, and has one that is not in the heap where it belongs there.
func (o *outbox) settleLane(l *lane) {
	switch {
	case l.flying:
	case len(l.items) == 0:
		if l.place >= 0 {
			heap.Remove(&l.port.ready, l.place)
		}
		delete(l.port.lanes, l.group)
	case l.place < 0:
		heap.Push(&l.port.ready, l)
	}
}

// gone counts items that the outbox has done with.
func (o *outbox) gone(n int) {
	o.count -= n
	o.metrics.waiting.Set(float64(o.count))
}
