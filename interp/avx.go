package interp

// AVX, AVX2, FMA and F16C. A VEX.128 instruction does what its SSE form does, with
// a destination of its own, and zeroes the upper half of the register; a VEX.256
// one mostly does that on both halves.

import (
	"strings"

	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
	"hotblock/x86/softfp"
)

// checkAVX is the check in front of every VEX-encoded vector instruction.
func (c *CPU) checkAVX(o *Op) {
	if c.vec&vecAVX == 0 {
		c.needAVX(o)
	}
}

// clearUpper zeroes the upper half of a register, as every VEX.128 instruction
// does with its destination.
func (c *CPU) clearUpper(r uint8) {
	v := &c.V[r&15]
	v[2], v[3] = 0, 0
}

// Handlers by shape, for 128 bits and, where the name ends in Y, for 256.

func avxBin(f simd.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		f(c.xmm(o.dst), c.xmm(o.src), b)
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxBinY(f simd.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d, a := c.ymm(o.dst), c.ymm(o.src)
		f(&d[0], &a[0], &b[0])
		f(&d[1], &a[1], &b[1])
		return o.next
	}
}

// avxShiftY takes its count from an XMM operand.
func avxShiftY(f simd.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		c.vtmp[0] = *c.b128(o)
		d, a := c.ymm(o.dst), c.ymm(o.src)
		f(&d[0], &a[0], &c.vtmp[0])
		f(&d[1], &a[1], &c.vtmp[0])
		return o.next
	}
}

func avxUn(f simd.Un) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		f(c.xmm(o.dst), c.b128(o))
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxUnY(f simd.Un) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d := c.ymm(o.dst)
		f(&d[0], &b[0])
		f(&d[1], &b[1])
		return o.next
	}
}

// avxWiden makes a YMM of an XMM operand.
func avxWiden(f simd.Wide) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		f(c.ymm(o.dst), c.b128(o))
		return o.next
	}
}

func avxUnImm(f simd.UnImm) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		f(c.xmm(o.dst), c.b128(o), uint8(o.imm))
		c.clearUpper(o.dst)
		return o.next
	}
}

// avxUnImmY shifts the immediate for the upper half.
func avxUnImmY(f simd.UnImm, shift uint8) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d := c.ymm(o.dst)
		f(&d[0], &b[0], uint8(o.imm))
		f(&d[1], &b[1], uint8(o.imm)>>shift)
		return o.next
	}
}

func avxBinImm(f simd.BinImm) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		f(c.xmm(o.dst), c.xmm(o.src), b, uint8(o.imm))
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxBinImmY(f simd.BinImm, shift uint8) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d, a := c.ymm(o.dst), c.ymm(o.src)
		f(&d[0], &a[0], &b[0], uint8(o.imm))
		f(&d[1], &a[1], &b[1], uint8(o.imm)>>shift)
		return o.next
	}
}

// avxTern has a register in the immediate's upper bits as its third source.
func avxTern(f simd.Tern) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		f(c.xmm(o.dst), c.xmm(o.src), b, c.xmm(o.x.Args[3].Reg))
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxTernY(f simd.Tern) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d, a, m := c.ymm(o.dst), c.ymm(o.src), c.ymm(o.x.Args[3].Reg)
		f(&d[0], &a[0], &b[0], &m[0])
		f(&d[1], &a[1], &b[1], &m[1])
		return o.next
	}
}

// avxCross is an instruction on whole YMM registers.
func avxCross(f func(d, a, b *simd.V256, imm uint8)) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		f(c.ymm(o.dst), c.ymm(o.src), b, uint8(o.imm))
		return o.next
	}
}

func avxFP(f softfp.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		c.simdFlags(o, f(c.xmm(o.dst), c.xmm(o.src), b, c.MXCSR))
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxFPY(f softfp.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		d, a := c.ymm(o.dst), c.ymm(o.src)
		if c.MXCSR&softfp.MaskAll == softfp.MaskAll {
			fl := f(&d[0], &a[0], &b[0], c.MXCSR) | f(&d[1], &a[1], &b[1], c.MXCSR)
			c.simdFlags(o, fl)
			return o.next
		}
		c.simdFlags(o, softfp.Wide(f, d, a, b, c.MXCSR))
		return o.next
	}
}

