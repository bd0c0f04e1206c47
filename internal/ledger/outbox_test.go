package ledger

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOutbox(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	now := l.opts.Now()
	n := Notification{Key: "team/webhook/0/{}", Payload: []byte("alerts"), NextAt: now.Add(time.Minute)}
	first, err := l.Enqueue(n)
	require.NoError(t, err)
	second, err := l.Enqueue(Notification{Key: "b", CreatedAt: now.Add(-time.Hour)})
	require.NoError(t, err)
	require.Greater(t, second, first)

	waiting, err := l.Waiting()
	require.NoError(t, err)
	n.ID, n.CreatedAt = first, now
	require.Equal(t, n, waiting[1], "what is due first is first")
	require.Equal(t, second, waiting[0].ID)

	require.NoError(t, l.Postpone(first, now.Add(time.Second), "503"))
	require.NoError(t, l.Postpone(first, now.Add(2*time.Second), "504"))
	require.NoError(t, l.Bury(second, "too old"))
	for range 2 {
		waiting, err = l.Waiting()
		require.NoError(t, err)
		n.Attempts, n.NextAt, n.LastError = 2, now.Add(2*time.Second), "504"
		require.Equal(t, []Notification{n}, waiting)
		dead, err := l.Dead()
		require.NoError(t, err)
		require.Equal(t, []Notification{{ID: second, Key: "b", CreatedAt: now.Add(-time.Hour), State: DeadLetter, LastError: "too old"}}, dead)
		require.NoError(t, l.Close())
		l = openAt(t, dir)
	}
	require.NoError(t, l.Revive(second))
	require.NoError(t, l.Settle(first))
	require.NoError(t, l.Settle(first), "settling is done once or twice")
	waiting, err = l.Waiting()
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, []any{second, now, 0}, []any{waiting[0].ID, waiting[0].NextAt, waiting[0].Attempts})
	require.NoError(t, l.Settle(second))
	require.ErrorIs(t, l.Postpone(second, now, ""), ErrNoSuchEntry)
	require.ErrorIs(t, l.Bury(second, ""), ErrNoSuchEntry)
	require.ErrorIs(t, l.Revive(second), ErrNoSuchEntry)
	require.NoError(t, l.Close())

	l = openAt(t, dir)
	third, err := l.Enqueue(Notification{Key: "c"})
	require.NoError(t, err)
	require.Greater(t, third, second, "an ID is never given twice")
	require.NoError(t, l.Close())
}

func TestAcks(t *testing.T) {
	now := start()
	l := openTest(t, func(o *Options) { o.Now = func() time.Time { return now } })
	a, err := l.Acknowledge(Ack{Labels: labelsOf(1), Owner: "ada", Comment: "looking", Until: now.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, Ack{ID: 1, Labels: labelsOf(1), Owner: "ada", Comment: "looking", At: now, Until: now.Add(time.Hour)}, a)
	b, err := l.Acknowledge(Ack{Labels: labelsOf(2), Owner: "bob"})
	require.NoError(t, err)
	current := func() []Ack {
		acks, err := l.Acks()
		require.NoError(t, err)
		return acks
	}
	require.Equal(t, []Ack{a, b}, current())

	now = now.Add(time.Minute)
	c, err := l.Acknowledge(Ack{Labels: labelsOf(2), Owner: "cy"})
	require.NoError(t, err)
	require.Equal(t, []Ack{a, c}, current(), "the later word on an alert counts")
	now = now.Add(time.Hour)
	require.Equal(t, []Ack{c}, current(), "one that is over does not count")
	require.NoError(t, l.Unacknowledge(c.ID))
	require.ErrorIs(t, l.Unacknowledge(c.ID), ErrNoSuchEntry)
	require.Empty(t, current())
	b.EndedAt, c.EndedAt = start().Add(time.Minute), now
	kept, err := l.acks("")
	require.NoError(t, err)
	require.Equal(t, []Ack{a, b, c}, kept, "until retention")
}
