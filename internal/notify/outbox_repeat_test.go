package notify

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/ledger"
	"github.com/tocsin/tocsin/internal/sim"
)

// words is what the ledger holds of the one message that waits, and what it says of its lane: the numbers must agree.
func (b *bubble) words() *message {
	b.t.Helper()
	waiting := b.waiting()
	require.Len(b.t, waiting, 1)
	m, err := decodeMessage(waiting[0].Payload)
	require.NoError(b.t, err)
	all, err := b.ledger.Told()
	require.NoError(b.t, err)
	require.Len(b.t, all, 1)
	seq, _, err := parseTold(all[0].Data)
	require.NoError(b.t, err)
	require.Equal(b.t, m.Seq, seq, "the message would look out of date")
	return m
}

// What repeats a message that waits takes its place in the ledger as soon as there is room, with what the notification log
// says of it. A crash then tells it once.
func TestRepeatOnAFullDisk(t *testing.T) {
	inBubble(t, "1m", func(b *bubble) {
		b.hook.Always(sim.Behaviour{Status: http.StatusServiceUnavailable})
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		first := b.words()
		b.full.Store(true)
		b.pass(time.Minute)
		require.Equal(t, first.Seq, b.words().Seq, "the older words say the same")
		b.room()
		second := b.words()
		require.Greater(t, second.Seq, first.Seq)
		require.Equal(t, "repeat interval elapsed", second.Reason)
		b.crash()
		b.hook.Always(sim.Behaviour{})
		send(b.n, a)
		b.pass(25 * time.Second)
		require.Equal(t, "A firing", b.told())
	})
}

// A repeat that took the place of what waited, and was delivered before it could be written, counts as the last one told.
func TestRepeatDeliveredOnAFullDisk(t *testing.T) {
	inBubble(t, "5m", func(b *bubble) {
		b.hook.Always(sim.Behaviour{Status: http.StatusServiceUnavailable})
		a := firing("A")
		send(b.n, a)
		b.pass(30 * time.Second)
		b.full.Store(true)
		b.pass(5 * time.Minute)
		b.hook.Always(sim.Behaviour{})
		b.pass(30 * time.Second)
		require.Equal(t, "A firing", b.told())
		b.room()
		require.Empty(t, b.waiting())
		b.crash()
		send(b.n, a)
		b.pass(2 * time.Minute)
		require.Equal(t, "A firing", b.told(), "it was told minutes ago")
	})
}

// The same where the repeat waited behind a message that was under way, and takes its place when that fails.
func TestRepeatBehindOnAFullDisk(t *testing.T) {
	for _, deliver := range []bool{false, true} {
		t.Run(fmt.Sprint(deliver), func(t *testing.T) {
			inBubble(t, "5m", func(b *bubble) {
				b.hook.Always(sim.Behaviour{Hang: true})
				a := firing("A")
				send(b.n, a)
				b.pass(5 * time.Second)
				first := b.words()
				for end := time.Now().Add(time.Hour); len(b.waiting()) < 2; b.pass(time.Second) {
					require.True(t, time.Now().Before(end))
				}
				b.full.Store(true)
				b.hook.Always(sim.Behaviour{Status: http.StatusServiceUnavailable})
				b.pass(20 * time.Second)
				require.Len(t, b.waiting(), 2)
				if deliver {
					b.hook.Always(sim.Behaviour{})
					b.pass(30 * time.Second)
					require.Equal(t, "A firing", b.told())
					b.room()
					require.Empty(t, b.waiting())
				} else {
					b.room()
					require.Greater(t, b.words().Seq, first.Seq)
				}
				b.crash()
				b.hook.Always(sim.Behaviour{})
				send(b.n, a)
				b.pass(25 * time.Second)
				require.Equal(t, "A firing", b.told())
			})
		})
	}
}

// again has what the one message that waits says said once more, as a flush of its group would.
func (b *bubble) again(last *message) *item {
	b.t.Helper()
	m := *last
	m.Seq = b.n.outbox.number(time.Now())
	told, err := b.n.told.of(&m, time.Now())
	require.NoError(b.t, err)
	it := newItem(&m, time.Now(), storing)
	it.told = told
	replaces, err := b.n.outbox.put(it)
	require.NoError(b.t, err)
	if !replaces {
		require.NoError(b.t, b.n.outbox.store(it))
	}
	return it
}

// A repeat of which the ledger has older words may itself take the place of what it waits behind.
func TestRepeatOfARepeatOnAFullDisk(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.hook.Always(sim.Behaviour{Hang: true})
		send(b.n, firing("A"))
		b.pass(5 * time.Second)
		first := b.words()
		b.again(first)
		b.full.Store(true)
		last := b.again(first)
		require.ErrorIs(t, b.n.outbox.replace(last), ledger.ErrNotDurable)
		b.pass(10 * time.Second)
		require.Len(t, b.waiting(), 2)
		b.room()
		require.Equal(t, last.msg.Seq, b.words().Seq)
	})
}

// Words that were replaced twice in a row are the newest ones in the ledger, whichever is written first.
func TestReplacementsKeepTheirOrder(t *testing.T) {
	inBubble(t, "1m", func(b *bubble) {
		b.hook.Always(sim.Behaviour{Status: http.StatusServiceUnavailable})
		send(b.n, firing("A"))
		b.pass(30 * time.Second)
		o, first := b.n.outbox, b.words()
		writes := []*item{b.again(first), b.again(first)}
		require.NoError(t, o.replace(writes[1]))
		require.NoError(t, o.replace(writes[0]))
		require.Equal(t, writes[1].msg.Seq, b.words().Seq)
	})
}

// A crash while a repeat waits behind a message that is under way: what both say is told once, in the later words.
func TestRepeatBehindIsToldOnce(t *testing.T) {
	inBubble(t, "1h", func(b *bubble) {
		b.hook.Always(sim.Behaviour{Hang: true})
		send(b.n, firing("A"))
		b.pass(5 * time.Second)
		last := b.again(b.words())
		require.Len(t, b.waiting(), 2)
		b.crash()
		b.pass(time.Second)
		require.Equal(t, last.msg.Seq, b.words().Seq)
		b.hook.Always(sim.Behaviour{})
		b.pass(time.Minute)
		require.Equal(t, "A firing", b.told())
		require.Empty(t, b.waiting())
	})
}
