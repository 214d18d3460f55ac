package softfp

import "math"

// Scalar operations on the bits of float32 and float64, with fast paths.
//
// quick holds for an MXCSR with all exceptions masked and rounding to nearest.
// DAZ and FTZ may be anything: a fast path sees neither denormal operands nor
// tiny results. A result next to the denormals is left to the slow path too: it
// may have been tiny before it was rounded up.
//
// Where PE is already set a fast path need not know whether its result is exact
// and reports nothing. Else it computes the rounding error: that of a sum and,
// by a fused multiply-add, the residues of a product, a quotient or a root are
// floating-point numbers themselves unless they underflow, so operands far down
// take the slow path.

func quick(mxcsr uint32) bool { return mxcsr&0x7f80 == MaskAll }

// plain says that x is normal or zero.
func plain64(x uint64) bool { return x<<1-1<<53 < 0x7fe<<53 || x<<1 == 0 }
func plain32(x uint32) bool { return x<<1-1<<24 < 0xfe<<24 || x<<1 == 0 }

// above says that x is normal, with an exponent field above e.
func above64(x uint64, e uint64) bool { return x<<1-(e+1)<<53 < (0x7fe-e)<<53 }
func above32(x uint32, e uint32) bool { return x<<1-(e+1)<<24 < (0xfe-e)<<24 }

const safe64 = 2*53 + 2 // exponent field from which residues do not underflow

func peIf(inexact bool) uint32 {
	if inexact {
		return PE
	}
	return 0
}

func f64b(x uint64) float64 { return math.Float64frombits(x) }
func f32b(x uint32) float32 { return math.Float32frombits(x) }

// Add64 adds float64s.
func Add64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if quick(mxcsr) && plain64(a) && plain64(b) {
		x, y := f64b(a), f64b(b)
		s := x + y
		if r := math.Float64bits(s); plain64(r) {
			if mxcsr&PE != 0 || r<<1 == 0 {
				return r, 0
			}
			if math.Abs(s) < 1e300 {
				z := s - x
				return r, peIf((x-(s-z))+(y-z) != 0)
			}
		}
	}
	return f64.add(a, b, mxcsr)
}

// Sub64 subtracts b from a.
func Sub64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if b<<1 > 0x7ff<<53 { // a NaN keeps its sign
		return f64.sub(a, b, mxcsr)
	}
	return Add64(a, b^1<<63, mxcsr)
}

// Mul64 multiplies float64s.
func Mul64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if quick(mxcsr) && plain64(a) && plain64(b) {
		x, y := f64b(a), f64b(b)
		p := float64(x * y)
		r := math.Float64bits(p)
		if a<<1 == 0 || b<<1 == 0 {
			return r, 0
		}
		if mxcsr&PE != 0 && above64(r, 1) {
			return r, 0
		}
		if above64(r, safe64) {
			return r, peIf(math.FMA(x, y, -p) != 0)
		}
	}
	return f64.mul(a, b, mxcsr)
}

// Div64 divides a by b.
func Div64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if quick(mxcsr) && plain64(a) && above64(b, 0) {
		x, y := f64b(a), f64b(b)
		q := x / y
		r := math.Float64bits(q)
		if a<<1 == 0 {
			return r, 0
		}
		if mxcsr&PE != 0 && above64(r, 1) {
			return r, 0
		}
		if above64(r, 1) && above64(a, safe64) {
			return r, peIf(math.FMA(-q, y, x) != 0)
		}
	}
	return f64.div(a, b, mxcsr)
}

// Sqrt64 takes the square root.
func Sqrt64(a uint64, mxcsr uint32) (uint64, uint32) {
	if quick(mxcsr) && above64(a, safe64) && a>>63 == 0 {
		x := f64b(a)
		s := math.Sqrt(x)
		if mxcsr&PE != 0 {
			return math.Float64bits(s), 0
		}
		return math.Float64bits(s), peIf(math.FMA(s, s, -x) != 0)
	}
	return f64.sqrt(a, mxcsr)
}

// FMA64 computes a*b+c with one rounding, the product negated by negP and c by
// negC.
func FMA64(a, b, c uint64, negP, negC bool, mxcsr uint32) (uint64, uint32) {
	if quick(mxcsr) && mxcsr&PE != 0 && plain64(a) && plain64(b) && plain64(c) {
		x, z := f64b(a), f64b(c)
		if negP {
			x = -x
		}
		if negC {
			z = -z
		}
		if r := math.Float64bits(math.FMA(x, f64b(b), z)); above64(r, 1) {
			return r, 0
		}
	}
	return f64.fma(a, b, c, negP, negC, mxcsr)
}

// Min64 gives the lesser, and b where there is none.
func Min64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if plain64(a) && plain64(b) {
		if f64b(a) < f64b(b) {
			return a, 0
		}
		return b, 0
	}
	return f64.minmax(a, b, -1, mxcsr)
}

