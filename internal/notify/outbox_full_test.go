package notify

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/sim"
)

// bubble is a Notifier in fake time whose disk can be full, and whose process can die.
type bubble struct {
	t      *testing.T
	repeat string // the route's repeat_interval
	dir    string
	net    *sim.Network
	hook   *sim.Webhook
	caller *sim.Caller
	full   *atomic.Bool // of this life
	ledger *ledger.Ledger
	reg    *prometheus.Registry
	n      *Notifier
}

// inBubble runs f with a Notifier that has just begun, and a receiver that takes everything.
func inBubble(t *testing.T, repeat string, f func(b *bubble)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{t: t, repeat: repeat, dir: dir, net: &sim.Network{}}
		l, err := b.net.Listen("hook.example:80")
		require.NoError(t, err)
		b.hook = sim.NewWebhookOn(l)
		b.start()
		defer func() {
			b.end()
			require.NoError(t, b.hook.Close())
		}()
		f(b)
	})
}

func (b *bubble) start() {
	b.t.Helper()
	full := &atomic.Bool{}
	fault := func() error {
		if full.Load() {
			return errors.New("no space left, says the test")
		}
		return nil
	}
	var err error
	b.ledger, err = ledger.Open(ledger.Options{Dir: b.dir, Fault: fault})
	require.NoError(b.t, err)
	b.full, b.caller, b.reg = full, &sim.Caller{Network: b.net}, prometheus.NewRegistry()
	b.n, err = New(Options{
		Ledger: b.ledger, Registerer: b.reg, Settings: Settings{MinBackoff: time.Second, MaxBackoff: 10 * time.Second}, Dial: b.caller.Dial,
		DrainTimeout: time.Millisecond,
	})
	require.NoError(b.t, err)
	require.NoError(b.t, b.n.Apply(load(b.t, fmt.Sprintf(`
route: {receiver: hook, group_by: [alertname], group_wait: 0s, group_interval: 10s, repeat_interval: %s}
receivers:
- name: hook
  webhook_configs: [{url: 'http://hook.example:80/', timeout: 5m}]
`, b.repeat))))
	b.n.Start()
}

func (b *bubble) end() {
	b.n.Stop()
	b.caller.Kill()
	_ = b.ledger.Close() // What a full disk did not take is lost, and that is said.
	synctest.Wait()
}

// crash kills the process and starts it on what is on disk. No notification log is kept beside the ledger.
func (b *bubble) crash() {
	b.t.Helper()
	synctest.Wait()
	left := snapshotDir(b.t, b.dir)
	b.caller.Kill()
	b.end()
	b.dir = left
	b.start()
}

// room makes room on the disk and returns as soon as the ledger can write.
func (b *bubble) room() {
	b.t.Helper()
	b.full.Store(false)
	<-b.ledger.Writable()
	synctest.Wait()
	ok, why := b.ledger.Healthy()
	require.True(b.t, ok, why)
	require.Zero(b.t, metric(b.t, b.reg, "tocsin_notify_outbox_told_unwritten"))
}

// pass lets time pass.
func (b *bubble) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// told is what the receiver took, in order.
func (b *bubble) told() string {
	var all []string
	for _, a := range b.hook.Alerts() {
		all = append(all, a.Labels["alertname"]+" "+a.Status)
	}
	return strings.Join(all, ", ")
}

func (b *bubble) waiting() []ledger.Notification {
	b.t.Helper()
	w, err := b.ledger.Waiting()
	require.NoError(b.t, err)
	return w
}

// What a full disk refused and was told all the same is written when there is room: nobody is told twice of what fires, and
// that it ended is told.
func TestToldOnAFullDiskIsWritten(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.full.Store(true)
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		require.Equal(t, "A firing", b.told())
		require.Equal(t, 1.0, metric(t, b.reg, "tocsin_notify_outbox_told_unwritten"))
		b.room()
		b.crash()
		send(b.n, a)
		b.pass(time.Minute)
		require.Equal(t, "A firing", b.told(), "it was told before")
		send(b.n, over(a))
		b.pass(time.Minute)
		require.Equal(t, "A firing, A resolved", b.told())
		require.Empty(t, b.waiting())
	})
}

// Only the newest of a lane is written, and in the place of what stood there: an alert that came and went on the full disk is
// told of when it comes again.
func TestOnlyTheNewestIsWritten(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		b.full.Store(true)
		send(b.n, over(a))
		b.pass(30 * time.Second)
		send(b.n, firing("A"))
		b.pass(30 * time.Second)
		send(b.n, over(a))
		b.pass(30 * time.Second)
		require.Equal(t, "A firing, A resolved, A firing, A resolved", b.told())
		require.Equal(t, 1.0, metric(t, b.reg, "tocsin_notify_outbox_told_unwritten"))
		b.room()
		b.crash()
		send(b.n, firing("A"))
		b.pass(30 * time.Second)
		require.Equal(t, "A firing, A resolved, A firing, A resolved, A firing", b.told())
	})
}

