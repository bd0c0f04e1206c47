package ledger

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestChangeOutbox(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	now := l.opts.Now()
	told := func(data string) []Told {
		return []Told{{Key: "team/webhook/0/{}", Data: []byte(data), Expires: now.Add(time.Hour)}}
	}
	ids, err := l.ChangeOutbox(OutboxChange{Enqueue: []Notification{{Key: "a", Payload: []byte("1")}, {Key: "b"}}, Told: told("x")})
	require.NoError(t, err)
	require.Equal(t, []uint64{1, 2}, ids)

	ids, err = l.ChangeOutbox(OutboxChange{
		Enqueue: []Notification{{Key: "a", Payload: []byte("lost")}}, Told: told("y"), Bury: []Burial{{ID: 2, Error: "too old", Attempts: 3}},
		Unless: func() bool { return true },
	})
	require.NoError(t, err)
	require.Equal(t, []uint64{0}, ids, "delivered meanwhile")

	require.NoError(t, l.Postpone(1, now.Add(time.Second), "503"))
	ids, err = l.ChangeOutbox(OutboxChange{
		Enqueue: []Notification{{Key: "c"}}, Replace: []Replacement{{1, []byte("2")}, {77, []byte("gone")}},
	})
	require.NoError(t, err)
	require.Equal(t, []uint64{3}, ids)
	_, err = l.ChangeOutbox(OutboxChange{Settle: []uint64{3, 77}})
	require.NoError(t, err)
	_, err = l.Notification(3)
	require.ErrorIs(t, err, ErrNoSuchEntry)

	for range 2 {
		first, err := l.Notification(1)
		require.NoError(t, err)
		require.Equal(t, Notification{
			ID: 1, Key: "a", Payload: []byte("2"), CreatedAt: now, NextAt: now.Add(time.Second), Attempts: 1, LastError: "503",
		}, first)
		dead, err := l.Dead()
		require.NoError(t, err)
		require.Len(t, dead, 1)
		require.Equal(t, "too old", dead[0].LastError)
		require.Equal(t, 3, dead[0].Attempts)
		kept, err := l.Told()
		require.NoError(t, err)
		require.Equal(t, told("y"), kept)
		require.NoError(t, l.Close())
		l = openAt(t, dir)
	}
	require.NoError(t, l.ProlongTold("team/webhook/0/{}", now.Add(30*time.Minute)), "no shorter")
	require.NoError(t, l.ProlongTold("nobody", now.Add(time.Hour)))
	_, err = l.Notification(99)
	require.ErrorIs(t, err, ErrNoSuchEntry)
	require.NoError(t, l.Close())

	l = openAt(t, dir, func(o *Options) { o.Now = func() time.Time { return now.Add(59 * time.Minute) } })
	require.NoError(t, l.ProlongTold("team/webhook/0/{}", now.Add(119*time.Minute)))
	require.NoError(t, l.Close())
	l = openAt(t, dir, func(o *Options) { o.Now = func() time.Time { return now.Add(90 * time.Minute) } })
	kept, err := l.Told()
	require.NoError(t, err)
	require.Len(t, kept, 1)
	require.NoError(t, l.Close())

	l = openAt(t, dir, func(o *Options) { o.Now = func() time.Time { return now.Add(2 * time.Hour) } })
	kept, err = l.Told()
	require.NoError(t, err)
	require.Empty(t, kept, "expired")
	require.NoError(t, l.keeper.retain())
	var rows int
	require.NoError(t, l.db.reader.QueryRow("SELECT count(*) FROM told").Scan(&rows))
	require.Zero(t, rows)
	require.NoError(t, l.Close())
}

