package softfp

import "hotblock/x86/simd"

// Packed and scalar SSE and AVX instructions on XMM registers.
//
// Each returns the flags of all its elements, and leaves d alone where one of
// them is not masked. d may alias the sources. A scalar instruction copies the
// rest of d from a, the first source. Instructions with one source take it in b.
//
// The YMM form of an instruction is its XMM form on both halves; call it through
// Wide, Widen, Narrow and their like, which join the flags before anything is
// written. The MMX conversions
// are the XMM ones with the operand in the low quadword and zeroes above.

// V128 is an XMM register.
type V128 = simd.V128

// V256 is a YMM register.
type V256 = simd.V256

// Types of the packed functions, for tables.
type (
	Bin    func(d, a, b *V128, mxcsr uint32) (flags uint32)
	BinImm func(d, a, b *V128, imm uint8, mxcsr uint32) (flags uint32)
	FMA    func(d, a, b, c *V128, k FMAKind, mxcsr uint32) (flags uint32)
)

// Wide applies f to both halves of YMM registers.
func Wide(f Bin, d, a, b *V256, mxcsr uint32) uint32 {
	var lo, hi V128
	fl := settle(f(&lo, &a[0], &b[0], mxcsr)|f(&hi, &a[1], &b[1], mxcsr), mxcsr)
	if Unmasked(fl, mxcsr) == 0 {
		d[0], d[1] = lo, hi
	}
	return fl
}

// WideImm applies f to both halves of YMM registers.
func WideImm(f BinImm, d, a, b *V256, imm uint8, mxcsr uint32) uint32 {
	return Wide(func(d, a, b *V128, mxcsr uint32) uint32 { return f(d, a, b, imm, mxcsr) }, d, a, b, mxcsr)
}

// Widen applies a conversion to a YMM from the halves of an XMM: VCVTPS2PD,
// VCVTDQ2PD and VCVTPH2PS with VEX.L set.
func Widen(f Bin, d *V256, b *V128, mxcsr uint32) uint32 {
	return Wide(f, d, &V256{}, &V256{{b[0]}, {b[1]}}, mxcsr)
}

// Narrow applies a conversion to the halves of an XMM from a YMM: VCVTPD2PS,
// VCVTPD2DQ and VCVTTPD2DQ with VEX.L set.
func Narrow(f Bin, d *V128, b *V256, mxcsr uint32) uint32 {
	var r V256
	fl := Wide(f, &r, b, b, mxcsr)
	if Unmasked(fl, mxcsr) == 0 {
		d[0], d[1] = r[0][0], r[1][0]
	}
	return fl
}

// NarrowImm is Narrow for VCVTPS2PH.
func NarrowImm(f BinImm, d *V128, b *V256, imm uint8, mxcsr uint32) uint32 {
	return Narrow(func(d, a, b *V128, mxcsr uint32) uint32 { return f(d, a, b, imm, mxcsr) }, d, b, mxcsr)
}

// WideFMA applies FMAPS or FMAPD to both halves of YMM registers.
func WideFMA(f FMA, d, a, b, c *V256, k FMAKind, mxcsr uint32) uint32 {
	var lo, hi V128
	fl := settle(f(&lo, &a[0], &b[0], &c[0], k, mxcsr)|f(&hi, &a[1], &b[1], &c[1], k, mxcsr), mxcsr)
	if Unmasked(fl, mxcsr) == 0 {
		d[0], d[1] = lo, hi
	}
	return fl
}

// put writes r to d unless an exception is to be raised.
func put(d *V128, r0, r1 uint64, flags, mxcsr uint32) uint32 {
	flags = settle(flags, mxcsr)
	if Unmasked(flags, mxcsr) == 0 {
		d[0], d[1] = r0, r1
	}
	return flags
}

type op32 func(a, b uint32, mxcsr uint32) (uint32, uint32)
type op64 func(a, b uint64, mxcsr uint32) (uint64, uint32)

func join(lo, hi uint32) uint64 { return uint64(lo) | uint64(hi)<<32 }

