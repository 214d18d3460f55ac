package interp

// SSE to SSE4.2, AES, PCLMULQDQ and SHA in their legacy encodings.

import (
	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
	"hotblock/x86/softfp"
)

// checkSSE is the check in front of every SSE instruction.
func (c *CPU) checkSSE(o *Op) {
	if c.vec&vecSSE == 0 {
		c.needSSE(o)
	}
}

// Handlers by shape.

func sseBin(f simd.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		f(d, d, b)
		return o.next
	}
}

func sseUn(f simd.Un) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		f(c.xmm(o.dst), c.b128(o))
		return o.next
	}
}

func sseUnImm(f simd.UnImm) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		f(c.xmm(o.dst), c.b128(o), uint8(o.imm))
		return o.next
	}
}

func sseBinImm(f simd.BinImm) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		f(d, d, b, uint8(o.imm))
		return o.next
	}
}

// sseTern has XMM0 as its third source.
func sseTern(f simd.Tern) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		f(d, d, b, c.xmm(0))
		return o.next
	}
}

func sseFP(f softfp.Bin) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		c.simdFlags(o, f(d, d, b, c.MXCSR))
		return o.next
	}
}

func sseFPImm(f softfp.BinImm, mask uint8) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		c.simdFlags(o, f(d, d, b, uint8(o.imm)&mask, c.MXCSR))
		return o.next
	}
}

func sseScalar32(f func(a, b, m uint32) (uint32, uint32)) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		r, fl := f(uint32(d[0]), uint32(b[0]), c.MXCSR)
		c.scalarFlags(o, fl)
		d[0] = d[0]>>32<<32 | uint64(r)
		return o.next
	}
}

func sseScalar64(f func(a, b uint64, m uint32) (uint64, uint32)) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b := c.b128(o)
		d := c.xmm(o.dst)
		r, fl := f(d[0], b[0], c.MXCSR)
		c.scalarFlags(o, fl)
		d[0] = r
		return o.next
	}
}

// direct are the commonest operations of map 0F by opcode, with the function in
// place of a call through a pointer.
var direct = [256]opFunc{
	0x60: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		simd.PUNPCKLBW(d, d, b)
		return o.next
	},
	0x6c: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		d[1] = b[0]
		return o.next
	},
	0x74: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		simd.PCMPEQB(d, d, b)
		return o.next
	},
	0xd4: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		d[0] += b[0]
		d[1] += b[1]
		return o.next
	},
	0xda: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		simd.PMINUB(d, d, b)
		return o.next
	},
	0x54: sseAnd, 0xdb: sseAnd,
	0x56: sseOr, 0xeb: sseOr,
	0x57: sseXor, 0xef: sseXor,
	0xfe: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		b, d := c.b128(o), c.xmm(o.dst)
		simd.PADDD(d, d, b)
		return o.next
	},
}

func sseAnd(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	b, d := c.b128(o), c.xmm(o.dst)
	d[0] &= b[0]
	d[1] &= b[1]
	return o.next
}

func sseOr(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	b, d := c.b128(o), c.xmm(o.dst)
	d[0] |= b[0]
	d[1] |= b[1]
	return o.next
}

func sseXor(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	b, d := c.b128(o), c.xmm(o.dst)
	d[0] ^= b[0]
	d[1] ^= b[1]
	return o.next
}

// both registers f for a register and for memory as r/m.
func both(name string, f opFunc) { onVec(name, vecForms{reg: f, load: f}) }

// mandatory are the mandatory prefixes, as VEX.pp numbers them.
var mandatory = [4][]byte{nil, {0x66}, {0xf3}, {0xf2}}

func encoding(pp int, op ...byte) []byte { return append(append([]byte(nil), mandatory[pp]...), op...) }

