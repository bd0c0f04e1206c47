package alert

import (
	"fmt"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Params is what Step must know of the rule, and of what else was looked up at this evaluation.
type Params struct {
	// For is how long the condition holds before a pending alert fires.
	For time.Duration
	// KeepFiringFor is how long an alert fires on after its condition cleared.
	KeepFiringFor time.Duration
	// Limit on active alerts; zero means none.
	Limit int
	// Hysteresis says that the rule has a `clear` expression, and that what it returned is among the inputs.
	Hysteresis bool
	// Presence says that of all active instances it is known whether their series are there: those that the expression did
	// not return and that are there are among the inputs. Without it, none counts as gone.
	Presence bool
	// OnMissing is what becomes of an active instance whose series is gone. It takes effect with Presence.
	OnMissing OnMissing
	// Flap is when an instance counts as flapping.
	Flap FlapParams
	// Settling says that the process has not been running for long, so that series may be gone that are only not back yet:
	// an active instance whose series is gone or, without Presence, that the expression did not return, stays what it is.
	Settling bool
	// Remember is the time before which no resolved instance is forgotten, however long ago it ended: what a process that
	// died has told of it may be lost, and what this one has told, too. Zero is none.
	Remember time.Time
}

// OnMissing is what becomes of an active alert whose series disappears, as opposed to one whose condition is false.
type OnMissing uint8

// What there is.
const (
	// MissingResolves: as in Prometheus, to which both are the same, but for hysteresis, which needs the series.
	MissingResolves OnMissing = iota
	// MissingHolds: it stays what it is, pending or firing.
	MissingHolds
	// MissingFires: the condition counts as holding.
	MissingFires
	// MissingIsNoData: as MissingHolds, with a mark that is shown.
	MissingIsNoData
)

// String returns the word that rule files have for it.
func (m OnMissing) String() string {
	switch m {
	case MissingResolves:
		return "resolve"
	case MissingHolds:
		return "hold"
	case MissingFires:
		return "fire"
	case MissingIsNoData:
		return "nodata"
	}
	panic("BUG: unknown on_missing")
}

// Known reports whether m is one of what there is.
func (m OnMissing) Known() bool { return m <= MissingIsNoData }

// MarshalText returns the word that rule files have for it.
func (m OnMissing) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// ParseOnMissing reads a rule file's word.
func ParseOnMissing(s string) (OnMissing, error) {
	for m := MissingResolves; m <= MissingIsNoData; m++ {
		if m.String() == s {
			return m, nil
		}
	}
	return MissingResolves, fmt.Errorf("on_missing %q is none of resolve, hold, fire and nodata", s)
}

// Says is what an input says of the instance with its labels.
type Says uint8

// What there is to say. Only the first makes instances; what the others say of unknown ones is passed over.
const (
	// Holds: the rule's expression returned it.
	Holds Says = iota
	// Clears: the `clear` expression returned it.
	Clears
	// Exists: the series is there, whatever its value. NaN means that the value is not known.
	Exists
)

// Input is one sample of a result, as the alert that it makes: labels and annotations are expanded, alertname is among the
// labels and __name__ is not. Annotations matter for Holds alone.
type Input struct {
	Labels, Annotations labels.Labels
	Value               float64
	Says                Says
}