func ps(d, a, b *V128, m uint32, f op32) uint32 {
	r0, f0 := f(uint32(a[0]), uint32(b[0]), m)
	r1, f1 := f(uint32(a[0]>>32), uint32(b[0]>>32), m)
	r2, f2 := f(uint32(a[1]), uint32(b[1]), m)
	r3, f3 := f(uint32(a[1]>>32), uint32(b[1]>>32), m)
	return put(d, join(r0, r1), join(r2, r3), f0|f1|f2|f3, m)
}

func pd(d, a, b *V128, m uint32, f op64) uint32 {
	r0, f0 := f(a[0], b[0], m)
	r1, f1 := f(a[1], b[1], m)
	return put(d, r0, r1, f0|f1, m)
}

func ss(d, a, b *V128, m uint32, f op32) uint32 {
	r, fl := f(uint32(a[0]), uint32(b[0]), m)
	return put(d, a[0]>>32<<32|uint64(r), a[1], fl, m)
}

func sd(d, a, b *V128, m uint32, f op64) uint32 {
	r, fl := f(a[0], b[0], m)
	return put(d, r, a[1], fl, m)
}

func sqrt32(_, b uint32, m uint32) (uint32, uint32) { return Sqrt32(b, m) }
func sqrt64(_, b uint64, m uint32) (uint64, uint32) { return Sqrt64(b, m) }

// ADDPS adds: four float32s.
func ADDPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Add32) }

// ADDPD adds: two float64s.
func ADDPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Add64) }

// ADDSS adds: the low float32.
func ADDSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Add32) }

// ADDSD adds: the low float64.
func ADDSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Add64) }

// SUBPS subtracts: four float32s.
func SUBPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Sub32) }

// SUBPD subtracts: two float64s.
func SUBPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Sub64) }

// SUBSS subtracts: the low float32.
func SUBSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Sub32) }

// SUBSD subtracts: the low float64.
func SUBSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Sub64) }

// MULPS multiplies: four float32s.
func MULPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Mul32) }

// MULPD multiplies: two float64s.
func MULPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Mul64) }

// MULSS multiplies: the low float32.
func MULSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Mul32) }

// MULSD multiplies: the low float64.
func MULSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Mul64) }

// DIVPS divides: four float32s.
func DIVPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Div32) }

// DIVPD divides: two float64s.
func DIVPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Div64) }

// DIVSS divides: the low float32.
func DIVSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Div32) }

// DIVSD divides: the low float64.
func DIVSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Div64) }

// MINPS gives the lesser: four float32s.
func MINPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Min32) }

// MINPD gives the lesser: two float64s.
func MINPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Min64) }

// MINSS gives the lesser: the low float32.
func MINSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Min32) }

// MINSD gives the lesser: the low float64.
func MINSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Min64) }

// MAXPS gives the greater: four float32s.
func MAXPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, Max32) }

// MAXPD gives the greater: two float64s.
func MAXPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, Max64) }

// MAXSS gives the greater: the low float32.
func MAXSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, Max32) }

// MAXSD gives the greater: the low float64.
func MAXSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, Max64) }

// SQRTPS takes the square root: four float32s.
func SQRTPS(d, a, b *V128, mxcsr uint32) uint32 { return ps(d, a, b, mxcsr, sqrt32) }

// SQRTPD takes the square root: two float64s.
func SQRTPD(d, a, b *V128, mxcsr uint32) uint32 { return pd(d, a, b, mxcsr, sqrt64) }

// SQRTSS takes the square root: the low float32.
func SQRTSS(d, a, b *V128, mxcsr uint32) uint32 { return ss(d, a, b, mxcsr, sqrt32) }

// SQRTSD takes the square root: the low float64.
func SQRTSD(d, a, b *V128, mxcsr uint32) uint32 { return sd(d, a, b, mxcsr, sqrt64) }

// HADDPS adds neighbours, those of a to the low half.
func HADDPS(d, a, b *V128, mxcsr uint32) uint32 { return horizontalPS(d, a, b, mxcsr, Add32) }

// HSUBPS subtracts neighbours, those of a to the low half.
func HSUBPS(d, a, b *V128, mxcsr uint32) uint32 { return horizontalPS(d, a, b, mxcsr, Sub32) }