// A message that is under way when there is room again is put into the outbox: the next process delivers it, though nobody
// sends the alert any more.
func TestUnderWayOnAFullDiskIsKept(t *testing.T) {
	for name, trouble := range map[string]sim.Behaviour{"hangs": {Hang: true}, "refuses": {Status: http.StatusServiceUnavailable}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, "1h", func(b *bubble) {
				b.full.Store(true)
				a := firing("A")
				send(b.n, a)
				b.pass(30 * time.Second)
				b.hook.Always(trouble)
				send(b.n, over(a))
				b.pass(15 * time.Second)
				require.Equal(t, "A firing", b.told())
				b.room()
				if trouble.Status != 0 {
					b.pass(20 * time.Second) // Between two attempts it is the pipeline's.
				}
				require.NotEmpty(t, b.waiting(), "without waiting for what comes of the attempt")
				b.crash()
				b.hook.Always(sim.Behaviour{})
				b.pass(30 * time.Second)
				require.Equal(t, "A firing, A resolved", b.told())
				require.Empty(t, b.waiting())
			})
		})
	}
}

// A message that comes to be delivered while it is being put into the outbox after all is not there.
func TestDeliveredAfterRoom(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.full.Store(true)
		b.hook.Always(sim.Behaviour{Delay: 7 * time.Second})
		a := firing("A")
		send(b.n, a)
		b.pass(time.Second)
		b.room()
		require.Len(t, b.waiting(), 1)
		b.pass(time.Minute)
		require.Empty(t, b.waiting())
		require.Zero(t, metric(t, b.reg, "tocsin_notify_outbox_waiting"))
		b.hook.Always(sim.Behaviour{})
		b.crash()
		send(b.n, a)
		b.pass(time.Minute)
		require.Equal(t, "A firing", b.told())
	})
}

// A crash while the disk is full loses what it did not take: that is all that is lost.
func TestCrashOnAFullDisk(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.full.Store(true)
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		b.crash()
		send(b.n, a)
		b.pass(30 * time.Second)
		require.Equal(t, "A firing, A firing", b.told())
	})
}

// A ledger that says that it can write and does not is asked less and less often, and what is owed stays.
func TestRoomThatIsNone(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.full.Store(true)
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		for range 5 {
			b.full.Store(false)
			<-b.ledger.Writable()
			b.full.Store(true)
			b.pass(30 * time.Second)
		}
		b.full.Store(false)
		b.pass(30 * time.Second)
		require.Zero(t, metric(t, b.reg, "tocsin_notify_outbox_told_unwritten"))
		b.crash()
		send(b.n, a)
		b.pass(30 * time.Second)
		require.Equal(t, "A firing", b.told())
	})
}

// What keeps a group from being told anew, while its repeats are muted, is written when there is room, too.
func TestProlongedAfterAFullDisk(t *testing.T) {
	inBubble(t, "1m", func(b *bubble) {
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		_, err := b.n.Acknowledge(ledger.Ack{Labels: a.Labels, Owner: "ann"})
		require.NoError(t, err)
		expires := func() time.Time {
			all, err := b.ledger.Told()
			require.NoError(t, err)
			require.Len(t, all, 1)
			return all[0].Expires
		}
		before := expires()
		b.full.Store(true)
		b.pass(time.Minute)
		require.Equal(t, before, expires())
		b.room()
		b.pass(10 * time.Second)
		require.Greater(t, expires().Sub(before), 24*time.Hour)
	})
}

// A clock that was set back between two lives does not make what is told then look out of date.
func TestClockSetBack(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		ahead := time.Now().Add(time.Hour).UnixNano()
		b.n.outbox.mu.Lock()
		b.n.outbox.lastSeq = ahead
		b.n.outbox.mu.Unlock()
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		b.crash()
		b.hook.Always(sim.Behaviour{Status: http.StatusServiceUnavailable})
		send(b.n, over(a))
		b.pass(30 * time.Second)
		require.Greater(t, b.words().Seq, ahead)
		b.crash()
		b.hook.Always(sim.Behaviour{})
		b.pass(30 * time.Second)
		require.Equal(t, "A firing, A resolved", b.told())
	})
}

func TestOwedIsBounded(t *testing.T) {
	told := func(key string, data string) ledger.Told { return ledger.Told{Key: key, Data: []byte(data)} }
	o := owed{limit: 10}
	require.Zero(t, o.add(told("a", "2xx")))
	require.Zero(t, o.add(told("a", "1xx")), "older")
	require.Zero(t, o.add(told("a", "3xx")))
	require.Zero(t, o.add(told("b", "1xx")))
	require.Equal(t, 8, o.bytes)
	require.ElementsMatch(t, []ledger.Told{told("a", "3xx"), told("b", "1xx")}, o.some(3))
	require.Len(t, o.some(1), 1)
	require.Equal(t, 1, o.add(told("c", "1xx")))
	require.Equal(t, 8, o.bytes)
	require.Contains(t, o.told, "c", "the newest stays")
	require.Equal(t, 1, o.add(told("c", "1xxxxxx")), "it grew")
	require.Equal(t, 8, o.bytes)
	o.written([]ledger.Told{told("c", "1xx")})
	require.Equal(t, []ledger.Told{told("c", "1xxxxxx")}, o.some(3), "what was written is older")
	o.written(o.some(3))
	require.Zero(t, o.bytes)
	require.Empty(t, o.told)
}
