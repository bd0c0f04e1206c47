package amd64

import "github.com/tocsin/tocsin/internal/kernel"

// trait is what a mask is, and where it is wanted.
type trait uint8

const (
	pure   trait = 1 << iota // of nothing but validity: the same operation works for all 64 lanes of a word
	strips                   // wanted lane by lane in strips, and, unless pure, computed there
	words                    // wanted as a word after the strips
	early                    // pure and computed before the strips
)

// all reports whether t has all of the traits w.
func (t trait) all(w trait) bool { return t&w == w }

// layout says in which part each instruction is computed. Loads, parameters and validity are in none: they are fetched
// where they are wanted.
type layout struct {
	traits             []trait
	early, strip, late []step
	// collected are the masks of strips that become words.
	collected []int32
	// expands says that strips want masks that are words.
	expands bool
}

// lay lays p out.
func lay(p *kernel.Program, u *user) layout {
	t := traits(p)
	l := layout{traits: t}
	counts := [3]int{}
	for i := range p.Code {
		if n := partOf(&p.Code[i], t[i]); n != nowhere {
			counts[n]++
		}
	}
	all := make([]step, 0, counts[0]+counts[1]+counts[2]+2)
	take := func(want part, result int32) []step {
		first := len(all)
		for i := range p.Code {
			in := &p.Code[i]
			if partOf(in, t[i]) == want {
				all = append(all, u.step(int32(i), in))
			}
		}
		if result != kernel.None {
			all = append(all, step{ins: kernel.None, count: 1, args: [3]int32{result}})
		}
		return all[first:len(all):len(all)]
	}
	l.early = take(earlyPart, kernel.None)
	l.strip = take(stripPart, p.Value)
	l.late = take(latePart, p.Mask)
	for i := range t {
		if t[i].all(strips|words) && !t[i].all(pure) {
			l.collected = append(l.collected, int32(i))
		}
		l.expands = l.expands || t[i].all(strips|pure)
	}
	return l
}

// part is a part of the code that runs more than once.
type part uint8

const (
	earlyPart part = iota
	stripPart
	latePart
	nowhere
)

func partOf(in *kernel.Ins, t trait) part {
	switch {
	case in.Op == kernel.Load || in.Op == kernel.Param:
		return nowhere
	case !in.Op.Mask():
		return stripPart
	case in.Op == kernel.Valid:
		if t.all(strips) {
			return earlyPart // to be put where strips find it
		}
		return nowhere
	case t.all(early):
		return earlyPart
	case t.all(strips):
		return stripPart
	}
	return latePart
}

// traits finds the traits of all masks.
func traits(p *kernel.Program) []trait {
	t := make([]trait, len(p.Code))
	for i := range p.Code {
		in := &p.Code[i]
		switch in.Op {
		case kernel.Valid:
			t[i] = pure
		case kernel.And, kernel.Or, kernel.AndNot:
			t[i] = t[in.A] & t[in.B] & pure
		}
	}
	wantedInStrips(p, t)
	// What is made of masks that are lane by lane anyway is made there: one operation instead of two collections.
	for i := range p.Code {
		switch in := &p.Code[i]; in.Op {
		case kernel.Less, kernel.LessEqual, kernel.Equal, kernel.NotEqual:
			t[i] |= strips
		case kernel.And, kernel.Or, kernel.AndNot:
			if t[in.A]&(strips|pure) == strips && t[in.B]&(strips|pure) == strips {
				t[i] |= strips
			}
		}
	}
	// The rest becomes words.
	t[p.Mask] |= words
	for i := len(p.Code) - 1; i >= 0; i-- {
		in := &p.Code[i]
		if (in.Op == kernel.And || in.Op == kernel.Or || in.Op == kernel.AndNot) && partOf(in, t[i]) == latePart {
			t[in.A] |= words
			t[in.B] |= words
		}
	}
	return t
}

// wantedInStrips marks the masks that values depend on, and what has to be computed for them in strips and before.
func wantedInStrips(p *kernel.Program, t []trait) {
	for i := len(p.Code) - 1; i >= 0; i-- {
		in := &p.Code[i]
		switch in.Op {
		case kernel.Select, kernel.Bool:
			t[in.A] |= strips
		case kernel.And, kernel.Or, kernel.AndNot:
			switch {
			case t[i].all(pure):
				if t[i]&(strips|early) != 0 {
					t[i] |= early
					t[in.A] |= early
					t[in.B] |= early
				}
			case t[i].all(strips):
				t[in.A] |= strips
				t[in.B] |= strips
			}
		}
	}
}