func init() {
	initSSEMoves()
	// What the tables of package simd hold.
	shifts := map[byte]simd.UnImm{0xd1: simd.ShiftW[2], 0xe1: simd.ShiftW[4], 0xf1: simd.ShiftW[6],
		0xd2: simd.ShiftD[2], 0xe2: simd.ShiftD[4], 0xf2: simd.ShiftD[6], 0xd3: simd.ShiftQ[2], 0xf3: simd.ShiftQ[6]}
	for op, f := range simd.SSE0F {
		if f == nil {
			continue
		}
		reg, load := sseBin(f), sseBin(f)
		if h := direct[byte(op)]; h != nil {
			reg, load = h, h
		}
		if imm := shifts[byte(op)]; imm != nil {
			reg = byImm(reg, sseUnImm(imm))
		}
		onVec(nameAt(0x66, 0x0f, byte(op)), vecForms{reg: reg, load: load})
		if op >= 0x54 && op <= 0x57 {
			both(nameAt(0x0f, byte(op)), reg)
		}
	}
	onVec("psrldq", vecForms{reg: sseUnImm(simd.PSRLDQ)})
	onVec("pslldq", vecForms{reg: sseUnImm(simd.PSLLDQ)})
	both("unpcklps", sseBin(simd.PUNPCKLDQ))
	both("unpckhps", sseBin(simd.PUNPCKHDQ))
	for op, f := range simd.SSE0F38 {
		if f != nil && op != 0x0c && op != 0x0d {
			both(nameAt(0x66, 0x0f, 0x38, byte(op)), sseBin(f))
		}
	}
	for i, f := range simd.SHA0F38 {
		if f != nil {
			both(nameAt(0x0f, 0x38, byte(0xc8+i)), sseBin(f))
		}
	}
	both("sha256rnds2", sseTern(simd.SHA256RNDS2))
	both("sha1rnds4", sseBinImm(simd.SHA1RNDS4))
	both("aeskeygenassist", sseUnImm(simd.AESKEYGENASSIST))
	for i, group := range simd.Ext {
		for j, f := range group {
			both(nameAt(0x66, 0x0f, 0x38, byte(0x20+i<<4+j)), sseUn(f))
		}
	}
	for op, f := range simd.SSE0F3A {
		if f.Do != nil && op != 0x02 && op != 0x21 {
			both(nameAt(0x66, 0x0f, 0x3a, byte(op)), sseBinImm(f.Do))
		}
	}
	both("insertps", sseBinImm(simd.INSERTPS))
	for _, op := range []byte{0x10, 0x14, 0x15} {
		both(nameAt(0x66, 0x0f, 0x38, op), sseTern(simd.BlendV[op]))
	}
	both("pshufd", sseUnImm(simd.PSHUFD))
	both("pshuflw", sseUnImm(simd.PSHUFLW))
	both("pshufhw", sseUnImm(simd.PSHUFHW))
	both("shufps", sseBinImm(simd.SHUFPS))
	both("shufpd", sseBinImm(simd.SHUFPD))
	both("movddup", sseUn(simd.MOVDDUP))
	both("movsldup", sseUn(simd.MOVSLDUP))
	both("movshdup", sseUn(simd.MOVSHDUP))

	// What the tables of package softfp hold.
	scalars := map[byte]opFunc{
		0x58: sseScalar32(softfp.Add32), 0x59: sseScalar32(softfp.Mul32), 0x5c: sseScalar32(softfp.Sub32),
		0x5d: sseScalar32(softfp.Min32), 0x5e: sseScalar32(softfp.Div32), 0x5f: sseScalar32(softfp.Max32),
	}
	scalars64 := map[byte]opFunc{
		0x58: sseScalar64(softfp.Add64), 0x59: sseScalar64(softfp.Mul64), 0x5c: sseScalar64(softfp.Sub64),
		0x5d: sseScalar64(softfp.Min64), 0x5e: sseScalar64(softfp.Div64), 0x5f: sseScalar64(softfp.Max64),
	}
	for op, fs := range softfp.Arith0F {
		for pp, f := range fs {
			if f == nil {
				continue
			}
			h := sseFP(f)
			if s := scalars[byte(op)]; pp == 2 && s != nil {
				h = s
			}
			if s := scalars64[byte(op)]; pp == 3 && s != nil {
				h = s
			}
			both(nameAt(encoding(pp, 0x0f, byte(op))...), h)
		}
	}
	for pp, f := range softfp.Cmp0FC2 {
		both(nameAt(encoding(pp, 0x0f, 0xc2)...), sseFPImm(f, 7))
	}
	for op, f := range softfp.Imm0F3A {
		if f != nil {
			both(nameAt(0x66, 0x0f, 0x3a, byte(op)), sseFPImm(f, 0xff))
		}
	}
	for _, n := range []string{"ucomiss", "comiss", "ucomisd", "comisd"} {
		double, signal := n[len(n)-1] == 'd', n[0] == 'c'
		h := comi(double, signal)
		both(n, func(c *CPU, o *Op) *Op { c.checkSSE(o); return h(c, o) })
		both("v"+n, func(c *CPU, o *Op) *Op { c.checkAVX(o); return h(c, o) })
	}
	for _, n := range []string{"cvtss2si", "cvttss2si", "cvtsd2si", "cvttsd2si"} {
		h := toInt(n[len(n)-4] == 'd', n[3] == 't')
		both(n, func(c *CPU, o *Op) *Op { c.checkSSE(o); return h(c, o) })
		both("v"+n, func(c *CPU, o *Op) *Op { c.checkAVX(o); return h(c, o) })
	}
	both("cvtsi2ss", func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		r, fl := softfp.Float32FromInt(c.intArg(o, 1), c.MXCSR)
		c.scalarFlags(o, fl)
		d := c.xmm(o.dst)
		d[0] = d[0]>>32<<32 | uint64(r)
		return o.next
	})
	both("cvtsi2sd", func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		r, fl := softfp.Float64FromInt(c.intArg(o, 1), c.MXCSR)
		c.scalarFlags(o, fl)
		c.xmm(o.dst)[0] = r
		return o.next
	})
	both("ptest", func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.testFlags(simd.PTEST(c.xmm(o.dst), c.b128(o)))
		return o.next
	})
	for _, n := range []string{"pcmpestrm", "pcmpestri", "pcmpistrm", "pcmpistri"} {
		h := pcmpstr(n)
		both(n, func(c *CPU, o *Op) *Op { c.checkSSE(o); return h(c, o) })
		both("v"+n, func(c *CPU, o *Op) *Op { c.checkAVX(o); return h(c, o) })
	}
}