// Max64 gives the greater, and b where there is none.
func Max64(a, b uint64, mxcsr uint32) (uint64, uint32) {
	if plain64(a) && plain64(b) {
		if f64b(a) > f64b(b) {
			return a, 0
		}
		return b, 0
	}
	return f64.minmax(a, b, 1, mxcsr)
}

// Cmp64 evaluates predicate pred (0 to 31, as VCMPSD's immediate).
func Cmp64(a, b uint64, pred uint8, mxcsr uint32) (bool, uint32) {
	return f64.cmp(a, b, pred, mxcsr)
}

// Comi64 compares as COMISD does (signal: quiet NaNs too are invalid) or as
// UCOMISD; eflags has ZF, PF and CF, the other arithmetic flags are cleared.
func Comi64(a, b uint64, signal bool, mxcsr uint32) (eflags, flags uint32) {
	if plain64(a) && plain64(b) {
		switch x, y := f64b(a), f64b(b); {
		case x < y:
			return 1, 0
		case x == y:
			return 0x40, 0
		}
		return 0, 0
	}
	eflags, flags = f64.comi(a, b, signal, mxcsr)
	return eflags, settle(flags, mxcsr)
}

// Round64 rounds to an integer, by ROUNDSD's immediate.
func Round64(a uint64, imm uint8, mxcsr uint32) (uint64, uint32) {
	return f64.roundInt(a, imm, mxcsr)
}

// Int32From64 converts to a signed doubleword by MXCSR's rounding mode, or by
// truncation; what does not fit gives 80000000h.
func Int32From64(a uint64, trunc bool, mxcsr uint32) (uint32, uint32) {
	v, fl := intFrom64(a, 32, trunc, mxcsr)
	return uint32(v), fl
}

// Int64From64 converts to a signed quadword.
func Int64From64(a uint64, trunc bool, mxcsr uint32) (uint64, uint32) {
	return intFrom64(a, 64, trunc, mxcsr)
}

func intFrom64(a uint64, size uint, trunc bool, mxcsr uint32) (uint64, uint32) {
	mode := rc(mxcsr)
	if trunc {
		mode = Zero
	}
	// 1 <= |x| < 2^30, or 2^62
	if e := a >> 52 & 0x7ff; (e-1023 < uint64(size-2) || a<<1 == 0) && (mode == Zero || mode == Nearest) {
		x := f64b(a)
		t := x
		if mode == Nearest {
			t = math.RoundToEven(x)
		}
		v := int64(t)
		fl := peIf(float64(v) != x)
		if size == 32 {
			return uint64(uint32(v)), fl
		}
		return uint64(v), fl
	}
	return f64.toInt(a, size, mode, mxcsr)
}

// Float64FromInt converts a signed integer.
func Float64FromInt(v int64, mxcsr uint32) (uint64, uint32) {
	if v+1<<53 < 1<<54 && v+1<<53 >= 0 {
		return math.Float64bits(float64(v)), 0
	}
	return f64.fromInt(v, mxcsr)
}

// Float64From32 widens a float32.
func Float64From32(a uint32, mxcsr uint32) (uint64, uint32) {
	if plain32(a) {
		return math.Float64bits(float64(f32b(a))), 0
	}
	return convert(&f64, &f32, uint64(a), mxcsr)
}

// Float32From64 narrows a float64.
func Float32From64(a uint64, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && plain64(a) {
		x := f64b(a)
		n := float32(x)
		if r := math.Float32bits(n); above32(r, 1) || a<<1 == 0 {
			return r, peIf(float64(n) != x)
		}
	}
	r, fl := convert(&f32, &f64, a, mxcsr)
	return uint32(r), fl
}

// Add32 adds float32s.
func Add32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && plain32(a) && plain32(b) {
		x, y := f32b(a), f32b(b)
		s := x + y
		if r := math.Float32bits(s); plain32(r) {
			if mxcsr&PE != 0 || r<<1 == 0 {
				return r, 0
			}
			if !above32(r, 200) {
				z := s - x
				return r, peIf((x-(s-z))+(y-z) != 0)
			}
		}
	}
	r, fl := f32.add(uint64(a), uint64(b), mxcsr)
	return uint32(r), fl
}

// Sub32 subtracts b from a.
func Sub32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if b<<1 > 0xff<<24 {
		r, fl := f32.sub(uint64(a), uint64(b), mxcsr)
		return uint32(r), fl
	}
	return Add32(a, b^1<<31, mxcsr)
}

// Mul32 multiplies float32s.
func Mul32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && plain32(a) && plain32(b) {
		p := float64(f32b(a)) * float64(f32b(b)) // exact
		n := float32(p)
		if r := math.Float32bits(n); above32(r, 1) || p == 0 {
			return r, peIf(float64(n) != p)
		}
	}
	r, fl := f32.mul(uint64(a), uint64(b), mxcsr)
	return uint32(r), fl
}

