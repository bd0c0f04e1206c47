package history

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/tsdbutil"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/series"
	"github.com/tocsin/tocsin/internal/tenant"
)

// observer keeps deep copies of what it saw, since batches are valid during the call only.
type observer struct {
	mu      sync.Mutex
	batches [][]Sample
	tenants []tenant.ID
}

func (o *observer) see(ctx context.Context, batch []Sample) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.batches = append(o.batches, append([]Sample(nil), batch...))
	o.tenants = append(o.tenants, tenant.FromContext(ctx))
}

func TestObserverSeesWhatWasCommitted(t *testing.T) {
	var seen observer
	s := open(t, Options{OnCommit: seen.see, Tenant: "team-a", Limits: series.Limits{ValueLength: 5}})
	now := time.Now().UnixMilli()
	h, fh := tsdbutil.GenerateTestHistogram(3), tsdbutil.GenerateTestFloatHistogram(4)

	app := s.AppenderV2(t.Context())
	one, err := app.Append(0, metric("one"), 0, now, 1, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	_, err = app.Append(0, metric("toolong"), 0, now, 1, nil, nil, storage.AOptions{})
	require.Error(t, err)
	_, err = app.Append(0, metric("hist"), 0, now, 0, h, nil, storage.AOptions{})
	require.NoError(t, err)
	_, err = app.Append(0, metric("fhist"), 0, now, 0, nil, fh, storage.AOptions{})
	require.NoError(t, err)
	// A sample whose exemplar is refused is in, and says so with a partial error.
	ref, err := app.Append(one, metric("one"), 0, now+1, 2, nil, nil, storage.AOptions{
		Exemplars: []exemplar.Exemplar{{Labels: labels.FromStrings("trace", strings.Repeat("x", 200)), Ts: now, HasTs: true}}})
	require.ErrorIs(t, err, &storage.AppendPartialError{})
	require.Equal(t, one, ref)
	require.Empty(t, seen.batches, "nothing is seen before the commit")
	require.NoError(t, app.Commit())

	require.Len(t, seen.batches, 1)
	require.Equal(t, []tenant.ID{"team-a"}, seen.tenants)
	got := seen.batches[0]
	require.Len(t, got, 4)
	require.Equal(t, Sample{Ref: one, Labels: metric("one"), T: now, V: 1}, got[0])
	require.Same(t, h, got[1].H)
	require.Same(t, fh, got[2].FH)
	require.Equal(t, Sample{Ref: one, Labels: metric("one"), T: now + 1, V: 2}, got[3])
	require.EqualValues(t, 4, testutil.ToFloat64(s.metrics.appended))

	// Rolled back and empty batches are not seen; a pooled buffer brings nothing of the past along.
	app = s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("one"), 0, now+2, 3, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	require.NoError(t, app.Rollback())
	require.NoError(t, s.AppenderV2(t.Context()).Commit())
	v1 := s.Appender(t.Context())
	_, err = v1.Append(0, metric("two"), now, 7)
	require.NoError(t, err)
	_, err = v1.AppendHistogram(0, metric("hist"), now+1, h, nil)
	require.NoError(t, err)
	require.NoError(t, v1.Commit())
	require.Len(t, seen.batches, 2)
	require.Len(t, seen.batches[1], 2)
	require.Equal(t, 7.0, seen.batches[1][0].V)
	require.Same(t, h, seen.batches[1][1].H)
}

func TestObserverIsCalledAfterSamplesAreVisible(t *testing.T) {
	var s *Store
	calls := 0
	s = open(t, Options{OnCommit: func(context.Context, []Sample) {
		calls++
		require.NotEmpty(t, read(t, s, "m"))
	}})
	write(t, s, time.Now(), 1, "m")
	require.Equal(t, 1, calls)
}

func TestFailedCommitIsReportedAndNotObserved(t *testing.T) {
	var seen observer
	s, err := Open(Options{Dir: t.TempDir(), OnCommit: seen.see})
	require.NoError(t, err)
	app := s.AppenderV2(t.Context())
	_, err = app.Append(0, metric("m"), 0, time.Now().UnixMilli(), 1, nil, nil, storage.AOptions{})
	require.NoError(t, err)
	// The nearest that a test gets to a disk that fails: the log's file is gone from under the appender.
	require.NoError(t, s.Close())
	err = app.Commit()
	require.ErrorContains(t, err, s.dir)
	require.Empty(t, seen.batches)
	require.EqualValues(t, 1, testutil.ToFloat64(s.metrics.commitFailures))
	require.Zero(t, testutil.ToFloat64(s.metrics.appended))
}

func TestUnobservedAppendsRecordNothing(t *testing.T) {
	s := open(t, Options{})
	app := s.AppenderV2(t.Context())
	defer func() { require.NoError(t, app.Rollback()) }()
	require.Nil(t, app.(*appenderV2).batch)
}