func avxFPImm(f softfp.BinImm, mask uint8) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		c.simdFlags(o, f(c.xmm(o.dst), c.xmm(o.src), b, uint8(o.imm)&mask, c.MXCSR))
		c.clearUpper(o.dst)
		return o.next
	}
}

func avxFPImmY(f softfp.BinImm, mask uint8) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		c.simdFlags(o, softfp.WideImm(f, c.ymm(o.dst), c.ymm(o.src), b, uint8(o.imm)&mask, c.MXCSR))
		return o.next
	}
}

// avxWidenFP converts an XMM operand to a YMM, avxNarrowFP a YMM operand to an
// XMM.
func avxWidenFP(f softfp.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		c.simdFlags(o, softfp.Widen(f, c.ymm(o.dst), b, c.MXCSR))
		return o.next
	}
}

func avxNarrowFP(f softfp.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b256(o)
		c.simdFlags(o, softfp.Narrow(f, c.xmm(o.dst), b, c.MXCSR))
		c.clearUpper(o.dst)
		return o.next
	}
}

// vex registers the 128-bit form of a mnemonic, and the 256-bit one if it is not
// nil.
func vex(name string, x, y opFunc) { onVec(name, vecForms{reg: x, load: x, wide: y}) }

// crossImm fits a function of one source to avxCross.
func crossImm(f func(d, b *simd.V256, imm uint8)) opFunc {
	return avxCross(func(d, _, b *simd.V256, imm uint8) { f(d, b, imm) })
}