// Div32 divides a by b.
func Div32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && plain32(a) && above32(b, 0) {
		x, y := f32b(a), f32b(b)
		q := x / y
		if r := math.Float32bits(q); above32(r, 1) || x == 0 {
			return r, peIf(float64(float64(q)*float64(y)) != float64(x))
		}
	}
	r, fl := f32.div(uint64(a), uint64(b), mxcsr)
	return uint32(r), fl
}

// Sqrt32 takes the square root.
func Sqrt32(a uint32, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && above32(a, 0) && a>>31 == 0 {
		x := float64(f32b(a))
		// The root of 53 bits rounds to 24 as the exact one does.
		s := float32(math.Sqrt(x))
		return math.Float32bits(s), peIf(float64(float64(s)*float64(s)) != x)
	}
	r, fl := f32.sqrt(uint64(a), mxcsr)
	return uint32(r), fl
}

// FMA32 computes a*b+c with one rounding, the product negated by negP and c by
// negC.
func FMA32(a, b, c uint32, negP, negC bool, mxcsr uint32) (uint32, uint32) {
	if quick(mxcsr) && mxcsr&PE != 0 && plain32(a) && plain32(b) && plain32(c) {
		p := float64(float64(f32b(a)) * float64(f32b(b))) // exact
		z := float64(f32b(c))
		if negP {
			p = -p
		}
		if negC {
			z = -z
		}
		// Round the sum to odd: then rounding it again gives what rounding the
		// exact sum would.
		s := p + z
		t := s - p
		e := (p - (s - t)) + (z - t)
		q := math.Float64bits(s)
		if e != 0 && q&1 == 0 {
			if (e > 0) == (s > 0) {
				q++
			} else {
				q--
			}
		}
		if r := math.Float32bits(float32(f64b(q))); above32(r, 1) {
			return r, 0
		}
	}
	r, fl := f32.fma(uint64(a), uint64(b), uint64(c), negP, negC, mxcsr)
	return uint32(r), fl
}

// Min32 gives the lesser, and b where there is none.
func Min32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if plain32(a) && plain32(b) {
		if f32b(a) < f32b(b) {
			return a, 0
		}
		return b, 0
	}
	r, fl := f32.minmax(uint64(a), uint64(b), -1, mxcsr)
	return uint32(r), fl
}

// Max32 gives the greater, and b where there is none.
func Max32(a, b uint32, mxcsr uint32) (uint32, uint32) {
	if plain32(a) && plain32(b) {
		if f32b(a) > f32b(b) {
			return a, 0
		}
		return b, 0
	}
	r, fl := f32.minmax(uint64(a), uint64(b), 1, mxcsr)
	return uint32(r), fl
}

// Cmp32 evaluates predicate pred (0 to 31, as VCMPSS's immediate).
func Cmp32(a, b uint32, pred uint8, mxcsr uint32) (bool, uint32) {
	return f32.cmp(uint64(a), uint64(b), pred, mxcsr)
}

// Comi32 compares as COMISS does (signal: quiet NaNs too are invalid) or as
// UCOMISS; eflags has ZF, PF and CF, the other arithmetic flags are cleared.
func Comi32(a, b uint32, signal bool, mxcsr uint32) (eflags, flags uint32) {
	if plain32(a) && plain32(b) {
		switch x, y := f32b(a), f32b(b); {
		case x < y:
			return 1, 0
		case x == y:
			return 0x40, 0
		}
		return 0, 0
	}
	eflags, flags = f32.comi(uint64(a), uint64(b), signal, mxcsr)
	return eflags, settle(flags, mxcsr)
}

// Round32 rounds to an integer, by ROUNDSS's immediate.
func Round32(a uint32, imm uint8, mxcsr uint32) (uint32, uint32) {
	r, fl := f32.roundInt(uint64(a), imm, mxcsr)
	return uint32(r), fl
}

// Int32From32 converts to a signed doubleword by MXCSR's rounding mode, or by
// truncation; what does not fit gives 80000000h.
func Int32From32(a uint32, trunc bool, mxcsr uint32) (uint32, uint32) {
	v, fl := intFrom32(a, 32, trunc, mxcsr)
	return uint32(v), fl
}

// Int64From32 converts to a signed quadword.
func Int64From32(a uint32, trunc bool, mxcsr uint32) (uint64, uint32) {
	return intFrom32(a, 64, trunc, mxcsr)
}

func intFrom32(a uint32, size uint, trunc bool, mxcsr uint32) (uint64, uint32) {
	if plain32(a) {
		return intFrom64(math.Float64bits(float64(f32b(a))), size, trunc, mxcsr)
	}
	mode := rc(mxcsr)
	if trunc {
		mode = Zero
	}
	return f32.toInt(uint64(a), size, mode, mxcsr)
}

// Float32FromInt converts a signed integer.
func Float32FromInt(v int64, mxcsr uint32) (uint32, uint32) {
	r, fl := f32.fromInt(v, mxcsr)
	return uint32(r), fl
}
