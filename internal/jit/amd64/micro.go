package amd64

// micro is an instruction of a strip with its registers, to be encoded once for every strip.
type micro struct {
	form form
	d, a reg
	// x is an immediate byte, a mask register, or the number of a constant.
	x  uint8
	op opcode
	b  source
}

// form is how a micro is encoded, and what its fields are.
type form uint8

const (
	unary      form = iota // d = op b
	binary                 // d = op a b
	unaryByte              // d = op b x
	binaryByte             // d = op a b x
	blend                  // d = b where mask x is set, a elsewhere
	unit                   // d = 1 (which is a) where mask x is set, 0 elsewhere
	spread                 // d = b in all lanes
	literal                // d = constant x
	store                  // b = d
	expand                 // mask d = the strip's bits of the word b
	collect                // append the bits of mask d to collected word b
	maskBinary             // mask d = op a b
	maskLoad               // mask d = b
	maskStore              // b = mask d
)

// source is what a micro's b is.
type source struct {
	kind sourceKind
	r    reg   // inRegister
	n    int32 // the input, the parameter, the place, or the collected word
}

type sourceKind uint8

const (
	inRegister sourceKind = iota
	inInput               // the strip of input n
	inParam               // parameter n
	inArea                // the spill area at n
	inWord                // the strip's bits of the word in the spill area at n
	inResult              // the strip of the result
)

func register(r reg) source { return source{kind: inRegister, r: r} }