func init() {
	initAVXMoves()
	isShift := func(op int) bool {
		return op >= 0xd1 && op <= 0xd3 || op == 0xe1 || op == 0xe2 || op >= 0xf1 && op <= 0xf3
	}
	shifts := map[int]simd.UnImm{0xd1: simd.ShiftW[2], 0xe1: simd.ShiftW[4], 0xf1: simd.ShiftW[6],
		0xd2: simd.ShiftD[2], 0xe2: simd.ShiftD[4], 0xf2: simd.ShiftD[6], 0xd3: simd.ShiftQ[2], 0xf3: simd.ShiftQ[6]}
	for op, f := range simd.SSE0F {
		if f == nil {
			continue
		}
		reg, load, wide := avxBin(f), avxBin(f), avxBinY(f)
		if isShift(op) {
			wide = byImm3(avxShiftY(f), avxUnImmY(shifts[op], 0))
			reg = byImm3(reg, avxUnImm(shifts[op]))
		}
		onVec("v"+nameAt(0x66, 0x0f, byte(op)), vecForms{reg: reg, load: load, wide: wide})
		if op >= 0x54 && op <= 0x57 {
			vex("v"+nameAt(0x0f, byte(op)), avxBin(f), avxBinY(f))
		}
	}
	vex("vpsrldq", avxUnImm(simd.PSRLDQ), avxUnImmY(simd.PSRLDQ, 0))
	vex("vpslldq", avxUnImm(simd.PSLLDQ), avxUnImmY(simd.PSLLDQ, 0))
	vex("vunpcklps", avxBin(simd.PUNPCKLDQ), avxBinY(simd.PUNPCKLDQ))
	vex("vunpckhps", avxBin(simd.PUNPCKHDQ), avxBinY(simd.PUNPCKHDQ))
	for op, f := range simd.SSE0F38 {
		switch {
		case f == nil:
		case op == 0x0c || op == 0x0d: // also with an immediate
			n := "vpermilps"
			imm, immY := avxUnImm(simd.PSHUFD), avxUnImmY(simd.PSHUFD, 0)
			if op == 0x0d {
				n = "vpermilpd"
				imm, immY = avxUnImm(simd.VPERMILPDI), avxUnImmY(simd.VPERMILPDI, 2)
			}
			x := byLastImm(avxBin(f), imm)
			vex(n, x, byLastImm(avxBinY(f), immY))
		default:
			vex("v"+nameAt(0x66, 0x0f, 0x38, byte(op)), avxBin(f), avxBinY(f))
		}
	}
	for i, n := range []string{"vpsrlv", "vpsrav", "vpsllv"} {
		for w, s := range []string{"d", "q"} {
			if f := simd.VarShift[i][w]; f != nil {
				vex(n+s, avxBin(f), avxBinY(f))
			}
		}
	}
	for i := range simd.Ext {
		for j, f := range simd.Ext[i] {
			vex("v"+nameAt(0x66, 0x0f, 0x38, byte(0x20+i<<4+j)), avxUn(f), avxWiden(simd.ExtWide[i][j]))
		}
	}
	for op, f := range simd.SSE0F3A {
		switch {
		case f.Do == nil || op == 0x21:
		case op == 0x02:
			vex("vpblendd", avxBinImm(f.Do), avxBinImmY(f.Do, f.Shift))
		default:
			vex("v"+nameAt(0x66, 0x0f, 0x3a, byte(op)), avxBinImm(f.Do), avxBinImmY(f.Do, f.Shift))
		}
	}
	vex("vinsertps", avxBinImm(simd.INSERTPS), nil)
	vex("vaeskeygenassist", avxUnImm(simd.AESKEYGENASSIST), nil)
	vex("vblendvps", avxTern(simd.BLENDVPS), avxTernY(simd.BLENDVPS))
	vex("vblendvpd", avxTern(simd.BLENDVPD), avxTernY(simd.BLENDVPD))
	vex("vpblendvb", avxTern(simd.PBLENDVB), avxTernY(simd.PBLENDVB))
	vex("vpshufd", avxUnImm(simd.PSHUFD), avxUnImmY(simd.PSHUFD, 0))
	vex("vpshuflw", avxUnImm(simd.PSHUFLW), avxUnImmY(simd.PSHUFLW, 0))
	vex("vpshufhw", avxUnImm(simd.PSHUFHW), avxUnImmY(simd.PSHUFHW, 0))
	vex("vshufps", avxBinImm(simd.SHUFPS), avxBinImmY(simd.SHUFPS, 0))
	vex("vshufpd", avxBinImm(simd.SHUFPD), avxBinImmY(simd.SHUFPD, 2))
	vex("vmovddup", avxUn(simd.MOVDDUP), avxUnY(simd.MOVDDUP))
	vex("vmovsldup", avxUn(simd.MOVSLDUP), avxUnY(simd.MOVSLDUP))
	vex("vmovshdup", avxUn(simd.MOVSHDUP), avxUnY(simd.MOVSHDUP))

	// What crosses the halves.
	perm := avxCross(func(d, a, b *simd.V256, _ uint8) { simd.VPERMD(d, a, b) })
	vex("vpermd", nil, perm)
	vex("vpermps", nil, perm)
	vex("vpermq", nil, crossImm(simd.VPERMQ))
	vex("vpermpd", nil, crossImm(simd.VPERMQ))
	vex("vperm2f128", nil, avxCross(simd.VPERM2I128))
	vex("vperm2i128", nil, avxCross(simd.VPERM2I128))
	for _, n := range []string{"vinsertf128", "vinserti128"} {
		vex(n, nil, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			b := c.b128(o)
			simd.VINSERTI128(c.ymm(o.dst), c.ymm(o.src), b, uint8(o.imm))
			return o.next
		})
	}
	for _, n := range []string{"vextractf128", "vextracti128"} {
		onVec(n, vecForms{wide: func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			*c.xmm(o.dst) = c.ymm(o.idx)[o.imm&1]
			c.clearUpper(o.dst)
			return o.next
		}, wstore: func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			v := &c.ymm(o.src)[o.imm&1]
			c.st128(o, c.vaddr(o, true), v[0], v[1])
			return o.next
		}})
	}
	for n, f := range map[string]simd.Un{
		"vbroadcastss": simd.VPBROADCASTD, "vbroadcastsd": simd.VPBROADCASTQ,
		"vpbroadcastb": simd.VPBROADCASTB, "vpbroadcastw": simd.VPBROADCASTW, "vpbroadcastd": simd.VPBROADCASTD, "vpbroadcastq": simd.VPBROADCASTQ,
		"vbroadcastf128": func(d, a *simd.V128) { *d = *a }, "vbroadcasti128": func(d, a *simd.V128) { *d = *a },
	} {
		vex(n, avxUn(f), avxWiden(func(d *simd.V256, a *simd.V128) { f(&d[0], a); d[1] = d[0] }))
	}

	// Floating point.
	for op, fs := range softfp.Arith0F {
		for pp, f := range fs {
			if f == nil {
				continue
			}
			name := "v" + nameAt(encoding(pp, 0x0f, byte(op))...)
			var wide opFunc
			switch name {
			case "vcvtps2pd", "vcvtdq2pd":
				wide = avxWidenFP(f)
			case "vcvtpd2ps", "vcvtpd2dq", "vcvttpd2dq":
				wide = avxNarrowFP(f)
			case "vcvtss2sd", "vcvtsd2ss":
				// Scalar: VEX.L does not count.
			default:
				if !strings.HasSuffix(name, "ss") && !strings.HasSuffix(name, "sd") || strings.HasPrefix(name, "vcvt") {
					wide = avxFPY(f)
				}
			}
			x := avxFP(f)
			if wide == nil {
				wide = x
			}
			vex(name, x, wide)
		}
	}
	for pp, f := range softfp.Cmp0FC2 {
		x := avxFPImm(f, 31)
		y := x
		if pp < 2 {
			y = avxFPImmY(f, 31)
		}
		vex("v"+nameAt(encoding(pp, 0x0f, 0xc2)...), x, y)
	}
	for op, f := range softfp.Imm0F3A {
		if f == nil {
			continue
		}
		x := avxFPImm(f, 0xff)
		y := x
		switch op {
		case 0x08, 0x09:
			y = avxFPImmY(f, 0xff)
		case 0x40:
			y = func(c *CPU, o *Op) *Op {
				c.checkAVX(o)
				b := c.b256(o)
				c.simdFlags(o, softfp.VDPPS(c.ymm(o.dst), c.ymm(o.src), b, uint8(o.imm), c.MXCSR))
				return o.next
			}
		}
		vex("v"+nameAt(0x66, 0x0f, 0x3a, byte(op)), x, y)
	}
	both("vcvtsi2ss", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		r, fl := softfp.Float32FromInt(c.intArg(o, 2), c.MXCSR)
		c.scalarFlags(o, fl)
		a := c.xmm(o.src)
		*c.xmm(o.dst) = simd.V128{a[0]>>32<<32 | uint64(r), a[1]}
		c.clearUpper(o.dst)
		return o.next
	})
	both("vcvtsi2sd", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		r, fl := softfp.Float64FromInt(c.intArg(o, 2), c.MXCSR)
		c.scalarFlags(o, fl)
		*c.xmm(o.dst) = simd.V128{r, c.xmm(o.src)[1]}
		c.clearUpper(o.dst)
		return o.next
	})
	initFMA()
	vex("vcvtph2ps", avxFP(softfp.VCVTPH2PS), func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		b := c.b128(o)
		c.simdFlags(o, softfp.Widen(softfp.VCVTPH2PS, c.ymm(o.dst), b, c.MXCSR))
		return o.next
	})
	onVec("vcvtps2ph", vecForms{reg: opVcvtps2ph, store: opVcvtps2ph})

	test := func(name string, f func(a, b *simd.V128) (zf, cf bool)) {
		vex(name, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			c.testFlags(f(c.xmm(o.dst), c.b128(o)))
			return o.next
		}, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			b := c.b256(o)
			a := c.ymm(o.dst)
			z0, c0 := f(&a[0], &b[0])
			z1, c1 := f(&a[1], &b[1])
			c.testFlags(z0 && z1, c0 && c1)
			return o.next
		})
	}
	test("vptest", simd.PTEST)
	test("vtestps", simd.VTESTPS)
	test("vtestpd", simd.VTESTPD)
}

