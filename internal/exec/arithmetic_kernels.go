package exec

import (
	"math"
	"math/bits"

	"github.com/tocsin/tocsin/internal/plan"
)

// scalarLast returns the kernel of v op s for arithmetic operators, nil for comparisons; s is params.x.
func scalarLast(op plan.Operator) mapKernel {
	switch op {
	case plan.Add:
		return add
	case plan.Sub:
		return subtract
	case plan.Mul:
		return multiply
	case plan.Div:
		return divide
	case plan.Mod:
		return modulo
	case plan.Pow:
		return power
	case plan.Atan2:
		return atan2
	}
	return nil
}

// scalarFirst returns the kernel of s op v for arithmetic operators, nil for comparisons; s is params.x.
func scalarFirst(op plan.Operator) mapKernel {
	switch op {
	case plan.Add:
		return add
	case plan.Sub:
		return subtractFrom
	case plan.Mul:
		return multiply
	case plan.Div:
		return divideInto
	case plan.Mod:
		return moduloOf
	case plan.Pow:
		return powerOf
	case plan.Atan2:
		return atan2Of
	}
	return nil
}

// The cheap kernels compute all lanes, whether they have a value or not: that is faster than to ask.

func add(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = v[i] + x
	}
}

func subtract(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = v[i] - x
	}
}

func subtractFrom(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = x - v[i]
	}
}

func multiply(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = v[i] * x
	}
}

func divide(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = v[i] / x
	}
}

func divideInto(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = x / v[i]
	}
}

// truth is a comparison with the bool modifier.
func truth(dst, v *lanes64, _ uint64, p *mapParams) {
	holds := p.holds(v, p.x)
	for i := range dst {
		dst[i] = float64(holds & 1)
		holds >>= 1
	}
}

// The dear ones compute the lanes that have a value.

func modulo(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Mod(v[i], p.x)
	}
}

func moduloOf(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Mod(p.x, v[i])
	}
}

func power(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Pow(v[i], p.x)
	}
}

func powerOf(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Pow(p.x, v[i])
	}
}

func atan2(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Atan2(v[i], p.x)
	}
}

func atan2Of(dst, v *lanes64, ok uint64, p *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Atan2(p.x, v[i])
	}
}
