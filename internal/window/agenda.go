package window

// event is a series' next event, within foresight.
type event struct {
	at int64
	id ID
}

// agenda has events in a binary heap, the earliest at 0. Series may stand there more than once, and some events are
// outdated: who takes one looks at the series again.
type agenda []event

func (a *agenda) push(e event) {
	*a = append(*a, e)
	h := *a
	i := len(h) - 1
	for i > 0 {
		above := (i - 1) / 2
		if h[above].at <= e.at {
			break
		}
		h[i] = h[above]
		i = above
	}
	h[i] = e
}

func (a *agenda) pop() event {
	h := *a
	first, last := h[0], h[len(h)-1]
	h = h[:len(h)-1]
	*a = h
	if len(h) == 0 {
		return first
	}
	i := 0
	for {
		below := 2*i + 1
		if below >= len(h) {
			break
		}
		if right := below + 1; right < len(h) && h[right].at < h[below].at {
			below = right
		}
		if last.at <= h[below].at {
			break
		}
		h[i] = h[below]
		i = below
	}
	h[i] = last
	return first
}