// byImm3 and byLastImm take one function for a last operand in a register or in
// memory and another for an immediate.
func byImm3(reg, imm opFunc) opFunc {
	return func(c *CPU, o *Op) *Op {
		if o.x.Args[2].Kind == decode.Imm {
			return imm(c, o)
		}
		return reg(c, o)
	}
}

func byLastImm(reg, imm opFunc) opFunc { return byImm3(reg, imm) }

// FMA3.

// initFMA registers the 60 mnemonics: 132, 213 and 231 say which operands are
// multiplied and which one is added.
func initFMA() {
	kinds := map[string]softfp.FMAKind{"fmadd": softfp.FMADD, "fmsub": softfp.FMSUB, "fnmadd": softfp.FNMADD, "fnmsub": softfp.FNMSUB,
		"fmaddsub": softfp.FMADDSUB, "fmsubadd": softfp.FMSUBADD}
	for n, k := range kinds {
		for _, order := range []string{"132", "213", "231"} {
			for s, f := range map[string]softfp.FMA{"ps": softfp.FMAPS, "pd": softfp.FMAPD, "ss": softfp.FMASS, "sd": softfp.FMASD} {
				alternating := k == softfp.FMADDSUB || k == softfp.FMSUBADD
				x := fma(f, k, order)
				y := x
				if s[0] == 'p' {
					y = fmaY(f, k, order)
				} else if alternating {
					continue
				}
				vex("v"+n+order+s, x, y)
			}
		}
	}
}

