package kernel

import "math"

// word is the values of 64 lanes.
type word = [WordLanes]float64

// Interpreter runs a program in vectorised Go, a word of lanes at a time: tier 1, and what every back end is compared
// with.
type Interpreter struct {
	program *Program
	// register is, by instruction, where its value or mask stands; values and masks count by themselves.
	register      []int32
	values, masks int
}

// NewInterpreter returns a runner of p.
func NewInterpreter(p *Program) *Interpreter {
	r := &Interpreter{program: p, register: make([]int32, len(p.Code))}
	last := p.LastUses()
	var freeValues, freeMasks []int32
	take := func(free *[]int32, n *int) int32 {
		if last := len(*free) - 1; last >= 0 {
			r := (*free)[last]
			*free = (*free)[:last]
			return r
		}
		*n++
		return int32(*n - 1)
	}
	for i, in := range p.Code {
		// A result's register is another than its operands': some loops read what they have written over.
		switch {
		case in.Op == Load:
			r.register[i] = None // it stands in the input
		case in.Op == Param:
			r.register[i] = int32(r.values) // its own, since it is filled once a run
			r.values++
		case in.Op.Mask():
			r.register[i] = take(&freeMasks, &r.masks)
		default:
			r.register[i] = take(&freeValues, &r.values)
		}
		for n, a := range in.Args() {
			again := n > 0 && a == in.A || n > 1 && a == in.B
			switch op := p.Code[a].Op; {
			case again || last[a] != int32(i) || op == Load || op == Param: // parameters stand for the whole run
			case op.Mask():
				freeMasks = append(freeMasks, r.register[a])
			default:
				freeValues = append(freeValues, r.register[a])
			}
		}
	}
	return r
}

// Tier implements Runner.
func (*Interpreter) Tier() int { return 1 }

// Why implements Runner.
func (*Interpreter) Why() string { return "" }

// ID implements Runner.
func (*Interpreter) ID() string { return "" }

// Close implements Runner.
func (*Interpreter) Close() {}

// frame is the registers of a run.
type frame struct {
	values []word
	masks  []uint64
}

// Run implements Runner.
func (r *Interpreter) Run(b *Block) {
	p := r.program
	p.Check(b)
	f := b.frame(r.values, r.masks)
	for i, in := range p.Code {
		if in.Op == Param {
			fill(&f.values[r.register[i]], b.Params[in.A])
		}
	}
	for w := range b.Words {
		r.word(b, f, w)
	}
}

// word runs the program over word w of the block.
func (r *Interpreter) word(b *Block, f frame, w int) {
	p := r.program
	value := func(n int32) *word {
		if in := &p.Code[n]; in.Op == Load {
			return (*word)(b.In[in.A].V[w*WordLanes:])
		}
		return &f.values[r.register[n]]
	}
	for i := range p.Code {
		in := &p.Code[i]
		switch in.Op {
		case Load, Param:
		case Valid:
			f.masks[r.register[i]] = b.In[in.A].OK[w]
		case And:
			f.masks[r.register[i]] = f.masks[r.register[in.A]] & f.masks[r.register[in.B]]
		case Or:
			f.masks[r.register[i]] = f.masks[r.register[in.A]] | f.masks[r.register[in.B]]
		case AndNot:
			f.masks[r.register[i]] = f.masks[r.register[in.A]] &^ f.masks[r.register[in.B]]
		case Less, LessEqual, Equal, NotEqual:
			f.masks[r.register[i]] = compare(in.Op, value(in.A), value(in.B))
		case Select:
			choose(&f.values[r.register[i]], f.masks[r.register[in.A]], value(in.B), value(in.C))
		case Bool:
			truth(&f.values[r.register[i]], f.masks[r.register[in.A]])
		case Add, Sub, Mul, Div:
			combine(in.Op, &f.values[r.register[i]], value(in.A), value(in.B))
		default:
			apply(in.Op, &f.values[r.register[i]], value(in.A))
		}
	}
	if p.Value != None {
		*(*word)(b.V[w*WordLanes:]) = *value(p.Value)
	}
	b.OK[w] = f.masks[r.register[p.Mask]]
}

func fill(dst *word, x float64) {
	for i := range dst {
		dst[i] = x
	}
}

func combine(op Op, dst, a, b *word) {
	switch op {
	case Add:
		for i := range dst {
			dst[i] = a[i] + b[i]
		}
	case Sub:
		for i := range dst {
			dst[i] = a[i] - b[i]
		}
	case Mul:
		for i := range dst {
			dst[i] = a[i] * b[i]
		}
	case Div:
		for i := range dst {
			dst[i] = a[i] / b[i]
		}
	}
}

func apply(op Op, dst, a *word) {
	switch op {
	case Neg:
		for i := range dst {
			dst[i] = -a[i]
		}
	case Abs:
		for i := range dst {
			dst[i] = math.Abs(a[i])
		}
	case Sqrt:
		for i := range dst {
			dst[i] = math.Sqrt(a[i])
		}
	case Floor:
		for i := range dst {
			dst[i] = math.Floor(a[i])
		}
	case Ceil:
		for i := range dst {
			dst[i] = math.Ceil(a[i])
		}
	}
}

func choose(dst *word, m uint64, yes, no *word) {
	switch m {
	case 0:
		*dst = *no
	case math.MaxUint64:
		*dst = *yes
	default:
		for i := range dst {
			// Without a branch: which way a lane goes cannot be foreseen.
			take := -(m >> uint(i) & 1)
			dst[i] = math.Float64frombits(math.Float64bits(yes[i])&take | math.Float64bits(no[i])&^take)
		}
	}
}

func truth(dst *word, m uint64) {
	for i := range dst {
		dst[i] = float64(m & 1)
		m >>= 1
	}
}

// The comparisons take four lanes a step, without branches: their bits depend on nothing but themselves, so that the
// processor computes them side by side, and come in from the top.
const (
	stride   = 4
	topLanes = WordLanes - stride
)

func compare(op Op, a, b *word) (holds uint64) {
	switch op {
	case Less:
		for i := 0; i < len(a); i += stride {
			x, y := (*[stride]float64)(a[i:]), (*[stride]float64)(b[i:])
			four := bit(x[0] < y[0]) | bit(x[1] < y[1])<<1 | bit(x[2] < y[2])<<2 | bit(x[3] < y[3])<<3
			holds = holds>>stride | four<<topLanes
		}
	case LessEqual:
		for i := 0; i < len(a); i += stride {
			x, y := (*[stride]float64)(a[i:]), (*[stride]float64)(b[i:])
			four := bit(x[0] <= y[0]) | bit(x[1] <= y[1])<<1 | bit(x[2] <= y[2])<<2 | bit(x[3] <= y[3])<<3
			holds = holds>>stride | four<<topLanes
		}
	case Equal:
		for i := 0; i < len(a); i += stride {
			x, y := (*[stride]float64)(a[i:]), (*[stride]float64)(b[i:])
			four := bit(x[0] == y[0]) | bit(x[1] == y[1])<<1 | bit(x[2] == y[2])<<2 | bit(x[3] == y[3])<<3
			holds = holds>>stride | four<<topLanes
		}
	case NotEqual:
		return ^compare(Equal, a, b)
	}
	return holds
}

func bit(b bool) (n uint64) {
	if b {
		n = 1
	}
	return n
}