// HADDPD adds neighbours, those of a to the low half.
func HADDPD(d, a, b *V128, mxcsr uint32) uint32 {
	return pd(d, &V128{a[0], b[0]}, &V128{a[1], b[1]}, mxcsr, Add64)
}

// HSUBPD subtracts neighbours, those of a to the low half.
func HSUBPD(d, a, b *V128, mxcsr uint32) uint32 {
	return pd(d, &V128{a[0], b[0]}, &V128{a[1], b[1]}, mxcsr, Sub64)
}

func horizontalPS(d, a, b *V128, mxcsr uint32, f op32) uint32 {
	var x, y V128
	simd.SHUFPS(&x, a, b, 0x88)
	simd.SHUFPS(&y, a, b, 0xdd)
	return ps(d, &x, &y, mxcsr, f)
}

// ADDSUBPS subtracts the even elements and adds the odd ones.
func ADDSUBPS(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Sub32(uint32(a[0]), uint32(b[0]), m)
	r1, f1 := Add32(uint32(a[0]>>32), uint32(b[0]>>32), m)
	r2, f2 := Sub32(uint32(a[1]), uint32(b[1]), m)
	r3, f3 := Add32(uint32(a[1]>>32), uint32(b[1]>>32), m)
	return put(d, join(r0, r1), join(r2, r3), f0|f1|f2|f3, m)
}

// ADDSUBPD subtracts the low elements and adds the high ones.
func ADDSUBPD(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Sub64(a[0], b[0], m)
	r1, f1 := Add64(a[1], b[1], m)
	return put(d, r0, r1, f0|f1, m)
}

// DPPS multiplies the elements that imm[7:4] picks, adds the products, those of
// either half first, and puts the sum where imm[3:0] has ones. Each of the three
// steps is made only if the one before raises no unmasked exception.
func DPPS(d, a, b *V128, imm uint8, m uint32) uint32 {
	r, fl := dotPS([]V128{*a}, []V128{*b}, imm, m)
	if Unmasked(fl, m) == 0 {
		*d = r[0]
	}
	return fl
}

// VDPPS is DPPS on both halves of YMM registers, step by step; WideImm does not
// serve, since an exception in one half stops the other before its next step.
func VDPPS(d, a, b *V256, imm uint8, m uint32) uint32 {
	r, fl := dotPS(a[:], b[:], imm, m)
	if Unmasked(fl, m) == 0 {
		*d = r
	}
	return fl
}

func dotPS(a, b []V128, imm uint8, m uint32) (r V256, fl uint32) {
	var p [2][4]uint32
	step := func(f func(l int) uint32) bool {
		var now uint32
		for l := range a {
			now |= f(l)
		}
		fl |= settle(now, m)
		return Unmasked(fl, m) == 0
	}
	ok := step(func(l int) (fl uint32) {
		for i := range p[l] {
			if imm>>(4+i)&1 != 0 {
				var f uint32
				p[l][i], f = Mul32(a[l].Dword(i), b[l].Dword(i), m)
				fl |= f
			}
		}
		return
	}) && step(func(l int) uint32 {
		var f, g uint32
		p[l][0], f = Add32(p[l][0], p[l][1], m)
		p[l][2], g = Add32(p[l][2], p[l][3], m)
		return f | g
	}) && step(func(l int) (f uint32) {
		p[l][0], f = Add32(p[l][0], p[l][2], m)
		return
	})
	if ok {
		for l := range a {
			for i := range 4 {
				if imm>>i&1 != 0 {
					r[l].SetDword(i, p[l][0])
				}
			}
		}
	}
	return
}

// DPPD is DPPS for two float64s, by imm[5:4] and imm[1:0].
func DPPD(d, a, b *V128, imm uint8, m uint32) uint32 {
	var p [2]uint64
	var fl uint32
	for i := range p {
		if imm>>(4+i)&1 != 0 {
			var f uint32
			p[i], f = Mul64(a[i], b[i], m)
			fl |= f
		}
	}
	fl = settle(fl, m)
	if Unmasked(fl, m) != 0 {
		return fl
	}
	s, f := Add64(p[0], p[1], m)
	fl |= settle(f, m)
	if Unmasked(fl, m) != 0 {
		return fl
	}
	d[0], d[1] = s&-uint64(imm&1), s&-uint64(imm>>1&1)
	return fl
}

