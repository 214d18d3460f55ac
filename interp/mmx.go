package interp

// MMX. Its registers are the significands of the x87 registers; an instruction
// that touches one makes the x87 unit look full: TOP is 0, all registers valid,
// and the exponent of one that is written is all ones (SDM volume 1, 9.5 and
// volume 3, 12.2).

import (
	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
	"hotblock/x86/softfp"
)

// needMMX raises what an MMX instruction does where it may not run, or has an
// x87 exception pending.
func (c *CPU) needMMX(o *Op) {
	if c.CR0&x86.CR0EM != 0 {
		c.raise(o, x86.ExcUD, 0)
	}
	if c.CR0&x86.CR0TS != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
	if c.FSW&0x80 != 0 {
		c.raise(o, x86.ExcMF, 0)
	}
}

// checkMMX is the check in front of every MMX instruction.
func (c *CPU) checkMMX(o *Op) {
	if c.vec&vecMMX == 0 || c.FSW&0x80 != 0 {
		c.needMMX(o)
	}
}

// enterMMX switches the x87 unit to MMX.
func (c *CPU) enterMMX() {
	c.FSW &^= 0x3800
	c.FTW = 0xff
}

// setMM writes an MMX register and enters MMX.
func (c *CPU) setMM(r uint8, v uint64) {
	c.FPFrac[r&7], c.FPExp[r&7] = v, 0xffff
	c.enterMMX()
}

// b64 is the r/m operand of an MMX instruction.
func (c *CPU) b64(o *Op) uint64 {
	if o.cc&vMem == 0 {
		return c.FPFrac[o.idx&7]
	}
	return c.ld(o, c.vaddr(o, false), o.size)
}

func mmxBin(f simd.Bin64) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		b := c.b64(o)
		c.setMM(o.dst, f(c.FPFrac[o.dst&7], b))
		return o.next
	}
}

func mmxShift(f simd.Bin64) opFunc {
	return func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		c.setMM(o.dst, f(c.FPFrac[o.dst&7], o.imm&0xff))
		return o.next
	}
}

// byImm takes one function for a register count and another for an immediate.
func byImm(reg, imm opFunc) opFunc {
	return func(c *CPU, o *Op) *Op {
		if o.x.Args[1].Kind == decode.Imm {
			return imm(c, o)
		}
		return reg(c, o)
	}
}

