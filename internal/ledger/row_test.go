package ledger

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/tocsin/tocsin/internal/alert"
)

// fill sets every field of v, whatever fields it has, so that one that is added and not stored is noticed.
func fill(t *testing.T, r *rand.Rand, v reflect.Value) {
	switch v.Addr().Interface().(type) {
	case *labels.Labels:
		b := labels.NewScratchBuilder(3)
		for _, name := range []string{"a", "b", "c"}[:r.IntN(4)] {
			b.Add(name, randomText(r))
		}
		v.Set(reflect.ValueOf(b.Labels()))
		return
	case *time.Time:
		v.Set(reflect.ValueOf(time.Unix(1+r.Int64N(1e10), r.Int64N(1e9)).UTC()))
		return
	case *alert.State:
		v.SetInt(1 + r.Int64N(2))
		return
	case *alert.Basis:
		v.SetUint(1 + r.Uint64N(uint64(alert.OnNoData)))
		return
	case *alert.Reason:
		v.SetUint(1 + r.Uint64N(uint64(alert.DataBack)))
		return
	case *[]DeliveredAlert:
		v.Set(reflect.ValueOf([]DeliveredAlert{{Labels: labels.FromStrings("x", randomText(r)), Resolved: r.IntN(2) == 0}}))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, r, v.Field(i))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, r, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1+r.IntN(3), 3))
		for i := range v.Len() {
			fill(t, r, v.Index(i))
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(randomText(r))
	case reflect.Int, reflect.Int64:
		v.SetInt(1 + r.Int64N(1<<40))
	case reflect.Uint64:
		v.SetUint(1 + r.Uint64N(1<<60))
	case reflect.Float64:
		v.SetFloat(r.NormFloat64())
	default:
		t.Fatalf("the test cannot fill %s", v.Type())
	}
}

func randomText(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(40))
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return string(b)
}

func filled[T any](t *testing.T, r *rand.Rand) T {
	var v T
	fill(t, r, reflect.ValueOf(&v).Elem())
	return v
}

func TestRowsReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	for range 200 {
		want := row{entries: []Entry{}, changed: []Instance{}, gone: []InstanceKey{}, deliveries: []storedDelivery{}}
		for range r.IntN(20) {
			want.entries = append(want.entries, filled[Entry](t, r))
		}
		for range r.IntN(20) {
			want.changed = append(want.changed, filled[Instance](t, r))
		}
		for range r.IntN(5) {
			want.gone = append(want.gone, filled[InstanceKey](t, r))
		}
		for range r.IntN(5) {
			d := storedDelivery{Delivery: filled[Delivery](t, r), refs: []EntryID{EntryID(r.Uint64()), 7, 7, EntryID(r.Uint64())}, asOf: r.Int64()}
			d.ID = 0 // It is told by the row's place.
			want.deliveries = append(want.deliveries, d)
		}
		got, err := decodeRow(encodeRow(&want))
		require.NoError(t, err)
		require.Equal(t, &want, got)
	}
}

func TestRowsKeepUnusualValues(t *testing.T) {
	t.Parallel()
	for _, v := range []float64{math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.Float64frombits(0x7ff8000000000002)} {
		e := Entry{Transition: alert.Transition{Value: v, At: time.Unix(-1<<40, 0).UTC()}}
		got, err := decodeRow(encodeRow(&row{entries: []Entry{e}}))
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(v), math.Float64bits(got.entries[0].Value))
		require.True(t, got.entries[0].ActiveAt.IsZero())
		require.True(t, e.At.Equal(got.entries[0].At))
	}
	local := time.Now() // With a monotonic reading and a zone.
	got, err := decodeRow(encodeRow(&row{entries: []Entry{{Transition: alert.Transition{At: local}}}}))
	require.NoError(t, err)
	require.True(t, local.Equal(got.entries[0].At))
}

func TestEveryFlippedBitOfARowIsNoticed(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 30} { // One that is not compressed, one that is.
		v := row{}
		for i := range n {
			v.entries = append(v.entries, entryOf(i, i, alert.Firing))
		}
		data := encodeRow(&v)
		require.Equal(t, n > 1, data[1] == flagSnappy)
		for i := range data {
			broken := slices.Clone(data)
			broken[i] ^= 1 << (i % 8)
			_, err := decodeRow(broken)
			require.ErrorIs(t, err, ErrDamaged)
			_, err = decodeRow(data[:i])
			require.ErrorIs(t, err, ErrDamaged)
		}
	}
}

// FuzzDecodeRow feeds bodies past the checksum: whatever they are, there is an error or a row that is written and read
// the same again, and never a panic or memory without end.
func FuzzDecodeRow(f *testing.F) {
	for _, v := range []row{
		{}, {entries: []Entry{entryOf(1, 1, alert.Firing)}, changed: []Instance{instanceOf(1, 1, alert.Firing)}},
		{gone: []InstanceKey{keyOf(3)}},
		{deliveries: []storedDelivery{{Delivery: Delivery{Alerts: []DeliveredAlert{{Labels: labelsOf(1)}}}, refs: []EntryID{1, 2}}}},
	} {
		f.Add(newEncoder().encode(&v))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, err := decodeRow(body); err != nil {
			require.ErrorIs(t, err, ErrDamaged)
		}
		r, err := decodeBody(body)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		written := encodeRow(r)
		again, err := decodeRow(written)
		require.NoError(t, err)
		require.Equal(t, written, encodeRow(again))
	})
}

func TestTheBuilderKeepsOrderAndBounds(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	var b rowBuilder
	var entries []Entry
	latest := map[hashedKey]bool{} // Whether an instance is there.
	for n := range 200 {
		var v batch
		for range r.IntN(150) {
			e := entryOf(n, len(entries), alert.Firing)
			entries = append(entries, e)
			v.entries = append(v.entries, e)
		}
		for range r.IntN(5) {
			i := r.IntN(10)
			if in := instanceOf(i, n, alert.Firing); r.IntN(2) == 0 {
				v.changed = append(v.changed, in)
			} else {
				v.gone = append(v.gone, in.Key())
			}
		}
		v.gone = slices.DeleteFunc(v.gone, func(k InstanceKey) bool {
			return slices.ContainsFunc(v.changed, func(in Instance) bool { return labels.Equal(in.Labels, k.Labels) })
		})
		for i := range v.changed {
			k := v.changed[i].Key()
			latest[k.hash()] = true
		}
		for i := range v.gone {
			latest[v.gone[i].hash()] = false
		}
		b.add(&v)
	}
	s := newStates(0)
	var got []Entry
	for _, row := range b.rows {
		require.LessOrEqual(t, max(len(row.entries), len(row.changed), len(row.gone)), rowEntries)
		got = append(got, row.entries...)
		s.note(row)
	}
	require.Equal(t, entries, got)
	for k, there := range latest {
		require.Equal(t, there, s.fresh[k] != nil)
	}
}
