package remotewrite

import (
	"context"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/golang/snappy"
	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	config_util "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"
)

// TestUpstreamClient lets upstream's own sender write over a socket and read the answers.
func TestUpstreamClient(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	server := httptest.NewServer(NewHandler(Options{Appendable: db}))
	defer server.Close()
	u, err := url.Parse(server.URL)
	require.NoError(t, err)
	client := func(message remoteapi.WriteMessageType) remote.WriteClient {
		c, err := remote.NewWriteClient("test", &remote.ClientConfig{
			URL: &config_util.URL{URL: u}, Timeout: model.Duration(10 * time.Second), WriteProtoMsg: message,
		})
		require.NoError(t, err)
		return c
	}
	ctx, ts := context.Background(), now()

	v1 := rawV1(t, seriesV1([]prompb.Sample{{Timestamp: ts, Value: 1}}, "__name__", "one"))
	_, err = client(remoteapi.WriteV1MessageType).Store(ctx, snappy.Encode(nil, v1), 0)
	require.NoError(t, err)

	good := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: ts, Value: 2}}}
	b := withExemplar(newV2(), good, ts, "__name__", "two")
	stats, err := client(remoteapi.WriteV2MessageType).Store(ctx, snappy.Encode(nil, b.raw(t)), 0)
	require.NoError(t, err)
	require.True(t, stats.Confirmed)
	require.Equal(t, 1, stats.Samples)
	require.Equal(t, 1, stats.Exemplars)

	// A partial write: the sender learns what was written and does not try again.
	bad := writev2.TimeSeries{Samples: []writev2.Sample{{Timestamp: ts - 1000, Value: 2}}}
	stats, err = client(remoteapi.WriteV2MessageType).Store(ctx, snappy.Encode(nil, newV2().add(bad, "__name__", "two").add(good, "__name__", "three").raw(t)), 0)
	require.ErrorContains(t, err, "out of order sample")
	var again remote.RecoverableError
	require.NotErrorAs(t, err, &again)
	require.Equal(t, 1, stats.Samples)

	require.Equal(t, dumpLine("one", ts, 1)+dumpLine("three", ts, 2)+dumpLine("two", ts, 2)+exemplarLine(ts), dump(t, db))
}
