package window

import "slices"

// Touched returns the selectors a word of which was marked since the last ClearTouched. It is valid until the next call
// that changes the store.
func (s *Store) Touched() []*Selector { return s.touched }

// ClearTouched forgets which selectors were touched. Their marks are their owner's to clear.
func (s *Store) ClearTouched() {
	for _, x := range s.touched {
		x.listed = false
	}
	clear(s.touched)
	s.touched = s.touched[:0]
}

// unlist takes a selector that is released off the list.
func (s *Store) unlist(x *Selector) {
	if x.listed {
		x.listed = false
		s.touched = slices.DeleteFunc(s.touched, func(other *Selector) bool { return other == x })
	}
}