func fma(f softfp.FMA, k softfp.FMAKind, order string) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		op3 := c.b128(o)
		op1, op2 := c.xmm(o.dst), c.xmm(o.src)
		a, b, s := op1, op3, op2
		switch order {
		case "213":
			a, b, s = op2, op1, op3
		case "231":
			a, b, s = op2, op3, op1
		}
		c.simdFlags(o, f(op1, a, b, s, k, c.MXCSR))
		c.clearUpper(o.dst)
		return o.next
	}
}

func fmaY(f softfp.FMA, k softfp.FMAKind, order string) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		op3 := c.b256(o)
		op1, op2 := c.ymm(o.dst), c.ymm(o.src)
		a, b, s := op1, op3, op2
		switch order {
		case "213":
			a, b, s = op2, op1, op3
		case "231":
			a, b, s = op2, op3, op1
		}
		if c.MXCSR&softfp.MaskAll == softfp.MaskAll {
			fl := f(&op1[0], &a[0], &b[0], &s[0], k, c.MXCSR) | f(&op1[1], &a[1], &b[1], &s[1], k, c.MXCSR)
			c.simdFlags(o, fl)
			return o.next
		}
		c.simdFlags(o, softfp.WideFMA(f, op1, a, b, s, k, c.MXCSR))
		return o.next
	}
}

// opVcvtps2ph is VCVTPS2PH to a register or to memory.
func opVcvtps2ph(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	src := o.idx
	if o.cc&vMem != 0 {
		src = o.src
	}
	var va uint64
	if o.cc&vMem != 0 {
		va = c.vaddr(o, true)
		c.probeWrite(o, va, uint(o.size))
	}
	t := &c.vtmp[0]
	var fl uint32
	if o.x.VexL != 0 {
		fl = softfp.NarrowImm(softfp.VCVTPS2PH, t, c.ymm(src), uint8(o.imm), c.MXCSR)
	} else {
		fl = softfp.VCVTPS2PH(t, t, c.xmm(src), uint8(o.imm), c.MXCSR)
	}
	c.simdFlags(o, fl)
	switch {
	case o.cc&vMem == 0:
		*c.xmm(o.dst) = *t
		c.clearUpper(o.dst)
	case o.size == 16:
		c.st128(o, va, t[0], t[1])
	default:
		c.st64(o, va, t[0])
	}
	return o.next
}

// Moves.

func opVmovReg(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	*c.xmm(o.dst) = *c.xmm(o.idx)
	c.clearUpper(o.dst)
	return o.next
}

func opVmovLoad(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	lo, hi := c.ld128(o, c.vaddr(o, false))
	c.V[o.dst&15] = x86.Vec{lo, hi}
	return o.next
}

