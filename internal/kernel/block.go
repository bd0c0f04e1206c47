package kernel

// WordLanes is how many lanes a word of a bitmap holds.
const WordLanes = 64

// MaxWords bounds a run: machine code cannot be preempted, and so must be done soon. It is 65,536 lanes.
const MaxWords = 1024

// Input is a column that a program reads: 64 values a word, and a bit a lane that says which of them count. What stands in
// V where OK has no bit may be anything.
type Input struct {
	V  []float64
	OK []uint64
}

// Block is what one run of a program works on. The caller owns it, and uses it for one run at a time; all of its slices
// are of heap memory, since machine code may be handed their addresses.
type Block struct {
	// Words is how many words of lanes, at most MaxWords.
	Words int
	// In are the program's inputs with at least Words words each, Params its parameters.
	In     []Input
	Params []float64
	// V takes the result's values, nil where the program has none, OK which lanes have one. They may be an input's own:
	// what a run reads of a lane it reads before it writes there. Lanes without a bit in OK may come to hold anything.
	V  []float64
	OK []uint64

	scratch []uint64
	frames  frame
}

// Scratch returns room for n uint64, kept from run to run: for intermediate results of those who run programs.
func (b *Block) Scratch(n int) []uint64 {
	if len(b.scratch) < n {
		b.scratch = make([]uint64, n)
	}
	return b.scratch[:n]
}

// frame returns room for so many registers, kept from run to run.
func (b *Block) frame(values, masks int) frame {
	f := &b.frames
	if len(f.values) < values {
		f.values = make([]word, values)
	}
	if len(f.masks) < masks {
		f.masks = make([]uint64, masks)
	}
	return *f
}

// Check panics where b is not what p works on: that is a mistake of the caller's, and machine code could not tell.
func (p *Program) Check(b *Block) {
	lanes := b.Words * WordLanes
	switch {
	case b.Words < 0 || b.Words > MaxWords:
		panic("BUG: a run of more lanes than allowed")
	case len(b.In) < p.Inputs || len(b.Params) < p.Params || len(b.OK) < b.Words || p.Value != None && len(b.V) < lanes:
		panic("BUG: a run without all its columns")
	}
	for _, in := range p.Code {
		if in.Op == Load && len(b.In[in.A].V) < lanes || in.Op == Valid && len(b.In[in.A].OK) < b.Words {
			panic("BUG: a run with a column that is too short")
		}
	}
}

// Runner runs one program. It is safe for concurrent use with different blocks.
type Runner interface {
	// Run computes b.V and b.OK.
	Run(b *Block)
	// Tier says how: 1 is vectorised Go, 2 machine code. It may change between two runs.
	Tier() int
	// Why says why it is not machine code: off, waiting, cold, or what stands in the way. It is "" for what is, and where
	// nothing makes machine code.
	Why() string
	// ID names the kernel for people; programs of equal key have the same, "" where they share nothing.
	ID() string
	// Close gives the runner back. No run is under way, and none follows.
	Close()
}

// Library hands out runners.
type Library interface {
	// Open returns a runner of p. expression is what it is for, for people.
	Open(p *Program, expression string) Runner
}
