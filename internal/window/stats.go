package window

// Stats says what a Store holds and what it did since it was made.
type Stats struct {
	// Series and Selectors are how many there are; Samples how many are kept, those included that are only let go when
	// their buffer is full.
	Series, Selectors int
	Samples           int64
	// Histograms is how many series have native histogram samples.
	Histograms int
	// Ignored is how many references are known of series that nobody selects.
	Ignored int
	// Bytes is all memory, of which BufferBytes is the samples' and LabelBytes what the labels occupy if nobody else
	// holds them. What maps occupy is estimated.
	Bytes, BufferBytes, LabelBytes int64
	// Evicted counts the series that went because nobody could see them any more, Released those that went with their
	// selectors.
	Evicted, Released uint64
	// Truncated counts samples that were let go for lack of memory.
	Truncated uint64
	// Dropped counts samples that were not kept.
	Dropped Dropped
}

// Dropped counts samples that were not kept, by reason.
type Dropped struct {
	// Duplicate: there was one of that time. Disorder: it was not newer than the one before it in its batch. Old: it was
	// at or before the floor.
	Duplicate, Disorder, Old uint64
	// Unresolved: it came without labels, under a reference that is not known. These are the only ones that make what is
	// kept wrong.
	Unresolved uint64
}

// Stats returns what the store holds; it looks at each selector.
func (s *Store) Stats() Stats {
	st := s.stats
	st.Series, st.Selectors = s.live, len(s.selectors.all)
	st.Histograms = len(s.hists)
	st.Ignored = s.refs.ignored
	st.BufferBytes = s.buffers.bytes
	const (
		perSeries = 64 + 8 + 8 + 16
		perLink   = 12
		perEvent  = 16
		perHash   = 28 // a map's entry of 16 bytes, at the usual load
		perTwin   = 14
		perMore   = 72
	)
	st.Bytes = st.BufferBytes + st.LabelBytes + s.refs.bytes() + int64(s.wheel.Bytes()) +
		perSeries*int64(cap(s.series)) + 4*int64(cap(s.free)) + perLink*int64(cap(s.links.all)) +
		perEvent*int64(cap(s.soon)) + perHash*int64(len(s.byHash)) + perTwin*int64(len(s.twins)) +
		perMore*int64(len(s.more)) + perHash*int64(len(s.hists)) + sampleBytes*int64(cap(s.scratchT))
	for _, x := range s.selectors.all {
		st.Bytes += int64(x.lanes.Bytes()) + 4*int64(cap(x.ids)) + int64(x.marks.Bytes())
	}
	return st
}