// intArg is a signed general operand.
func (c *CPU) intArg(o *Op, i int) int64 {
	return int64(signExtend(c.arg(o, i), o.x.Args[i].Size))
}

// testFlags sets ZF and CF and clears the other status flags.
func (c *CPU) testFlags(zf, cf bool) {
	c.setFlags(b2u(zf)<<6 | b2u(cf))
}

// comi makes (U)COMISS and (U)COMISD.
func comi(double, signal bool) opFunc {
	if double {
		return func(c *CPU, o *Op) *Op {
			b := c.b128(o)
			ef, fl := softfp.Comi64(c.xmm(o.dst)[0], b[0], signal, c.MXCSR)
			c.scalarFlags(o, fl)
			c.setFlags(uint64(ef))
			return o.next
		}
	}
	return func(c *CPU, o *Op) *Op {
		b := c.b128(o)
		ef, fl := softfp.Comi32(uint32(c.xmm(o.dst)[0]), uint32(b[0]), signal, c.MXCSR)
		c.scalarFlags(o, fl)
		c.setFlags(uint64(ef))
		return o.next
	}
}

// toInt makes the conversions from a scalar to a general register.
func toInt(double, trunc bool) opFunc {
	return func(c *CPU, o *Op) *Op {
		b := c.b128(o)
		var r uint64
		var fl, r32 uint32
		switch wide := o.x.Args[0].Size == 8; {
		case double && wide:
			r, fl = softfp.Int64From64(b[0], trunc, c.MXCSR)
		case double:
			r32, fl = softfp.Int32From64(b[0], trunc, c.MXCSR)
			r = uint64(r32)
		case wide:
			r, fl = softfp.Int64From32(uint32(b[0]), trunc, c.MXCSR)
		default:
			r32, fl = softfp.Int32From32(uint32(b[0]), trunc, c.MXCSR)
			r = uint64(r32)
		}
		c.scalarFlags(o, fl)
		c.R[o.dst&15] = r
		return o.next
	}
}

