package amd64

import "github.com/tocsin/tocsin/internal/kernel"

// The general registers' parts.
const (
	arguments = rdi
	spill     = rsi
	lane      = rcx // byte of the strip in a column of values
	word      = rdx
	scratch   = rax
	strip     = rbx // number of the strip, in loops over strips
)

// argument is word n of the argument block.
func argument(n int32) operand { return at(arguments, n*wordBytes) }

// Words of the argument block; each input has two from firstInput on: the address of its values, and that of its OK.
const (
	argWords int32 = iota
	argParams
	argSpill
	argOK
	argValues
	firstInput
)

func inputValues(n int32) operand { return argument(firstInput + 2*n) }
func inputOK(n int32) operand     { return argument(firstInput + 2*n + 1) }

// ofWord is the present word of a bitmap.
func ofWord(base reg) operand { return operand{base: base, index: word, scale: 3} }

// worder emits the parts that work on words of 64 lanes. It keeps the words.
type worder struct {
	*assembler
	program *kernel.Program
	layout  *layout
	values  values
	general file
}

// early emits the part before the strips. Words that later parts want are put into the spill area.
func (w *worder) early(registers uint32) {
	look(w.layout.early, w.values.next)
	w.general.open(registers)
	for n := range w.layout.early {
		st := &w.layout.early[n]
		if st.count > 0 {
			w.combine(st, w.program.Code[st.ins].Op)
		} else {
			r := w.values.take(&w.general)
			w.fetch(r, st.ins)
			w.values.hold(&w.general, st.ins, r)
		}
		if w.layout.traits[st.ins]&(strips|words) != 0 {
			home := w.values.area.take(wordBytes)
			w.save(reg(w.values.reg[st.ins]), home)
			w.values.home[st.ins] = home
		}
		w.values.used(&w.general, st.ins, w.values.next[st.ins])
	}
}

// late emits the part after the strips. The collected words stand in their registers and homes.
func (w *worder) late(registers uint32) {
	look(w.layout.late, w.values.next)
	w.general.open(registers)
	for _, x := range w.layout.collected {
		if r := w.values.reg[x]; r != none {
			w.general.free &^= 1 << uint(r)
			w.general.held[r] = x
		}
	}
	for n := range w.layout.late {
		st := &w.layout.late[n]
		if st.ins != kernel.None {
			w.combine(st, w.program.Code[st.ins].Op)
			continue
		}
		r := w.values.use(&w.general, st.args[0])
		to := w.values.take(&w.general)
		w.legacy(opLoadWord, to, argument(argOK))
		w.legacy(opStoreWord, r, ofWord(to))
	}
}

func (w *worder) combine(st *step, op kernel.Op) {
	a, b := st.args[0], st.args[1]
	switch {
	case op == kernel.AndNot && a == b:
		w.release(st)
		d := w.values.take(&w.general)
		w.zero(d)
		w.values.hold(&w.general, st.ins, d)
		return
	case op == kernel.AndNot:
		d := w.copied(st, 1)
		w.legacy(opInvert, 2, direct(d))
		w.apply(st, opAnd, d, a)
		return
	case st.next[0] != never && st.next[1] == never:
		a, b = b, a
		st.args[0], st.args[1] = a, b
		st.next[0], st.next[1] = st.next[1], st.next[0]
	}
	d := w.copied(st, 0)
	if op == kernel.Or {
		w.apply(st, opOr, d, b)
	} else {
		w.apply(st, opAnd, d, b)
	}
}

// copied returns a register with the value of the step's argument n that may be overwritten; nobody's, and locked.
func (w *worder) copied(st *step, n int) reg {
	x := st.args[n]
	r := w.values.use(&w.general, x)
	if st.next[n] == never && st.args[0] != st.args[1] {
		w.values.reg[x] = none // It stays taken: the result will stand there.
		return r
	}
	d := w.values.take(&w.general)
	w.move(d, r)
	w.general.locked |= 1 << d
	return d
}

// apply computes d = d op x, which is the step's result.
func (w *worder) apply(st *step, op byte, d reg, x int32) {
	if w.values.reg[x] == none && w.values.home[x] != none {
		w.legacy(op, d, at(spill, w.values.home[x]))
	} else {
		w.legacy(op, d, direct(w.values.use(&w.general, x)))
	}
	w.release(st)
	w.values.hold(&w.general, st.ins, d)
}

// release ends a step.
func (w *worder) release(st *step) {
	w.general.locked = 0
	for n := range st.count {
		w.values.used(&w.general, st.args[n], st.next[n])
		w.values.forget(&w.general, st.args[n])
	}
}

// fetch implements keeper.
func (w *worder) fetch(r reg, x int32) {
	if home := w.values.home[x]; home != none {
		w.legacy(opLoadWord, r, at(spill, home))
		return
	}
	w.legacy(opLoadWord, r, inputOKOf(w.program, x))
	w.legacy(opLoadWord, r, ofWord(r))
}

func inputOKOf(p *kernel.Program, x int32) operand { return inputOK(p.Code[x].A) }

// save implements keeper.
func (w *worder) save(r reg, place int32) { w.legacy(opStoreWord, r, at(spill, place)) }
