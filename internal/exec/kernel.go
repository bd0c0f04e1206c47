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

// markUnion calls visit once for each word that is marked in a or b.
func markUnion(a, b *column.Marks, visit func(w uint32) error) error {
	for _, w := range a.Words() {
		if err := visit(w); err != nil {
			return err
		}
	}
	for _, w := range b.Words() {
		if !a.Has(w) {
			if err := visit(w); err != nil {
				return err
			}
		}
	}
	return nil
}

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
