package bench

import (
	"encoding/binary"
	"math"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
)

// request is a remote-write 1.0 request of one sample a series that is encoded once and sent many times: only values and
// timestamps are written anew.
type request struct {
	raw []byte
	// samples are where in raw the samples' values begin; timestamps follow.
	samples    []int
	compressed []byte
}

// The end of an encoded series with one sample and no exemplars: the sample's fields. A timestamp of this era takes six
// bytes as a varint (from 2³⁵ ms, in 1971, to 2⁴² ms, in 2109).
const (
	valueBytes     = 8
	timestampBytes = 6
	// fromValue is from the value's first byte to the end: the value, the timestamp's key, the timestamp.
	fromValue = valueBytes + 1 + timestampBytes
	someTime  = 1_700_000_000_000 // any of the era
)

// newRequest encodes the series.
func newRequest(series [][]prompb.Label) (*request, error) {
	r := &request{}
	for _, ls := range series {
		one := prompb.TimeSeries{Labels: ls, Samples: []prompb.Sample{{Value: 1, Timestamp: someTime}}}
		body, err := one.Marshal()
		if err != nil {
			return nil, err
		}
		r.raw = append(r.raw, 1<<3|2) // WriteRequest.timeseries, length-delimited
		r.raw = binary.AppendUvarint(r.raw, uint64(len(body)))
		r.raw = append(r.raw, body...)
		r.samples = append(r.samples, len(r.raw)-fromValue)
	}
	return r, nil
}

// set gives the n-th series' sample its value and time, in Unix milliseconds.
func (r *request) set(n int, v float64, t int64) {
	at := r.raw[r.samples[n]:][:fromValue]
	binary.LittleEndian.PutUint64(at, math.Float64bits(v))
	binary.PutUvarint(at[valueBytes+1:], uint64(t))
}

// body returns the request compressed, valid until the next call.
func (r *request) body() []byte {
	r.compressed = snappy.Encode(r.compressed[:cap(r.compressed)], r.raw)
	return r.compressed
}
