package exec

import (
	"github.com/tocsin/tocsin/internal/column"
)

// Bailing must not allocate.
var (
	errDuplicate error = &Bail{Reason: ReasonDuplicate}
	errHistogram error = &Bail{Reason: ReasonHistogram}
	errWindow    error = &Bail{Reason: ReasonWindow}
	errParameter error = &Bail{Reason: ReasonParameter}
	errUnknown   error = &Bail{Reason: ReasonUnknown}
	errSubquery  error = &Bail{Reason: ReasonSubquery}
	errBroken    error = &Bail{Reason: ReasonBroken}
)

// equalWord reports whether a word's content is what it was: the same lanes with the same values, NaN equal to NaN.
func equalWord(old *column.Word, v []float64, ok uint64) bool {
	if old.OK != ok {
		return false
	}
	v = v[:column.WordLanes]
	for i := range v {
		if ok>>(uint(i))&1 != 0 && v[i] != old.V[i] && (v[i] == v[i] || old.V[i] == old.V[i]) {
			return false
		}
	}
	return true
}
