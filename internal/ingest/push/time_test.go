package push

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

// TestManyGroupsStayInThePresent: samples from the future are not seen by rules and queries until their time has come,
// so stating many groups at once must not run ahead of the clock.
func TestManyGroupsStayInThePresent(t *testing.T) {
	db := newDB(t)
	g := newGateway(t, Options{Appendable: db, MaxGroups: 2000})
	for i := range 1000 {
		put(t, g, fmt.Sprintf("/metrics/job/many/id/%d", i), "a 1\n")
	}
	for range 3 {
		g.restate(t.Context())
	}
	for i := range 500 {
		do(g, "DELETE", fmt.Sprintf("/metrics/job/many/id/%d", i), "")
	}
	put(t, g, "/metrics/job/many/id/again", "a 1\n")
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer q.Close()
	ss := q.Select(t.Context(), false, nil, labels.MustNewMatcher(labels.MatchEqual, "job", "many"))
	limit := time.Now().UnixMilli() + 10 // as many batches of one group may fall into a millisecond
	n := 0
	for ss.Next() {
		it := ss.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			n++
			require.LessOrEqual(t, it.AtT(), limit, "%s has a sample from the future", ss.At().Labels())
		}
	}
	require.NoError(t, ss.Err())
	require.Greater(t, n, 4000)
}
