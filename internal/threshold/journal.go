package threshold

// journal collects what an update changes. What happens is written down in its order, in one place whatever the number of
// lines, and sorted by line afterwards.
type journal struct {
	on bool
	// The at-th of the given words is being changed; serial is another for each.
	at     uint32
	serial uint64

	log    []entry
	lines  []*Line // those with entries in log
	sorted []Change
	idle   int
}

// entry is a change of the line of that number.
type entry struct {
	line, at uint32
	old      uint64
}

// begin says that the at-th of the given words is changed next.
func (j *journal) begin(at int) {
	j.serial++
	j.at = uint32(at)
}

// note takes down, once, that the word changes in l, where it was old.
func (j *journal) note(l *Line, old uint64) {
	if l.serial == j.serial {
		return
	}
	l.serial = j.serial
	if l.noted++; l.noted == 1 {
		j.lines = append(j.lines, l)
	}
	j.log = append(j.log, entry{l.number, j.at, old})
}

// sort gives each line its changes. words are those given, lines all of the index, by number.
func (j *journal) sort(words []uint32, lines []*Line) {
	if len(j.log) == 0 {
		return
	}
	if cap(j.sorted) < len(j.log) {
		j.sorted = make([]Change, cap(j.log))
	}
	at := 0
	for _, l := range j.lines {
		l.changes = j.sorted[at : at : at+int(l.noted)]
		at += int(l.noted)
	}
	for i := range j.log {
		e := &j.log[i]
		l := lines[e.line]
		l.changes = append(l.changes, Change{Word: words[e.at], At: e.at, OldOK: e.old})
	}
}

// drop forgets the lines that are gone. There is no way back to their entries, which clear takes away with the others.
func (j *journal) drop() {
	kept := j.lines[:0]
	for _, l := range j.lines {
		if !l.gone {
			kept = append(kept, l)
		}
	}
	clear(j.lines[len(kept):])
	j.lines = kept
}

const (
	// littleLog is how many entries are kept room for at all times, quietUpdates after how many updates that needed a
	// small part of more than that it is given back: once many lines changed at once, that need not come again.
	littleLog    = 4096
	quietUpdates = 100
)

// clear forgets all changes.
func (j *journal) clear() {
	for _, l := range j.lines {
		l.changes, l.noted = nil, 0
	}
	clear(j.lines)
	j.lines = j.lines[:0]
	if cap(j.log) <= littleLog || len(j.log) > cap(j.log)/16 {
		j.idle = 0
	} else if j.idle++; j.idle > quietUpdates {
		*j = journal{serial: j.serial}
	}
	j.log = j.log[:0]
}

// bytes returns what the journal occupies.
func (j *journal) bytes() int { return 16*cap(j.log) + 8*cap(j.lines) + 16*cap(j.sorted) }