func ones32(f func(uint32, uint32, uint8, uint32) (bool, uint32), imm uint8) op32 {
	return func(a, b uint32, m uint32) (uint32, uint32) {
		t, fl := f(a, b, imm, m)
		if t {
			return 1<<32 - 1, fl
		}
		return 0, fl
	}
}

func ones64(imm uint8) op64 {
	return func(a, b uint64, m uint32) (uint64, uint32) {
		t, fl := Cmp64(a, b, imm, m)
		if t {
			return 1<<64 - 1, fl
		}
		return 0, fl
	}
}

// CMPPS gives all ones where predicate imm holds. The legacy SSE encodings have
// only predicates 0 to 7: mask imm for them; VEX has 0 to 31.
func CMPPS(d, a, b *V128, imm uint8, m uint32) uint32 { return ps(d, a, b, m, ones32(Cmp32, imm)) }

// CMPPD is CMPPS for two float64s.
func CMPPD(d, a, b *V128, imm uint8, m uint32) uint32 { return pd(d, a, b, m, ones64(imm)) }

// CMPSS is CMPPS for the low float32.
func CMPSS(d, a, b *V128, imm uint8, m uint32) uint32 { return ss(d, a, b, m, ones32(Cmp32, imm)) }

// CMPSD is CMPPS for the low float64.
func CMPSD(d, a, b *V128, imm uint8, m uint32) uint32 { return sd(d, a, b, m, ones64(imm)) }

func round32(imm uint8) op32 {
	return func(_, b uint32, m uint32) (uint32, uint32) { return Round32(b, imm, m) }
}

func round64(imm uint8) op64 {
	return func(_, b uint64, m uint32) (uint64, uint32) { return Round64(b, imm, m) }
}

// ROUNDPS rounds to integers: imm[1:0] is the mode, unless imm[2] says MXCSR's;
// imm[3] suppresses PE.
func ROUNDPS(d, a, b *V128, imm uint8, m uint32) uint32 { return ps(d, a, b, m, round32(imm)) }

// ROUNDPD is ROUNDPS for two float64s.
func ROUNDPD(d, a, b *V128, imm uint8, m uint32) uint32 { return pd(d, a, b, m, round64(imm)) }

// ROUNDSS is ROUNDPS for the low float32.
func ROUNDSS(d, a, b *V128, imm uint8, m uint32) uint32 { return ss(d, a, b, m, round32(imm)) }

// ROUNDSD is ROUNDPS for the low float64.
func ROUNDSD(d, a, b *V128, imm uint8, m uint32) uint32 { return sd(d, a, b, m, round64(imm)) }

// FMAKind picks an FMA3 instruction: which of product and addend are negated.
// Bits 0 and 1 are for the even elements, bits 2 and 3 for the odd ones.
type FMAKind uint8

// Kinds of FMA3 instruction, by the digit of their opcode's low nibble (as in
// 96h to 9Fh): see FMAKinds.
const (
	FMADD    FMAKind = 0
	FMSUB    FMAKind = 2 | 2<<2
	FNMADD   FMAKind = 1 | 1<<2
	FNMSUB   FMAKind = 3 | 3<<2
	FMADDSUB FMAKind = 2
	FMSUBADD FMAKind = 2 << 2
)

// FMAKinds gives the kind by the low nibble of the opcode (VEX.66.0F38 96-9F,
// A6-AF, B6-BF). From 8 on, even nibbles are packed and odd ones scalar. The high
// nibble says which operands are a, b and c below, op1 being the destination: 9:
// op1, op3, op2; A: op2, op1, op3; B: op2, op3, op1.
var FMAKinds = [16]FMAKind{6: FMADDSUB, 7: FMSUBADD, 8: FMADD, 9: FMADD, 10: FMSUB, 11: FMSUB, 12: FNMADD, 13: FNMADD, 14: FNMSUB, 15: FNMSUB}

