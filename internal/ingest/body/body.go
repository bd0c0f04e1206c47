// Package body holds what the ingest protocols share: it reads a request's body under limits (so many bytes as sent, so
// many once decompressed, so much memory once decoded), and it sorts the reasons for which history refuses a sample.
// A body that is refused is an *Error that knows the HTTP status it deserves.
//
// It must not know any protocol's messages, nor who sent them.
package body

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/golang/snappy"
)

// Limits bounds one request's body. Zero fields take the defaults below; there is no way to say "no limit", because
// a decoder without one can be made to eat all memory by anybody who can reach it.
type Limits struct {
	// Encoded is how many bytes the body may have as sent. Default 16 MiB.
	Encoded int64
	// Decoded is how many bytes it may have once decompressed. Default 32 MiB, as Prometheus has it.
	Decoded int64
}

// WithDefaults returns l with defaults in place of zero and negative fields.
func (l Limits) WithDefaults() Limits {
	if l.Encoded <= 0 {
		l.Encoded = 16 << 20
	}
	if l.Decoded <= 0 {
		l.Decoded = 32 << 20
	}
	return l
}

// Error is a body that cannot be taken.
type Error struct {
	// Status is the HTTP status to answer with: 400, 413 or 415, or 503 where sending the same again may help.
	Status int
	// Reason is a short, fixed word for counters: "malformed", "too_large", "unsupported" or "timeout".
	Reason string
	// Err says what is wrong and what to do about it.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Malformed wraps err as a 400.
func Malformed(err error) *Error {
	return &Error{Status: http.StatusBadRequest, Reason: "malformed", Err: err}
}

// Unsupported makes a 415.
func Unsupported(format string, args ...any) *Error {
	return &Error{Status: http.StatusUnsupportedMediaType, Reason: "unsupported", Err: fmt.Errorf(format, args...)}
}

// TooLarge makes a 413.
func TooLarge(format string, args ...any) *Error {
	return &Error{Status: http.StatusRequestEntityTooLarge, Reason: "too_large", Err: fmt.Errorf(format, args...)}
}

// Status returns the HTTP status and the counter word for err: those of an *Error, 503 while history takes nothing, otherwise
// 500 and "internal".
func Status(err error) (int, string) {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e.Status, e.Reason
	case Unavailable(err):
		return http.StatusServiceUnavailable, "unavailable"
	}
	return http.StatusInternalServerError, "internal"
}

// Unavailable reports whether err comes from a history that takes nothing for a while. It has said so in the log, once:
// whoever sends, and sends again, need not be named for each request.
func Unavailable(err error) bool {
	var u interface{ Unavailable() bool }
	return errors.As(err, &u) && u.Unavailable()
}

// Read returns r's body as sent. It refuses a body of more than limit bytes without reading more than that, and
// without reading at all where Content-Length already says so.
func Read(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, TooLarge("request body of %d bytes is over the limit of %d bytes; send smaller batches", r.ContentLength, limit)
	}
	var buf bytes.Buffer
	if r.ContentLength > 0 {
		buf.Grow(int(r.ContentLength) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(r.Body, limit+1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		// A 4xx would tell remote write to throw the samples away, for a slow link.
		return nil, &Error{Status: http.StatusServiceUnavailable, Reason: "timeout",
			Err: errors.New("the request body did not arrive in time; send it again, in smaller batches if the link is slow")}
	case err != nil:
		return nil, Malformed(fmt.Errorf("reading the request body: %w", err))
	}
	if n > limit {
		return nil, TooLarge("request body is over the limit of %d bytes; send smaller batches", limit)
	}
	return buf.Bytes(), nil
}

// Encoding returns r's Content-Encoding in lower case; "" and "identity" are both "".
func Encoding(r *http.Request) string {
	enc := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	if enc == "identity" {
		return ""
	}
	return enc
}

// Gunzip decompresses b and refuses more than limit bytes of output.
func Gunzip(b []byte, limit int64) ([]byte, error) {
	zr, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, Malformed(fmt.Errorf("gzip: %w", err))
	}
	return inflate("gzip", zr, limit)
}

// SnappyFramed decompresses b in snappy's framing format, which is what command-line tools write.
func SnappyFramed(b []byte, limit int64) ([]byte, error) {
	return inflate("snappy (framed)", snappy.NewReader(bytes.NewReader(b)), limit)
}

func inflate(name string, r io.Reader, limit int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, Malformed(fmt.Errorf("%s: %w", name, err))
	}
	if int64(len(out)) > limit {
		return nil, TooLarge("request body is over the limit of %d bytes once decompressed; send smaller batches", limit)
	}
	return out, nil
}

// SnappyBlock decompresses b in snappy's block format, which is what remote write uses. The length that the block
// declares is checked before anything is allocated, both against limit and against what b could possibly hold.
func SnappyBlock(b []byte, limit int64) ([]byte, error) {
	n, err := snappy.DecodedLen(b)
	if err != nil {
		return nil, Malformed(fmt.Errorf("snappy: %w", err))
	}
	if int64(n) > limit {
		return nil, TooLarge("request body of %d bytes once decompressed is over the limit of %d bytes; send smaller batches", n, limit)
	}
	// A copy element of 3 bytes yields at most 64, so a short block that declares a long output is a lie.
	if int64(n) > 64*int64(len(b)) {
		return nil, Malformed(fmt.Errorf("snappy: a block of %d bytes cannot hold the %d bytes that it declares", len(b), n))
	}
	out, err := snappy.Decode(nil, b)
	if err != nil {
		return nil, Malformed(fmt.Errorf("snappy: %w", err))
	}
	return out, nil
}
