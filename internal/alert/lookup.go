package alert

import "github.com/prometheus/prometheus/model/labels"

// Firing returns the annotations of the instance with these labels where it is firing.
func (s *Set) Firing(ls labels.Labels) (annotations labels.Labels, ok bool) {
	at := s.find(ls.Hash(), ls)
	if at == none || s.instances[at].State != Firing {
		return labels.EmptyLabels(), false
	}
	return s.instances[at].Annotations, true
}

// Has reports whether there is an instance with these labels, whatever its state.
func (s *Set) Has(ls labels.Labels) bool { return s.find(ls.Hash(), ls) != none }

// Lapsed reports whether some instance that is pending or more, as least says, is none of those that in says to hold:
// whether it matters what `clear` returns and which series are there. Label sets in in must be distinct; where they are not, Step says so.
func (s *Set) Lapsed(in []Input, least State) bool {
	active := 0
	for i := range s.instances {
		if s.instances[i].State >= least {
			active++
		}
	}
	for i := 0; i < len(in) && active > 0; i++ {
		if in[i].Says != Holds {
			continue
		}
		if at := s.find(in[i].Labels.Hash(), in[i].Labels); at != none && s.instances[at].State >= least {
			active--
		}
	}
	return active > 0
}