// A change that nobody waits for any more is not done when the disk comes back: the caller has done it otherwise.
func TestChangeGivenUpIsNotDone(t *testing.T) {
	l := openTest(t, func(o *Options) { o.CommitTimeout = 20 * time.Millisecond })
	blocked, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = l.change(func(*session) error { close(blocked); <-release; return nil })
	}()
	<-blocked
	_, err := l.ChangeOutbox(OutboxChange{Enqueue: []Notification{{Key: "late"}}})
	require.ErrorIs(t, err, ErrNotDurable)
	close(release)
	require.Eventually(t, func() bool { return l.Settle(1) == nil }, 10*time.Second, time.Millisecond)
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Empty(t, waiting)
}

func TestChangeOutboxFails(t *testing.T) {
	l := openTest(t)
	breakDisk(t, l, errors.New("no room"))
	_, err := l.ChangeOutbox(OutboxChange{Enqueue: []Notification{{Key: "a"}}, Told: []Told{{Key: "k"}}})
	require.ErrorIs(t, err, ErrNotDurable)
	breakDisk(t, l, nil)
	eventuallyHealthy(t, l)
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Empty(t, waiting, "the caller has it still")
}

func TestRecurringIsKept(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	for i, data := range []string{"a", "b"} {
		id, err := l.AddRecurring([]byte(data))
		require.NoError(t, err)
		require.EqualValues(t, i+1, id)
	}
	require.NoError(t, l.DeleteRecurring(1))
	require.ErrorIs(t, l.DeleteRecurring(1), ErrNoSuchEntry)
	require.NoError(t, l.Close())
	l = openAt(t, dir)
	all, err := l.AllRecurring()
	require.NoError(t, err)
	require.Equal(t, []Recurring{{ID: 2, Data: []byte("b")}}, all)
	require.NoError(t, l.Close())
}

// A dead letter takes the place of an older one, unless that waits again.
func TestBurialInPlaceOf(t *testing.T) {
	l := openAt(t, t.TempDir())
	defer func() { require.NoError(t, l.Close()) }()
	ids, err := l.ChangeOutbox(OutboxChange{Enqueue: []Notification{{Key: "a"}, {Key: "a"}, {Key: "a"}}})
	require.NoError(t, err)
	bury := func(id, inPlaceOf uint64) {
		t.Helper()
		_, err := l.ChangeOutbox(OutboxChange{Bury: []Burial{{ID: id, Error: "refused", Attempts: 1, InPlaceOf: inPlaceOf}}})
		require.NoError(t, err)
	}
	bury(ids[0], 0)
	bury(ids[1], ids[0])
	dead, err := l.Dead()
	require.NoError(t, err)
	require.Len(t, dead, 1)
	require.Equal(t, ids[1], dead[0].ID)

	require.NoError(t, l.Revive(ids[1]))
	bury(ids[2], ids[1])
	waiting, err := l.Waiting()
	require.NoError(t, err)
	require.Len(t, waiting, 1)
	require.Equal(t, ids[1], waiting[0].ID)
}

// Of what a receiver was told the newest stays, in whatever order it is written.
func TestToldDoesNotGoBack(t *testing.T) {
	dir := t.TempDir()
	l := openAt(t, dir)
	now := l.opts.Now()
	write := func(l *Ledger, data string, expires time.Time) {
		t.Helper()
		_, err := l.ChangeOutbox(OutboxChange{Told: []Told{{Key: "k", Data: []byte(data), Expires: expires}}})
		require.NoError(t, err)
	}
	said := func(l *Ledger) string {
		t.Helper()
		all, err := l.Told()
		require.NoError(t, err)
		require.Len(t, all, 1)
		return string(all[0].Data)
	}
	write(l, "2x", now.Add(time.Minute))
	write(l, "1zz", now.Add(time.Hour))
	require.Equal(t, "2x", said(l))
	write(l, "3", now.Add(time.Minute))
	require.Equal(t, "3", said(l))
	require.NoError(t, l.Close())

	l = openAt(t, dir, func(o *Options) { o.Now = func() time.Time { return now.Add(2 * time.Minute) } })
	write(l, "1", now.Add(time.Hour))
	require.Equal(t, "1", said(l), "the newer one had expired")
	require.NoError(t, l.Close())
}