func (k FMAKind) do32(a, b, c uint32, odd int, m uint32) (uint32, uint32) {
	k >>= odd * 2
	return FMA32(a, b, c, k&1 != 0, k&2 != 0, m)
}

func (k FMAKind) do64(a, b, c uint64, odd int, m uint32) (uint64, uint32) {
	k >>= odd * 2
	return FMA64(a, b, c, k&1 != 0, k&2 != 0, m)
}

// FMAPS computes d = ±a*b ± c on four float32s.
func FMAPS(d, a, b, c *V128, k FMAKind, m uint32) uint32 {
	r0, f0 := k.do32(uint32(a[0]), uint32(b[0]), uint32(c[0]), 0, m)
	r1, f1 := k.do32(uint32(a[0]>>32), uint32(b[0]>>32), uint32(c[0]>>32), 1, m)
	r2, f2 := k.do32(uint32(a[1]), uint32(b[1]), uint32(c[1]), 0, m)
	r3, f3 := k.do32(uint32(a[1]>>32), uint32(b[1]>>32), uint32(c[1]>>32), 1, m)
	return put(d, join(r0, r1), join(r2, r3), f0|f1|f2|f3, m)
}

// FMAPD computes d = ±a*b ± c on two float64s.
func FMAPD(d, a, b, c *V128, k FMAKind, m uint32) uint32 {
	r0, f0 := k.do64(a[0], b[0], c[0], 0, m)
	r1, f1 := k.do64(a[1], b[1], c[1], 1, m)
	return put(d, r0, r1, f0|f1, m)
}

// FMASS computes d = ±a*b ± c on the low float32s; the rest of d stays.
func FMASS(d, a, b, c *V128, k FMAKind, m uint32) uint32 {
	r, fl := k.do32(uint32(a[0]), uint32(b[0]), uint32(c[0]), 0, m)
	return put(d, d[0]>>32<<32|uint64(r), d[1], fl, m)
}

// FMASD computes d = ±a*b ± c on the low float64s; the rest of d stays.
func FMASD(d, a, b, c *V128, k FMAKind, m uint32) uint32 {
	r, fl := k.do64(a[0], b[0], c[0], 0, m)
	return put(d, r, d[1], fl, m)
}

// CVTDQ2PS converts four signed doublewords to float32s.
func CVTDQ2PS(d, a, b *V128, m uint32) uint32 {
	return ps(d, b, b, m, func(_, b uint32, m uint32) (uint32, uint32) { return Float32FromInt(int64(int32(b)), m) })
}

// CVTPS2DQ converts four float32s to signed doublewords.
func CVTPS2DQ(d, a, b *V128, m uint32) uint32 {
	return ps(d, b, b, m, func(_, b uint32, m uint32) (uint32, uint32) { return Int32From32(b, false, m) })
}

// CVTTPS2DQ converts four float32s to signed doublewords, truncating.
func CVTTPS2DQ(d, a, b *V128, m uint32) uint32 {
	return ps(d, b, b, m, func(_, b uint32, m uint32) (uint32, uint32) { return Int32From32(b, true, m) })
}

// CVTDQ2PD converts the low two signed doublewords to float64s.
func CVTDQ2PD(d, a, b *V128, m uint32) uint32 {
	r0, _ := Float64FromInt(int64(int32(b[0])), m)
	r1, _ := Float64FromInt(int64(int32(b[0]>>32)), m)
	d[0], d[1] = r0, r1
	return 0
}

// CVTPD2DQ converts two float64s to signed doublewords; the high half is zeroed.
func CVTPD2DQ(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Int32From64(b[0], false, m)
	r1, f1 := Int32From64(b[1], false, m)
	return put(d, join(r0, r1), 0, f0|f1, m)
}

// CVTTPD2DQ is CVTPD2DQ, truncating.
func CVTTPD2DQ(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Int32From64(b[0], true, m)
	r1, f1 := Int32From64(b[1], true, m)
	return put(d, join(r0, r1), 0, f0|f1, m)
}

// CVTPS2PD widens the low two float32s.
func CVTPS2PD(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Float64From32(uint32(b[0]), m)
	r1, f1 := Float64From32(uint32(b[0]>>32), m)
	return put(d, r0, r1, f0|f1, m)
}