// pcmpstr makes the string comparisons.
func pcmpstr(name string) opFunc {
	explicit := name[4] == 'e'
	mask := name[len(name)-1] == 'm'
	return func(c *CPU, o *Op) *Op {
		a, b := c.xmm(o.dst), c.b128(o)
		var r simd.StrResult
		if explicit {
			la, lb := int64(c.R[x86.RAX]), int64(c.R[x86.RDX])
			if !o.x.RexW || !c.long {
				la, lb = int64(int32(la)), int64(int32(lb))
			}
			r = simd.PCMPESTR(a, b, la, lb, uint8(o.imm))
		} else {
			r = simd.PCMPISTR(a, b, uint8(o.imm))
		}
		if mask {
			*c.xmm(0) = r.Mask
			if o.x.Vex {
				c.V[0][2], c.V[0][3] = 0, 0
			}
		} else {
			c.R[x86.RCX] = uint64(r.Index)
		}
		c.setFlags(uint64(r.Flags))
		return o.next
	}
}

// Moves.

func opMovapsReg(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	*c.xmm(o.dst) = *c.xmm(o.idx)
	return o.next
}

func opMovapsLoad(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	va := c.vaddr(o, false)
	lo, hi := c.ld128(o, va)
	*c.xmm(o.dst) = simd.V128{lo, hi}
	return o.next
}

func opMovapsStore(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	va := c.vaddr(o, true)
	v := c.xmm(o.src)
	c.st128(o, va, v[0], v[1])
	return o.next
}

// opMovLoad loads up to 8 bytes and zeroes the rest of the register.
func opMovLoad(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	va := c.vaddr(o, false)
	var v uint64
	if o.size == 8 {
		v = c.ld64(o, va)
	} else {
		v = c.ld32(o, va)
	}
	*c.xmm(o.dst) = simd.V128{v}
	return o.next
}

// opMovStore stores the low 4 or 8 bytes of a register.
func opMovStore(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	va := c.vaddr(o, true)
	v := c.xmm(o.src)[0]
	if o.size == 8 {
		c.st64(o, va, v)
	} else {
		c.st32(o, va, v)
	}
	return o.next
}

func opMovHighStore(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	c.st64(o, c.vaddr(o, true), c.xmm(o.src)[1])
	return o.next
}

// Moves as functions of a first and a second source.
func mergeSS(d, a, b *simd.V128)  { d[0], d[1] = a[0]>>32<<32|b[0]&0xffffffff, a[1] }
func mergeLow(d, a, b *simd.V128) { d[0], d[1] = b[0], a[1] }
func mergeTop(d, a, b *simd.V128) { d[0], d[1] = a[0], b[0] }
func movhlps(d, a, b *simd.V128)  { d[0], d[1] = b[1], a[1] }

// opMovToXMM is MOVD and MOVQ from a general register.
func opMovToXMM(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	v := c.R[o.idx&15]
	if o.size == 4 {
		v &= 0xffffffff
	}
	*c.xmm(o.dst) = simd.V128{v}
	return o.next
}

// opMovFromXMM is MOVD and MOVQ to a general register.
func opMovFromXMM(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	v := c.xmm(o.idx)[0]
	if o.x.Args[0].Size == 4 {
		v &= 0xffffffff
	}
	c.R[o.dst&15] = v
	return o.next
}

