package exec

import (
	"math"
	"math/bits"
)

// mapFunction returns the kernel of a function, by upstream's name or "neg", and the part of a date that it is after.
func mapFunction(name string) (mapKernel, datePart) {
	switch name {
	case "neg":
		return negate, 0
	case "abs":
		return absolute, 0
	case "ceil":
		return ceil, 0
	case "floor":
		return floor, 0
	case "sqrt":
		return squareRoot, 0
	case "sgn":
		return sign, 0
	case "deg":
		return degrees, 0
	case "rad":
		return radians, 0
	case "clamp", "clamp_min", "clamp_max":
		return clamp, 0
	case "round":
		return round, 0
	case "timestamp":
		return constant, 0
	}
	if part := datePartOf(name); part != 0 {
		return date, part
	}
	return transcendental(name), 0
}

// The kernels of this file are cheap, and compute lanes without a value too.

func negate(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = -v[i]
	}
}

func absolute(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = math.Abs(v[i])
	}
}

func ceil(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = math.Ceil(v[i])
	}
}

func floor(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = math.Floor(v[i])
	}
}

func squareRoot(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = math.Sqrt(v[i])
	}
}

// sign leaves zeros and NaN as they are.
func sign(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		x := v[i]
		switch {
		case x < 0:
			x = -1
		case x > 0:
			x = 1
		}
		dst[i] = x
	}
}

func degrees(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = v[i] * 180 / math.Pi
	}
}

func radians(dst, v *lanes64, _ uint64, _ *mapParams) {
	for i := range dst {
		dst[i] = v[i] * math.Pi / 180
	}
}

// round rounds to multiples of 1/x, halves upwards. The inverse is what PromQL computes with, and what comes of it for
// 0 and infinities.
func round(dst, v *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = math.Floor(float64(v[i]*x)+0.5) / x // rounded twice everywhere, as in kernels
	}
}

// clamp follows math.Max and math.Min where NaN meets an infinity, which Go's max and min do not.
func clamp(dst, v *lanes64, ok uint64, p *mapParams) {
	low, high := p.low, p.high
	if low != low || high != high {
		for ; ok != 0; ok &= ok - 1 {
			i := bits.TrailingZeros64(ok)
			dst[i] = math.Max(low, math.Min(high, v[i]))
		}
		return
	}
	for i := range dst {
		x := v[i]
		if x != x {
			dst[i] = math.Max(low, math.Min(high, x))
			continue
		}
		dst[i] = max(low, min(high, x))
	}
}

// constant gives every element the value x.
func constant(dst, _ *lanes64, _ uint64, p *mapParams) {
	x := p.x
	for i := range dst {
		dst[i] = x
	}
}