// CVTPD2PS narrows two float64s; the high half is zeroed.
func CVTPD2PS(d, a, b *V128, m uint32) uint32 {
	r0, f0 := Float32From64(b[0], m)
	r1, f1 := Float32From64(b[1], m)
	return put(d, join(r0, r1), 0, f0|f1, m)
}

// CVTSS2SD widens the low float32 of b.
func CVTSS2SD(d, a, b *V128, m uint32) uint32 {
	r, fl := Float64From32(uint32(b[0]), m)
	return put(d, r, a[1], fl, m)
}

// CVTSD2SS narrows the low float64 of b.
func CVTSD2SS(d, a, b *V128, m uint32) uint32 {
	r, fl := Float32From64(b[0], m)
	return put(d, a[0]>>32<<32|uint64(r), a[1], fl, m)
}

// VCVTPH2PS widens the low four half-precision numbers of b; DAZ does not count.
func VCVTPH2PS(d, a, b *V128, m uint32) uint32 {
	var r [4]uint64
	var fl uint32
	for i := range r {
		var f uint32
		r[i], f = convert(&f32, &f16, uint64(b.Word(i)), m&^DAZ)
		fl |= f &^ DE
	}
	return put(d, r[0]|r[1]<<32, r[2]|r[3]<<32, fl, m)
}

// VCVTPS2PH narrows b's four float32s to half precision; the high half is zeroed.
// imm[1:0] is the rounding mode, unless imm[2] says MXCSR's. FTZ does not count.
func VCVTPS2PH(d, a, b *V128, imm uint8, m uint32) uint32 {
	c := m &^ FTZ
	if imm&4 == 0 {
		c = c&^(3<<rcShift) | uint32(imm&3)<<rcShift
	}
	var r uint64
	var fl uint32
	for i := range 4 {
		v, f := convert(&f16, &f32, uint64(b.Dword(i)), c)
		r |= v << (16 * i)
		fl |= f
	}
	return put(d, r, 0, fl, m)
}

// Arith0F are the packed and scalar instructions of map 0F by opcode and
// mandatory prefix as VEX.pp numbers it: none, 66, F3, F2. CVTPI2PS and the like
// (2A to 2F) are not in it.
var Arith0F = [256][4]Bin{
	0x51: {SQRTPS, SQRTPD, SQRTSS, SQRTSD},
	0x52: {RSQRTPS, nil, RSQRTSS, nil},
	0x53: {RCPPS, nil, RCPSS, nil},
	0x58: {ADDPS, ADDPD, ADDSS, ADDSD},
	0x59: {MULPS, MULPD, MULSS, MULSD},
	0x5a: {CVTPS2PD, CVTPD2PS, CVTSS2SD, CVTSD2SS},
	0x5b: {CVTDQ2PS, CVTPS2DQ, CVTTPS2DQ, nil},
	0x5c: {SUBPS, SUBPD, SUBSS, SUBSD},
	0x5d: {MINPS, MINPD, MINSS, MINSD},
	0x5e: {DIVPS, DIVPD, DIVSS, DIVSD},
	0x5f: {MAXPS, MAXPD, MAXSS, MAXSD},
	0x7c: {nil, HADDPD, nil, HADDPS},
	0x7d: {nil, HSUBPD, nil, HSUBPS},
	0xd0: {nil, ADDSUBPD, nil, ADDSUBPS},
	0xe6: {nil, CVTTPD2DQ, CVTDQ2PD, CVTPD2DQ},
}

// Cmp0FC2 are CMPPS, CMPPD, CMPSS and CMPSD (0F C2) by mandatory prefix.
var Cmp0FC2 = [4]BinImm{CMPPS, CMPPD, CMPSS, CMPSD}

// Imm0F3A are the instructions of map 0F 3A with prefix 66 that compute.
var Imm0F3A = [256]BinImm{0x08: ROUNDPS, 0x09: ROUNDPD, 0x0a: ROUNDSS, 0x0b: ROUNDSD, 0x40: DPPS, 0x41: DPPD}