// opMovdReg is MOVD and MOVQ between registers.
func opMovdReg(c *CPU, o *Op) *Op {
	c.checkSSE(o)
	switch {
	case o.x.Args[0].Kind == decode.GPR:
		return opMovFromXMM(c, o)
	case o.x.Args[1].Kind == decode.GPR:
		return opMovToXMM(c, o)
	}
	*c.xmm(o.dst) = simd.V128{c.xmm(o.idx)[0]}
	return o.next
}

func initSSEMoves() {
	for _, n := range []string{"movaps", "movups", "movapd", "movupd", "movdqa", "movdqu", "lddqu", "movntdqa", "movntps", "movntpd", "movntdq"} {
		onVec(n, vecForms{reg: opMovapsReg, load: opMovapsLoad, store: opMovapsStore})
	}
	onVec("movss", vecForms{reg: sseBin(mergeSS), load: opMovLoad, store: opMovStore})
	onVec("movsd", vecForms{reg: sseBin(mergeLow), load: opMovLoad, store: opMovStore})
	onVec("movd", vecForms{reg: opMovdReg, load: opMovLoad, store: opMovStore})
	onVec("movq", vecForms{reg: opMovdReg, load: opMovLoad, store: opMovStore})
	for _, n := range []string{"movlps", "movlpd"} {
		onVec(n, vecForms{load: sseBin(mergeLow), store: opMovStore})
	}
	for _, n := range []string{"movhps", "movhpd"} {
		onVec(n, vecForms{load: sseBin(mergeTop), store: opMovHighStore})
	}
	onVec("movhlps", vecForms{reg: sseBin(movhlps)})
	onVec("movlhps", vecForms{reg: sseBin(mergeTop)})
	onVec("pmovmskb", vecForms{reg: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.R[o.dst&15] = uint64(simd.PMOVMSKB(c.xmm(o.idx)))
		return o.next
	}})
	onVec("movmskps", vecForms{reg: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.R[o.dst&15] = uint64(simd.MOVMSKPS(c.xmm(o.idx)))
		return o.next
	}})
	onVec("movmskpd", vecForms{reg: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.R[o.dst&15] = uint64(simd.MOVMSKPD(c.xmm(o.idx)))
		return o.next
	}})
	onVec("maskmovdqu", vecForms{reg: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.maskedBytes(o, c.xmm(o.dst), c.xmm(o.idx), 16)
		return o.next
	}})
	for n, f := range map[string]func(d, a *simd.V128, v uint64, imm uint8){
		"pinsrb": simd.PINSRB, "pinsrw": simd.PINSRW, "pinsrd": simd.PINSRD, "pinsrq": simd.PINSRQ} {
		both(n, func(c *CPU, o *Op) *Op {
			c.checkSSE(o)
			v := c.arg(o, 1)
			d := c.xmm(o.dst)
			f(d, d, v, uint8(o.imm))
			return o.next
		})
		both("v"+n, func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			v := c.arg(o, 2)
			f(c.xmm(o.dst), c.xmm(o.src), v, uint8(o.imm))
			c.clearUpper(o.dst)
			return o.next
		})
	}
	for n, f := range map[string]func(a *simd.V128, imm uint8) uint64{
		"pextrb": simd.PEXTRB, "pextrw": simd.PEXTRW, "pextrd": simd.PEXTRD, "pextrq": simd.PEXTRQ, "extractps": simd.PEXTRD} {
		sse := func(c *CPU, o *Op) *Op {
			c.checkSSE(o)
			c.setArg(o, 0, f(c.xmm(o.x.Args[1].Reg), uint8(o.imm)))
			return o.next
		}
		avx := func(c *CPU, o *Op) *Op {
			c.checkAVX(o)
			c.setArg(o, 0, f(c.xmm(o.x.Args[1].Reg), uint8(o.imm)))
			return o.next
		}
		onVec(n, vecForms{reg: sse, store: sse})
		onVec("v"+n, vecForms{reg: avx, store: avx})
	}
}
