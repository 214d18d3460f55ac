// Package softfp is floating-point arithmetic as x86 does it, bit for bit, in
// portable Go: SSE and AVX on float32 and float64 with MXCSR's rounding modes,
// denormals-are-zeros, flush-to-zero and exception flags; FMA3 and F16C; and the
// x87 unit's 80-bit format with precision control and its functions.
//
// # How it works
//
// A finite operand is unpacked into a num: sign, exponent and a 128-bit
// significand with its leading one at the top. Addition, multiplication,
// division and square root on nums are exact, or exact but for a last bit that
// stands for everything below it (the sticky bit); 128 bits are enough that
// such a result rounds like the exact one, to any of the formats. Rounding,
// overflow, underflow and denormals are then in one place.
//
// In front of that stand fast paths. Where all exceptions are masked, rounding
// is to nearest and the operands and the result are normal, the host's own
// addition gives the same bits, and what is left to find is whether the result
// is exact; it does not matter once MXCSR.PE is set, which most programs do with
// their first division.
//
// # Flags and traps
//
// A function takes MXCSR and returns the flags its operation raises (IE to PE,
// bits 0 to 5), the ones already set included or not. The caller ORs them into
// MXCSR, and raises #XM in place of writing the result where one is not masked:
// see Unmasked. As on silicon (SDM volume 1, 11.5.2 and 4.9.2), an unmasked
// invalid, divide-by-zero or denormal exception comes before the operation, so
// then no overflow, underflow or precision flag is reported.
package softfp

import "math/bits"

// Exception flags, as in MXCSR and in the x87 status word.
const (
	IE uint32 = 1 << iota // invalid operation
	DE                    // denormal operand
	ZE                    // division by zero
	OE                    // overflow
	UE                    // underflow
	PE                    // inexact result
)

// Fields of MXCSR (SDM volume 1, 10.2.3).
const (
	DAZ      uint32 = 1 << 6  // denormal operands are zeros
	MaskAll  uint32 = 0x1f80  // all exceptions masked
	FTZ      uint32 = 1 << 15 // tiny results are zeros
	rcShift         = 13
	maskBits        = 7 // MXCSR bit of the mask of IE
)

// Rounding modes, as in MXCSR.RC and the x87 control word's RC.
const (
	Nearest uint8 = iota // ties to even
	Down
	Up
	Zero
)

// Unmasked returns those of flags that MXCSR does not mask. If there are any the
// instruction raises #XM and leaves its destination as it was.
func Unmasked(flags, mxcsr uint32) uint32 { return flags &^ (mxcsr >> maskBits) & 0x3f }

// settle drops the flags that come after an operation where an unmasked one
// comes before it.
func settle(flags, mxcsr uint32) uint32 {
	if Unmasked(flags&(IE|DE|ZE), mxcsr) != 0 {
		flags &= IE | DE | ZE
	}
	return flags
}

func rc(mxcsr uint32) uint8 { return uint8(mxcsr >> rcShift & 3) }

// num is a finite number that is not zero: (hi:lo / 2^127) * 2^exp, with the top
// bit of hi set. Bit 0 of lo may be sticky.
type num struct {
	neg    bool
	exp    int32
	hi, lo uint64
}

// jam shifts hi:lo right by n, ORing what falls out into bit 0.
func jam(hi, lo uint64, n uint32) (uint64, uint64) {
	switch {
	case n == 0:
		return hi, lo
	case n < 64:
		out := lo << (64 - n)
		lo = lo>>n | hi<<(64-n)
		hi >>= n
		if out != 0 {
			lo |= 1
		}
		return hi, lo
	case n < 128:
		out := lo
		if n > 64 {
			out |= hi << (128 - n)
		}
		lo = hi >> (n - 64)
		if out != 0 {
			lo |= 1
		}
		return 0, lo
	}
	if hi|lo != 0 {
		return 0, 1
	}
	return 0, 0
}

// norm brings the leading one of a significand that is not zero to the top.
func (n *num) norm() {
	if n.hi == 0 {
		n.hi, n.lo = n.lo, 0
		n.exp -= 64
	}
	if s := bits.LeadingZeros64(n.hi); s != 0 {
		n.hi = n.hi<<s | n.lo>>(64-s)
		n.lo <<= s
		n.exp -= int32(s)
	}
}

// addNum adds; zero says that the sum is exactly zero.
func addNum(a, b num) (r num, zero bool) {
	if a.exp < b.exp || a.exp == b.exp && (a.hi < b.hi || a.hi == b.hi && a.lo < b.lo) {
		a, b = b, a
	}
	h, l := jam(b.hi, b.lo, uint32(a.exp-b.exp))
	r = a
	if a.neg == b.neg {
		var c uint64
		r.lo, c = bits.Add64(a.lo, l, 0)
		r.hi, c = bits.Add64(a.hi, h, c)
		if c != 0 {
			r.hi, r.lo = jam(r.hi, r.lo, 1)
			r.hi |= 1 << 63
			r.exp++
		}
		return r, false
	}
	var c uint64
	r.lo, c = bits.Sub64(a.lo, l, 0)
	r.hi, _ = bits.Sub64(a.hi, h, c)
	if r.hi|r.lo == 0 {
		return r, true
	}
	r.norm()
	return r, false
}

