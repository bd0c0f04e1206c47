package exec

import (
	"math/bits"

	"github.com/tocsin/tocsin/internal/column"
	"github.com/tocsin/tocsin/internal/plan"
)

func newSet(n *plan.Node, in []operator, _ *env) operator {
	p := pairing{
		left: side{in: in[0].out()}, right: side{in: in[1].out()},
		signer: newSigner(n.Binary),
	}
	if n.Binary.Op == plan.Or {
		return newUnion(n, p)
	}
	return newRestriction(n, p)
}

// pairing is what the set operators have in common: both sides with their signatures, and how many elements with values
// one of the sides has by signature.
type pairing struct {
	left, right side
	signer      signer
	signatures  registry
	present     []uint32 // by signature
	// churned says that lanes changed hands since the last evaluation.
	churned bool
	dirty   idSet // words, during update
}

// follow finds which lanes came and went.
func (p *pairing) follow() {
	churn := p.left.follow()
	churn = p.right.follow() || churn
	p.churned = p.churned || churn
}

func (p *pairing) bind(s *side, lane uint32) {
	sig := p.signatures.take(p.signer.of(s.in.labels(lane)))
	if n := p.signatures.len(); n > len(p.present) {
		p.present = column.GrowSlice(p.present, n)
		p.left.of.grow(0, n)
		p.right.of.grow(0, n)
	}
	s.of.add(lane, sig)
}

func (p *pairing) release(s *side, lane uint32) { p.signatures.drop(s.of.remove(lane)) }

// moved reports whether everything has to be computed.
func (p *pairing) moved() bool { return p.churned || p.left.moved() || p.right.moved() }

// start notes what the inputs are at an evaluation.
func (p *pairing) start() {
	p.churned = false
	p.left.synced, p.right.synced = p.left.in.synced, p.right.in.synced
	p.dirty.clear()
}

// countAll counts the elements with values of s.
func (p *pairing) countAll(s *side) {
	clear(p.present)
	present, ids := p.present, s.of.id
	for w, ok := range s.in.column.OK {
		for ; ok != 0; ok &= ok - 1 {
			if lane := w*column.WordLanes + bits.TrailingZeros64(ok); lane < len(ids) && ids[lane] != none {
				present[ids[lane]]++
			}
		}
	}
}

func (p *pairing) bytes() int {
	return p.left.bytes() + p.right.bytes() + p.signatures.bytes() + 4*cap(p.present)
}

// recount follows the elements of s that gained or lost their value in the i-th marked word, and calls turned for the
// signatures that became present or absent by that.
func (p *pairing) recount(s *side, i int, turned func(sig uint32)) {
	w := s.in.marks.Words()[i]
	now := s.in.column.OK[w]
	for lanes := s.in.marks.Old(i).OK ^ now; lanes != 0; lanes &= lanes - 1 {
		at := bits.TrailingZeros64(lanes)
		sig := s.of.id[int(w)*column.WordLanes+at]
		switch {
		case sig == none:
		case now>>uint(at)&1 != 0:
			if p.present[sig]++; p.present[sig] == 1 {
				turned(sig)
			}
		default:
			if p.present[sig]--; p.present[sig] == 0 {
				turned(sig)
			}
		}
	}
}

// restriction is and, unless: the left side's elements whose signature the right side has, or has not.
type restriction struct {
	output
	pairing
	unless bool
}

func newRestriction(n *plan.Node, p pairing) *restriction {
	r := &restriction{pairing: p, unless: n.Binary.Op == plan.Unless}
	r.node, r.shape = n, p.left.in.shape
	r.bind()
	return r
}

func (r *restriction) bind() {
	r.follow()
	for _, lane := range r.left.went {
		r.release(&r.left, lane)
	}
	for _, lane := range r.right.went {
		r.release(&r.right, lane)
	}
	for _, lane := range r.left.came {
		r.pairing.bind(&r.left, lane)
	}
	for _, lane := range r.right.came {
		r.pairing.bind(&r.right, lane)
	}
	r.column.OK = r.column.OK.Grow(r.lanes.Len())
	r.share()
}

func (r *restriction) share() {
	r.column.V = r.left.in.column.V[:len(r.column.OK)*column.WordLanes]
}

func (r *restriction) full(int64) error {
	r.start()
	r.share()
	r.countAll(&r.right)
	for w := range r.column.OK {
		r.column.OK[w] = r.pass(w)
	}
	return nil
}

// pass returns which lanes of word w pass.
func (r *restriction) pass(w int) uint64 {
	ok := r.left.in.column.OK[w]
	if ok == 0 {
		return 0
	}
	var found uint64
	ids, present := r.left.of.id[w*column.WordLanes:], r.present
	if ok == ^uint64(0) {
		for i, sig := range ids[:column.WordLanes] {
			found |= bit(present[sig] != 0) << uint(i)
		}
	} else {
		for rest := ok; rest != 0; rest &= rest - 1 {
			i := bits.TrailingZeros64(rest)
			if sig := ids[i]; sig != none && present[sig] != 0 {
				found |= 1 << uint(i)
			}
		}
	}
	if r.unless {
		return ok &^ found
	}
	return found
}

func (r *restriction) update(int64) error {
	all, lost := r.moved(), r.left.moved()
	r.start()
	r.share()
	if all {
		r.countAll(&r.right)
		for w := range r.column.OK {
			r.dirty.add(uint32(w))
		}
	} else {
		for i := range r.right.in.marks.Words() {
			r.recount(&r.right, i, r.reach)
		}
	}
	marks := &r.left.in.marks
	for i, w := range marks.Words() {
		r.renewShared(int(w), r.pass(int(w)), marks.Old(i).V[:])
	}
	for _, w := range r.dirty.list {
		if !marks.Has(w) {
			r.renewShared(int(w), r.pass(int(w)), nil)
		}
	}
	if lost {
		r.touchAll()
	}
	return nil
}

// reach finds the words of the left side that a signature leads to.
func (r *restriction) reach(sig uint32) {
	of := &r.left.of
	for l := of.head[sig]; l != none; l = of.next[l] {
		r.dirty.add(l / column.WordLanes)
	}
}

func (r *restriction) bytes() int { return 8*cap(r.column.OK) + r.pairing.bytes() }
