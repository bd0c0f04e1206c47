package body

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/storage"

	"github.com/tocsin/tocsin/internal/series"
)

// Words for counters: why a sample was refused.
const (
	OutOfOrder    = "out_of_order"
	OutOfBounds   = "out_of_bounds"
	TooOld        = "too_old"
	Duplicate     = "duplicate"
	BadHistogram  = "bad_histogram"
	OverLimit     = "over_limit"
	InvalidLabels = "invalid_labels"
)

// Permanent says whether history refused a sample for good, so that sending it again cannot help, and in one word why.
// Everything else (a full disk, a closing store) is history's trouble and deserves a retry.
func Permanent(err error) (reason string, ok bool) {
	var limit *series.LimitError
	var bad histogram.Error
	switch {
	case errors.As(err, &limit):
		return OverLimit, true
	case errors.Is(err, storage.ErrOutOfOrderSample):
		return OutOfOrder, true
	case errors.Is(err, storage.ErrOutOfBounds):
		return OutOfBounds, true
	case errors.Is(err, storage.ErrTooOldSample):
		return TooOld, true
	case errors.Is(err, storage.ErrDuplicateSampleForTimestamp):
		return Duplicate, true
	case errors.As(err, &bad), errors.Is(err, storage.ErrNativeHistogramsDisabled):
		return BadHistogram, true
	}
	return "", false
}

// OfTime says whether reason is about a sample's timestamp, rather than about the sample itself.
func OfTime(reason string) bool {
	return reason == OutOfOrder || reason == OutOfBounds || reason == TooOld || reason == Duplicate
}

// maxTexts is how many refusals of one request are spelled out; the others are counted.
const maxTexts = 10

// Refusals collects why parts of one request were not taken. The zero value is ready.
type Refusals struct {
	texts    []string
	count    int
	byReason map[string]int
}

// Add notes that n samples were refused. The text is the answer's: it should name the series and what to do.
func (r *Refusals) Add(reason string, n int, format string, args ...any) {
	r.Count(reason, n)
	r.count++
	if len(r.texts) < maxTexts {
		r.texts = append(r.texts, Clip(fmt.Sprintf(format, args...), 500))
	}
}

// Count notes n refusals that the sender is not told about.
func (r *Refusals) Count(reason string, n int) {
	if r.byReason == nil {
		r.byReason = make(map[string]int)
	}
	r.byReason[reason] += n
}

// Any says whether there was any that the sender must be told about.
func (r *Refusals) Any() bool { return r.count > 0 }

// ByReason returns how many samples were refused for each reason. The caller must not change it.
func (r *Refusals) ByReason() map[string]int { return r.byReason }

// Text returns the refusals, one a line; the empty string where there were none.
func (r *Refusals) Text() string {
	text := strings.Join(r.texts, "\n")
	if more := r.count - len(r.texts); more > 0 {
		text += fmt.Sprintf("\nand %d more", more)
	}
	return text
}

// Clip shortens s to at most n bytes (plus an ellipsis), never inside a character.
func Clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