// mulNum multiplies two nums of at most 64 significant bits.
func mulNum(a, b num) num {
	r := num{neg: a.neg != b.neg, exp: a.exp + b.exp + 1}
	r.hi, r.lo = bits.Mul64(a.hi, b.hi)
	if r.hi>>63 == 0 {
		r.hi = r.hi<<1 | r.lo>>63
		r.lo <<= 1
		r.exp--
	}
	return r
}

// divNum divides two nums of at most 64 significant bits.
func divNum(a, b num) num {
	r := num{neg: a.neg != b.neg, exp: a.exp - b.exp}
	var rem uint64
	if a.hi >= b.hi {
		r.hi, rem = bits.Div64(a.hi>>1, a.hi<<63, b.hi)
	} else {
		r.exp--
		r.hi, rem = bits.Div64(a.hi, 0, b.hi)
	}
	r.lo, rem = bits.Div64(rem, 0, b.hi)
	if rem != 0 {
		r.lo |= 1
	}
	return r
}

// sqrtNum takes the root of a positive num of at most 64 significant bits.
func sqrtNum(a num) num {
	// The radicand has an even exponent: 2^126 <= hi:lo < 2^128.
	hi, lo := a.hi, uint64(0)
	if a.exp&1 == 0 {
		hi, lo = a.hi>>1, a.hi<<63
	}
	root, rem := sqrt128(hi, lo)
	r := num{exp: a.exp >> 1, hi: root}
	// (root + 1/2)^2 is past the radicand iff rem <= root.
	if rem > 0 {
		r.lo = 1
	}
	if rem > root {
		r.lo |= 1 << 63
	}
	return r
}

// sqrt128 returns the integer root of hi:lo >= 2^126, and min(hi:lo - root^2,
// 2^64-1); the true remainder is at most 2*root.
func sqrt128(hi, lo uint64) (root, rem uint64) {
	// Newton's method from a root of the leading bits.
	x := seedSqrt(hi)
	for range 2 {
		if x > hi {
			q, _ := bits.Div64(hi, lo, x)
			s, c := bits.Add64(x, q, 0)
			x = s>>1 | c<<63
		}
	}
	for {
		h, l := bits.Mul64(x, x)
		if h > hi || h == hi && l > lo {
			x--
			continue
		}
		rl, br := bits.Sub64(lo, l, 0)
		rh, _ := bits.Sub64(hi, h, br)
		// (x+1)^2 = x^2 + 2x + 1 must be past the radicand.
		if rh > x>>63 || rh == x>>63 && rl > x<<1 {
			x++
			continue
		}
		if rh != 0 {
			rl = ^uint64(0)
		}
		return x, rl
	}
}

// round rounds to prec bits (1 to 64), as if exponents had no limits. It returns
// the significand with its leading one at bit 63.
func (n num) round(prec uint, mode uint8) (sig uint64, exp int32, inexact, up bool) {
	drop := 64 - prec
	low := n.hi & (1<<drop - 1) // of hi, bits that fall out
	sig, exp = n.hi-low, n.exp
	if low|n.lo == 0 {
		return sig, exp, false, false
	}
	switch mode {
	case Nearest:
		var half, rest bool
		if drop == 0 {
			half, rest = n.lo>>63 != 0, n.lo<<1 != 0
		} else {
			half, rest = low>>(drop-1) != 0, low&(1<<(drop-1)-1)|n.lo != 0
		}
		up = half && (rest || sig>>drop&1 != 0)
	case Down:
		up = n.neg
	case Up:
		up = !n.neg
	}
	if up {
		if sig += 1 << drop; sig == 0 {
			sig = 1 << 63
			exp++
		}
	}
	return sig, exp, true, up
}

// roundFixed rounds to a multiple of 2^unit and returns that multiple; ok says
// that it fits 64 bits.
func (n num) roundFixed(unit int32, mode uint8) (v uint64, inexact, up, ok bool) {
	s := 63 + unit - n.exp // how far hi's unit is to the left of the result's
	if s < 0 {
		return 0, false, false, false
	}
	hi, lo := jam(n.hi, n.lo, uint32(min(s, 200)))
	if lo != 0 {
		inexact = true
		switch mode {
		case Nearest:
			up = lo>>63 != 0 && (lo<<1 != 0 || hi&1 != 0)
		case Down:
			up = n.neg
		case Up:
			up = !n.neg
		}
		if up {
			hi++
			if hi == 0 {
				return 0, true, true, false
			}
		}
	}
	return hi, inexact, up, true
}