func opVmovLoadY(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	if o.cc&vMem == 0 {
		*c.ymm(o.dst) = *c.ymm(o.idx)
		return o.next
	}
	c.ld256(o, c.vaddr(o, false), &c.vtmp)
	*c.ymm(o.dst) = c.vtmp
	return o.next
}

func opVmovStore(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	c.vstore(o, c.ymm(o.src))
	return o.next
}

// opVmovLoadLow loads up to 8 bytes and zeroes the rest.
func opVmovLoadLow(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	v := c.ld(o, c.vaddr(o, false), o.size)
	c.V[o.dst&15] = x86.Vec{v}
	return o.next
}

func opVmovHighStore(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	c.st64(o, c.vaddr(o, true), c.xmm(o.src)[1])
	return o.next
}

// opVmovdReg is VMOVD and VMOVQ between registers.
func opVmovdReg(c *CPU, o *Op) *Op {
	c.checkAVX(o)
	switch {
	case o.x.Args[0].Kind == decode.GPR:
		c.R[o.dst&15] = c.xmm(o.idx)[0] & sizeMask(o.x.Args[0].Size)
	case o.x.Args[1].Kind == decode.GPR:
		c.V[o.dst&15] = x86.Vec{c.R[o.idx&15] & sizeMask(o.x.Args[1].Size)}
	default:
		c.V[o.dst&15] = x86.Vec{c.xmm(o.idx)[0]}
	}
	return o.next
}

func initAVXMoves() {
	for _, n := range []string{"vmovaps", "vmovups", "vmovapd", "vmovupd", "vmovdqa", "vmovdqu", "vlddqu", "vmovntdqa", "vmovntps", "vmovntpd", "vmovntdq"} {
		onVec(n, vecForms{reg: opVmovReg, load: opVmovLoad, store: opVmovStore, wide: opVmovLoadY, wstore: opVmovStore})
	}
	onVec("vmovss", vecForms{reg: avxBin(mergeSS), load: opVmovLoadLow, store: opVmovStore})
	onVec("vmovsd", vecForms{reg: avxBin(mergeLow), load: opVmovLoadLow, store: opVmovStore})
	onVec("vmovd", vecForms{reg: opVmovdReg, load: opVmovLoadLow, store: opVmovStore})
	onVec("vmovq", vecForms{reg: opVmovdReg, load: opVmovLoadLow, store: opVmovStore})
	for _, n := range []string{"vmovlps", "vmovlpd"} {
		onVec(n, vecForms{load: avxBin(mergeLow), store: opVmovStore})
	}
	for _, n := range []string{"vmovhps", "vmovhpd"} {
		onVec(n, vecForms{load: avxBin(mergeTop), store: opVmovHighStore})
	}
	onVec("vmovhlps", vecForms{reg: avxBin(movhlps)})
	onVec("vmovlhps", vecForms{reg: avxBin(mergeTop)})
	mask := func(name string, f func(*simd.V128) uint32, shift uint) {
		vex(name, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			c.R[o.dst&15] = uint64(f(c.xmm(o.idx)))
			return o.next
		}, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			v := c.ymm(o.idx)
			c.R[o.dst&15] = uint64(f(&v[0]) | f(&v[1])<<shift)
			return o.next
		})
	}
	mask("vpmovmskb", simd.PMOVMSKB, 16)
	mask("vmovmskps", simd.MOVMSKPS, 4)
	mask("vmovmskpd", simd.MOVMSKPD, 2)
	vex("vmaskmovdqu", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		c.maskedBytes(o, c.xmm(o.dst), c.xmm(o.idx), 16)
		return o.next
	}, nil)
	on("vzeroupper", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		for i := range c.xmmCount() {
			c.clearUpper(uint8(i))
		}
		return o.next
	})
	on("vzeroall", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		for i := range c.xmmCount() {
			c.V[i] = x86.Vec{}
		}
		return o.next
	})
	on("vldmxcsr", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		v := uint32(c.arg(o, 0))
		if v&^mxcsrMask != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		c.MXCSR = v
		return o.next
	})
	on("vstmxcsr", func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		c.setArg(o, 0, uint64(c.MXCSR))
		return o.next
	})
	for n, size := range map[string]uint{"vmaskmovps": 4, "vmaskmovpd": 8, "vpmaskmovd": 4, "vpmaskmovq": 8} {
		load, store := maskedLoad(size), maskedStore(size)
		onVec(n, vecForms{load: load, store: store, wide: load, wstore: store})
	}
	for n, f := range map[string]opFunc{
		"vpgatherdd": gather(4, 4), "vpgatherdq": gather(4, 8), "vpgatherqd": gather(8, 4), "vpgatherqq": gather(8, 8),
		"vgatherdps": gather(4, 4), "vgatherdpd": gather(4, 8), "vgatherqps": gather(8, 4), "vgatherqpd": gather(8, 8)} {
		vex(n, f, f)
	}
}

