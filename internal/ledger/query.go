package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/tocsin/tocsin/internal/alert"
)

// The sizes of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// Query says which transitions. All that is set must hold; the zero value is all.
type Query struct {
	// File, Group and Rule, where not empty, are those of the transition's rule.
	File, Group, Rule string
	// Matchers must all match the transition's labels, as in Prometheus.
	Matchers []*labels.Matcher
	// States, where not empty, holds the state that the transition led to.
	States []alert.State
	// Receiver, where not empty, was told of the transition, or somebody tried to tell it.
	Receiver string
	// Since and Until enclose the transition's evaluation time, both included. Zero is no bound.
	Since, Until time.Time
	// Limit is how many a page holds: 0 means DefaultLimit, at most MaxLimit.
	Limit int
	// After is Next of the page before; empty for the first.
	After string
	// OldestFirst turns the order around. Either way it is the order of recording, which is that of evaluation times but
	// for evaluations at the same time, clocks set back and what waited for a full disk.
	OldestFirst bool
}

// ErrBadToken says that a page's token is not one of this ledger.
var ErrBadToken = errors.New("ledger: not a page's token: ask for the first page again")

// A token is base64 of a byte for the version and the ID of the page's last transition, big endian. IDs are never given
// twice, so that it stays valid while transitions come and go.
const tokenVersion = 1

func makeToken(id EntryID) string {
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint64([]byte{tokenVersion}, uint64(id)))
}

func parseToken(s string) (EntryID, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 9 || b[0] != tokenVersion {
		return 0, ErrBadToken
	}
	return EntryID(binary.BigEndian.Uint64(b[1:])), nil
}

// normal checks q, sets its limit and returns the ID that the page starts after, 0 if it is the first.
func (q *Query) normal() (after EntryID, err error) {
	switch {
	case q.Limit < 0 || q.Limit > MaxLimit:
		return 0, fmt.Errorf("ledger: a page of %d: ask for 1 to %d", q.Limit, MaxLimit)
	case q.Limit == 0:
		q.Limit = DefaultLimit
	}
	if q.After == "" {
		return 0, nil
	}
	return parseToken(q.After)
}
