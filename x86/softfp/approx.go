package softfp

import "math"

// RCPPS and RSQRTPS. The SDM bounds their relative error by 1.5*2^-12 and leaves
// the bits to the implementation: Intel's and AMD's tables differ, from each other
// and from the results of the portable functions here, which are the exact ones
// rounded to 13 bits. On amd64 the host's instructions do it, so that the guest
// sees what it would see natively, whichever engine runs it.
// They raise no flags, take denormals as zeros and give zeros for tiny results,
// whatever MXCSR says.

// coarse rounds a positive normal float32 to 13 significant bits.
func coarse(x float64) uint32 {
	return (math.Float32bits(float32(x)) + 1<<10) &^ (1<<11 - 1)
}

func portableRcp(b uint32) uint32 {
	sign := b & (1 << 31)
	switch m := b &^ sign; {
	case m > 0x7f800000:
		return b | 1<<22
	case m == 0x7f800000:
		return sign
	case m < 0x00800000:
		return sign | 0x7f800000
	case m >= 0x7e800000: // 2^126
		return sign
	default:
		return sign | coarse(1/float64(f32b(m)))
	}
}

func portableRsqrt(b uint32) uint32 {
	sign := b & (1 << 31)
	switch m := b &^ sign; {
	case m > 0x7f800000:
		return b | 1<<22
	case m < 0x00800000:
		return sign | 0x7f800000
	case sign != 0:
		return uint32(f32.indefinite())
	case m == 0x7f800000:
		return 0
	default:
		return coarse(1 / math.Sqrt(float64(f32b(m))))
	}
}

func rcp32(_, b uint32, _ uint32) (uint32, uint32)   { return rcp(b), 0 }
func rsqrt32(_, b uint32, _ uint32) (uint32, uint32) { return rsqrt(b), 0 }

// RCPPS gives approximate reciprocals.
func RCPPS(d, a, b *V128, m uint32) uint32 { return ps(d, a, b, m, rcp32) }

// RCPSS gives the approximate reciprocal of the low float32 of b.
func RCPSS(d, a, b *V128, m uint32) uint32 { return ss(d, a, b, m, rcp32) }

// RSQRTPS gives approximate reciprocals of square roots.
func RSQRTPS(d, a, b *V128, m uint32) uint32 { return ps(d, a, b, m, rsqrt32) }

// RSQRTSS gives the approximate reciprocal of the square root of the low float32
// of b.
func RSQRTSS(d, a, b *V128, m uint32) uint32 { return ss(d, a, b, m, rsqrt32) }
