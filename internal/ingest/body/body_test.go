package body

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

func gz(b []byte) []byte {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

func framed(b []byte) []byte {
	var buf bytes.Buffer
	w := snappy.NewBufferedWriter(&buf)
	w.Write(b)
	w.Close()
	return buf.Bytes()
}

// lyingSnappy declares n bytes of output and holds almost nothing.
func lyingSnappy(n uint64) []byte { return append(protowire.AppendVarint(nil, n), 0, 'x') }

func TestDecompress(t *testing.T) {
	t.Parallel()
	text := bytes.Repeat([]byte("tocsin "), 1000)
	decoders := map[string]func([]byte, int64) ([]byte, error){"gzip": Gunzip, "framed": SnappyFramed, "block": SnappyBlock}
	encoded := map[string][]byte{"gzip": gz(text), "framed": framed(text), "block": snappy.Encode(nil, text)}
	for name, decode := range decoders {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := decode(encoded[name], int64(len(text)))
			require.NoError(t, err)
			require.Equal(t, text, out)

			_, err = decode(encoded[name], int64(len(text))-1)
			requireStatus(t, err, http.StatusRequestEntityTooLarge, "too_large")

			_, err = decode(encoded[name][:len(encoded[name])/2], 1<<20)
			requireStatus(t, err, http.StatusBadRequest, "malformed")
			_, err = decode([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), 1<<20)
			requireStatus(t, err, http.StatusBadRequest, "malformed")
		})
	}
}

func TestSnappyBlockChecksDeclaredLengthFirst(t *testing.T) { // not parallel: it reads the allocator's counters
	_, err := SnappyBlock(lyingSnappy(1<<31), 1<<20)
	requireStatus(t, err, http.StatusRequestEntityTooLarge, "too_large")
	// Under the limit, but more than so few bytes can hold: refused without a 30 MiB allocation.
	lie := lyingSnappy(30 << 20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err = SnappyBlock(lie, 32<<20)
	runtime.ReadMemStats(&after)
	requireStatus(t, err, http.StatusBadRequest, "malformed")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

func TestRead(t *testing.T) {
	t.Parallel()
	req := func(r io.Reader) *http.Request { return httptest.NewRequest(http.MethodPost, "/", r) }

	b, err := Read(req(strings.NewReader("abc")), 3)
	require.NoError(t, err)
	require.Equal(t, "abc", string(b))

	_, err = Read(req(strings.NewReader("abcd")), 3)
	requireStatus(t, err, http.StatusRequestEntityTooLarge, "too_large")

	chunked := req(struct{ io.Reader }{strings.NewReader("abcd")})
	chunked.ContentLength = -1
	_, err = Read(chunked, 3)
	requireStatus(t, err, http.StatusRequestEntityTooLarge, "too_large")

	broken := req(io.MultiReader(strings.NewReader("a"), failingReader{}))
	_, err = Read(broken, 3)
	requireStatus(t, err, http.StatusBadRequest, "malformed")
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestWeigh(t *testing.T) {
	t.Parallel()
	inner := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), nil)
	inner = append(inner, inner...) // two empty messages in field 2
	msg := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
	msg = protowire.AppendVarint(protowire.AppendTag(msg, 3, protowire.VarintType), 7)
	fields := Shape{1: {Bytes: 100, Message: Shape{2: {Bytes: 10}}}}

	sum, err := Weigh(msg, fields, 1000)
	require.NoError(t, err)
	require.EqualValues(t, 120, sum)

	sum, err = Weigh(bytes.Repeat(msg, 1000), fields, 1000)
	require.NoError(t, err)
	require.Greater(t, sum, int64(1000))
	require.Less(t, sum, int64(1200), "must stop early")

	_, err = Weigh(msg[:3], fields, 1000)
	requireStatus(t, err, http.StatusBadRequest, "malformed")
}

func TestWeighRefusesDeepNesting(t *testing.T) {
	t.Parallel()
	self := Shape{}
	self[1] = Field{Bytes: 1, Message: self}
	var msg []byte
	for range MaxDepth - 1 {
		msg = protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), msg)
	}
	_, err := Weigh(msg, self, 1000)
	require.NoError(t, err)
	_, err = Weigh(protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), msg), self, 1000)
	requireStatus(t, err, http.StatusBadRequest, "malformed")
}

func TestStatusOfOtherErrors(t *testing.T) {
	t.Parallel()
	code, reason := Status(errors.New("disk full"))
	require.Equal(t, http.StatusInternalServerError, code)
	require.Equal(t, "internal", reason)

	code, reason = Status(fmt.Errorf("committing: %w", errors.Join(errors.New("x"), takesNothing(true))))
	require.Equal(t, http.StatusServiceUnavailable, code)
	require.Equal(t, "unavailable", reason)
	require.False(t, Unavailable(takesNothing(false)))
	require.False(t, Unavailable(nil))
}

type takesNothing bool

func (takesNothing) Error() string       { return "the disk takes nothing" }
func (n takesNothing) Unavailable() bool { return bool(n) }

func requireStatus(t *testing.T, err error, status int, reason string) {
	t.Helper()
	require.Error(t, err)
	code, r := Status(err)
	require.Equal(t, status, code, err)
	require.Equal(t, reason, r, err)
}

func FuzzDecompress(f *testing.F) {
	f.Add(gz([]byte("a")))
	f.Add(framed([]byte("a")))
	f.Add(snappy.Encode(nil, []byte("a")))
	f.Add(lyingSnappy(1 << 20))
	const limit = 1 << 16
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, decode := range []func([]byte, int64) ([]byte, error){Gunzip, SnappyFramed, SnappyBlock} {
			out, err := decode(b, limit)
			if err == nil && len(out) > limit {
				t.Fatalf("%d bytes over the limit of %d", len(out), limit)
			}
			if err != nil {
				if code, _ := Status(err); code < 400 || code > 499 {
					t.Fatalf("status %d for a bad body: %v", code, err)
				}
			}
		}
	})
}

func FuzzWeigh(f *testing.F) {
	f.Add([]byte{0x0a, 0x02, 0x12, 0x00})
	fields := Shape{1: {Bytes: 100, Message: Shape{2: {Bytes: 10}}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		if sum, err := Weigh(b, fields, 1<<20); err == nil && sum < 0 {
			t.Fatal("negative weight")
		}
	})
}