// Elements of a register, by number and size in bytes (4 or 8).

func element(v *x86.Vec, i, size uint) uint64 {
	if size == 8 {
		return v[i&3]
	}
	return v[i>>1&3] >> (i & 1 * 32) & 0xffffffff
}

func setElement(v *x86.Vec, i, size uint, x uint64) {
	if size == 8 {
		v[i&3] = x
		return
	}
	s := i & 1 * 32
	p := &v[i>>1&3]
	*p = *p&^(0xffffffff<<s) | x&0xffffffff<<s
}

// elementAt is the linear address of the element of a masked move that is off
// bytes from the operand's start.
func (c *CPU) elementAt(o *Op, off uint64, size uint, write bool) uint64 {
	return c.segLin(o, o.seg, (c.ea(o)+off)&c.amask[o.x.AddrSize], size, write)
}

// maskedLoad makes VMASKMOV and VPMASKMOV from memory: elements without the top
// bit of their mask are zero, and are not accessed.
func maskedLoad(size uint) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		m := &c.V[o.src&15]
		var r x86.Vec
		for i := range uint(16) << o.x.VexL / size {
			if element(m, i, size)>>(size*8-1) != 0 {
				setElement(&r, i, size, c.ld(o, c.elementAt(o, uint64(i*size), size, false), uint8(size)))
			}
		}
		c.V[o.dst&15] = r
		return o.next
	}
}

// maskedStore makes VMASKMOV and VPMASKMOV to memory.
func maskedStore(size uint) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		m, v := &c.V[o.dst&15], &c.V[o.src&15]
		n := uint(16) << o.x.VexL / size
		for i := range n {
			if element(m, i, size)>>(size*8-1) != 0 {
				c.probeWrite(o, c.elementAt(o, uint64(i*size), size, true), size)
			}
		}
		for i := range n {
			if element(m, i, size)>>(size*8-1) != 0 {
				c.st(o, c.elementAt(o, uint64(i*size), size, true), uint8(size), element(v, i, size))
			}
		}
		return o.next
	}
}

// gather makes the gathers, by the sizes of an index and of an element. An
// element that is there clears its mask, so that one that faults leaves the
// instruction to be restarted (SDM volume 2, VPGATHERDD).
func gather(index, size uint) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkAVX(o)
		d, m, x := &c.V[o.dst&15], &c.V[o.x.Args[2].Reg&15], &c.V[o.x.VIndex.Reg&15]
		n := uint(16) << o.x.VexL / max(index, size)
		width := n * size // bytes that the destination gets
		base := c.R[o.base&31] + o.disp
		for i := range n {
			if element(m, i, size)>>(size*8-1) == 0 {
				setElement(m, i, size, 0)
				continue
			}
			k := element(x, i, index)
			if index == 4 {
				k = uint64(int64(int32(k)))
			}
			ea := (base + k<<(o.scl&3)) & c.amask[o.x.AddrSize]
			v := c.ld(o, c.segLin(o, o.seg, ea, size, false), uint8(size))
			setElement(d, i, size, v)
			setElement(m, i, size, 0)
		}
		*m = x86.Vec{}
		if width <= 16 {
			d[2], d[3] = 0, 0
		}
		if width <= 8 {
			d[1] = 0
		}
		return o.next
	}
}