func init() {
	shifts := map[byte][2]byte{ // by register and by immediate: group and reg
		0xd1: {0x71, 2}, 0xe1: {0x71, 4}, 0xf1: {0x71, 6},
		0xd2: {0x72, 2}, 0xe2: {0x72, 4}, 0xf2: {0x72, 6},
		0xd3: {0x73, 2}, 0xf3: {0x73, 6},
	}
	groups := [3]*[8]simd.Bin64{&simd.ShiftW64, &simd.ShiftD64, &simd.ShiftQ64}
	for op, f := range simd.MMX0F {
		if f == nil {
			continue
		}
		fn := mmxBin(f)
		if s, ok := shifts[byte(op)]; ok {
			fn = byImm(fn, mmxShift(groups[s[0]-0x71][s[1]]))
		}
		onVec(nameAt(0x0f, byte(op)), vecForms{mmx: fn})
	}
	for op, f := range simd.MMX0F38 {
		if f != nil {
			onVec(nameAt(0x0f, 0x38, byte(op)), vecForms{mmx: mmxBin(f)})
		}
	}
	onVec("palignr", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		b := c.b64(o)
		c.setMM(o.dst, simd.PALIGNR64(c.FPFrac[o.dst&7], b, uint8(o.imm)))
		return o.next
	}})
	onVec("pshufw", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		c.setMM(o.dst, simd.PSHUFW64(c.b64(o), uint8(o.imm)))
		return o.next
	}})
	onVec("pinsrw", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		v := c.arg(o, 1)
		c.setMM(o.dst, simd.PINSRW64(c.FPFrac[o.dst&7], v, uint8(o.imm)))
		return o.next
	}})
	onVec("pextrw", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		c.R[o.dst&15] = simd.PEXTRW64(c.FPFrac[o.idx&7], uint8(o.imm))
		c.enterMMX()
		return o.next
	}})
	onVec("pmovmskb", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		c.R[o.dst&15] = uint64(simd.PMOVMSKB64(c.FPFrac[o.idx&7]))
		c.enterMMX()
		return o.next
	}})
	onVec("movd", vecForms{mmx: opMMXMovd})
	onVec("movq", vecForms{mmx: opMMXMovq})
	onVec("movntq", vecForms{mmx: opMMXMovq})
	onVec("maskmovq", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		m := c.FPFrac[o.idx&7]
		c.maskedBytes(o, &simd.V128{c.FPFrac[o.dst&7]}, &simd.V128{m}, 8)
		c.enterMMX()
		return o.next
	}})
	on("emms", func(c *CPU, o *Op) *Op {
		c.checkMMX(o)
		c.FTW = 0
		c.FSW &^= 0x3800
		return o.next
	})
	onVec("movq2dq", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.checkMMX(o)
		*c.xmm(o.dst) = simd.V128{c.FPFrac[o.idx&7]}
		c.enterMMX()
		return o.next
	}})
	onVec("movdq2q", vecForms{mmx: func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		c.checkMMX(o)
		c.setMM(o.dst, c.xmm(o.idx)[0])
		return o.next
	}})
	// Conversions between MMX and XMM registers.
	toMMX := func(f softfp.Bin) opFunc {
		return func(c *CPU, o *Op) *Op {
			c.checkSSE(o)
			c.checkMMX(o)
			b := c.b128(o)
			t := &c.vtmp[1]
			if o.size == 8 && o.cc&vMem == 0 {
				// Two float32s: the upper half of the register does not count.
				t[0], t[1] = b[0], 0
				b = t
			}
			c.enterMMX() // even if there is an exception
			c.simdFlags(o, f(t, b, b, c.MXCSR))
			c.setMM(o.dst, t[0])
			return o.next
		}
	}
	onVec("cvtps2pi", vecForms{mmx: toMMX(softfp.CVTPS2DQ), load: toMMX(softfp.CVTPS2DQ)})
	onVec("cvttps2pi", vecForms{mmx: toMMX(softfp.CVTTPS2DQ), load: toMMX(softfp.CVTTPS2DQ)})
	onVec("cvtpd2pi", vecForms{mmx: toMMX(softfp.CVTPD2DQ), load: toMMX(softfp.CVTPD2DQ)})
	onVec("cvttpd2pi", vecForms{mmx: toMMX(softfp.CVTTPD2DQ), load: toMMX(softfp.CVTTPD2DQ)})
	// With a source in memory these have nothing to do with MMX.
	pi2ps := func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		if o.cc&vMem == 0 {
			c.checkMMX(o)
			c.enterMMX()
		}
		t := &c.vtmp[1]
		t[0], t[1] = c.b64(o), 0
		c.simdFlags(o, softfp.CVTDQ2PS(t, t, t, c.MXCSR))
		c.xmm(o.dst)[0] = t[0]
		return o.next
	}
	onVec("cvtpi2ps", vecForms{mmx: pi2ps, load: pi2ps})
	pi2pd := func(c *CPU, o *Op) *Op {
		c.checkSSE(o)
		if o.cc&vMem == 0 {
			c.checkMMX(o)
		}
		t := &c.vtmp[1]
		t[0], t[1] = c.b64(o), 0
		softfp.CVTDQ2PD(c.xmm(o.dst), t, t, c.MXCSR)
		if o.cc&vMem == 0 {
			c.enterMMX()
		}
		return o.next
	}
	onVec("cvtpi2pd", vecForms{mmx: pi2pd, load: pi2pd})
}

// opMMXMovd and opMMXMovq are MOVD and MOVQ between MMX registers and general
// registers or memory.
func opMMXMovd(c *CPU, o *Op) *Op {
	c.checkMMX(o)
	if o.x.Args[0].Kind == decode.MMX {
		c.setMM(o.dst, c.arg(o, 1))
		return o.next
	}
	c.setArg(o, 0, c.FPFrac[o.x.Args[1].Reg&7]&sizeMask(o.x.Args[0].Size))
	c.enterMMX()
	return o.next
}

func opMMXMovq(c *CPU, o *Op) *Op {
	c.checkMMX(o)
	d, s := &o.x.Args[0], &o.x.Args[1]
	var v uint64
	if s.Kind == decode.MMX {
		v = c.FPFrac[s.Reg&7]
	} else {
		v = c.arg(o, 1)
	}
	if d.Kind == decode.MMX {
		c.setMM(d.Reg, v)
		return o.next
	}
	c.setArg(o, 0, v)
	c.enterMMX()
	return o.next
}

// maskedBytes stores those of the n bytes of v to DS:rDI for which m has the top
// bit set (MASKMOVQ, MASKMOVDQU). Nothing is stored if one of them faults.
func (c *CPU) maskedBytes(o *Op, v, m *simd.V128, n int) {
	ea := c.R[x86.RDI]
	mask := c.amask[o.x.AddrSize]
	at := func(i int) uint64 { return c.segLin(o, o.seg, (ea+uint64(i))&mask, 1, true) }
	for i := range n {
		if m.Byte(i)&0x80 != 0 {
			c.probeWrite(o, at(i), 1)
		}
	}
	for i := range n {
		if m.Byte(i)&0x80 != 0 {
			c.st8(o, at(i), uint64(v.Byte(i)))
		}
	}
}
