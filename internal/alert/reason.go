package alert

import "strings"

// Reason says why an instance's state changed, or what a mark is about.
type Reason uint8

// The reasons. Those from Flapping on are of marks: the state stays as it is.
const (
	NoReason Reason = iota
	// Condition: the rule's condition began to hold.
	Condition
	// ForElapsed: the condition held for as long as the rule's `for`.
	ForElapsed
	// ForGrew: the rule's `for` became longer than the alert is old.
	ForGrew
	// Cleared: the condition ceased to hold.
	Cleared
	// KeepFiringEnded: keep_firing_for ended, after the condition had cleared.
	KeepFiringEnded
	// HysteresisCleared: the condition did not hold any more, and the `clear` expression did.
	HysteresisCleared
	// SeriesMissing: the series is gone.
	SeriesMissing
	// LimitExceeded: the rule had more active alerts than it may, and lost all.
	LimitExceeded
	// RuleGone: the rule is not there any more.
	RuleGone

	// BeganFlapping and Calm: the instance is muted as flapping from now on, or no longer.
	BeganFlapping
	Calm
	// NoData and DataBack: the series is gone or back, and people are shown that.
	NoData
	DataBack
)

// String returns the reason in the word that is recorded and shown; empty for NoReason.
func (r Reason) String() string {
	switch r {
	case NoReason:
		return ""
	case Condition:
		return "condition"
	case ForElapsed:
		return "for_elapsed"
	case ForGrew:
		return "for_grew"
	case Cleared:
		return "cleared"
	case KeepFiringEnded:
		return "keep_firing_ended"
	case HysteresisCleared:
		return "hysteresis_cleared"
	case SeriesMissing:
		return "series_missing"
	case LimitExceeded:
		return "limit"
	case RuleGone:
		return "rule_gone"
	case BeganFlapping:
		return "flapping"
	case Calm:
		return "calm"
	case NoData:
		return "nodata"
	case DataBack:
		return "data_back"
	}
	panic("BUG: unknown reason")
}

// Text says the reason in a sentence's end, of the alert that has it; empty for NoReason.
func (r Reason) Text() string {
	switch r {
	case NoReason:
		return ""
	case Condition:
		return "the condition began to hold"
	case ForElapsed:
		return "the condition held for as long as the rule's `for`"
	case ForGrew:
		return "the rule's `for` became longer than the alert is old"
	case Cleared:
		return "the condition ceased to hold"
	case KeepFiringEnded:
		return "the condition had ceased to hold, and keep_firing_for ended"
	case HysteresisCleared:
		return "the condition did not hold any more, and the `clear` expression did"
	case SeriesMissing:
		return "the series is gone"
	case LimitExceeded:
		return "the rule had more active alerts than its group's limit"
	case RuleGone:
		return "the rule is not there any more"
	case BeganFlapping:
		return "it changes too often and is muted as flapping"
	case Calm:
		return "it does not flap any more"
	case NoData:
		return "the series is gone, and people are shown that"
	case DataBack:
		return "the series is back"
	}
	panic("BUG: unknown reason")
}

// Word says the reason as briefly as tables and marks do.
func (r Reason) Word() string {
	if r == NoData {
		return "no data"
	}
	return strings.ReplaceAll(r.String(), "_", " ")
}

// ParseReason returns the reason that String spells so; it is false for any other text.
func ParseReason(s string) (Reason, bool) {
	for r := NoReason; r <= DataBack; r++ {
		if r.String() == s {
			return r, true
		}
	}
	return NoReason, false
}

// Basis is what an active alert stands on.
type Basis uint8

// The bases.
const (
	// OnCondition: the condition holds.
	OnCondition Basis = iota
	// OnHysteresis: the condition does not hold, and the `clear` expression does not yet.
	OnHysteresis
	// OnKeepFiring: the condition cleared, and keep_firing_for is not over.
	OnKeepFiring
	// OnHold: the series is gone, and the alert stays what it was, as on_missing or a restart says.
	OnHold
	// OnFire: the series is gone, and that counts as the condition, as on_missing says.
	OnFire
	// OnNoData: as OnHold, and people are shown that there are no data.
	OnNoData
)

// String returns the basis in the word that is recorded and shown.
func (b Basis) String() string {
	switch b {
	case OnCondition:
		return "condition"
	case OnHysteresis:
		return "hysteresis"
	case OnKeepFiring:
		return "keep_firing"
	case OnHold:
		return "hold"
	case OnFire:
		return "fire"
	case OnNoData:
		return "nodata"
	}
	panic("BUG: unknown basis")
}

// frozen reports whether an alert on b stays what it is, whatever the time.
func (b Basis) frozen() bool { return b == OnHold || b == OnNoData }
