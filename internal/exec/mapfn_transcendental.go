package exec

import (
	"math"
	"math/bits"
)

// transcendental returns the kernel of a function by upstream's name.
func transcendental(name string) mapKernel {
	switch name {
	case "exp":
		return exponential
	case "ln":
		return naturalLog
	case "log2":
		return binaryLog
	case "log10":
		return decimalLog
	case "sin":
		return sine
	case "cos":
		return cosine
	case "tan":
		return tangent
	case "asin":
		return arcSine
	case "acos":
		return arcCosine
	case "atan":
		return arcTangent
	case "sinh":
		return sineH
	case "cosh":
		return cosineH
	case "tanh":
		return tangentH
	case "asinh":
		return areaSine
	case "acosh":
		return areaCosine
	case "atanh":
		return areaTangent
	}
	panic("BUG: not an element-wise function: " + name)
}

// The kernels are dear, and compute the lanes that have a value only.

func exponential(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Exp(v[i])
	}
}

func naturalLog(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Log(v[i])
	}
}

func binaryLog(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Log2(v[i])
	}
}

func decimalLog(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Log10(v[i])
	}
}

func sine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Sin(v[i])
	}
}

func cosine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Cos(v[i])
	}
}

func tangent(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Tan(v[i])
	}
}

func arcSine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Asin(v[i])
	}
}

func arcCosine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Acos(v[i])
	}
}

func arcTangent(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Atan(v[i])
	}
}

func sineH(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Sinh(v[i])
	}
}

func cosineH(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Cosh(v[i])
	}
}

func tangentH(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Tanh(v[i])
	}
}

func areaSine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Asinh(v[i])
	}
}

func areaCosine(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Acosh(v[i])
	}
}

func areaTangent(dst, v *lanes64, ok uint64, _ *mapParams) {
	for ; ok != 0; ok &= ok - 1 {
		i := bits.TrailingZeros64(ok)
		dst[i] = math.Atanh(v[i])
	}
}
