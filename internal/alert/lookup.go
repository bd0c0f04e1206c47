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
