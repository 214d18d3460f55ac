package interp

// Vector instructions: what MMX, SSE and AVX have in common.
//
// What an instruction computes is a function of package simd or softfp; a
// handler here fetches operands, calls it and stores the result. There is one
// kind of handler for each shape of instruction (two sources, one source, an
// immediate beside them, flags of floating point to raise) and encoding (MMX,
// legacy SSE, VEX.128, VEX.256). The function is bound when the package is
// initialised: a handler is a closure over it, so an Op needs no field for it.
//
// Whether the guest has enabled MMX, SSE or AVX is one bit each of CPU.vec, which
// follows CR0, CR4 and XCR0.
//
// Register operands are in the Op: dst is the destination, src the first source
// (the destination in two-operand forms), idx the last source, r/m, where that
// is a register. A store has its source in src, as idx then addresses memory.

import (
	"strings"

	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
	"hotblock/x86/softfp"
)

// Bits of CPU.vec: which instructions may run.
const (
	vecMMX = 1 << iota
	vecSSE
	vecAVX
)

// updateVec recomputes CPU.vec. It must follow every change of CR0, CR4, XCR0
// and EFLAGS.VM.
func (c *CPU) updateVec() {
	c.vec = 0
	if c.CR0&x86.CR0TS != 0 {
		return
	}
	if c.CR0&x86.CR0EM == 0 {
		c.vec |= vecMMX
		if c.CR4&x86.CR4OSFXSR != 0 {
			c.vec |= vecSSE
		}
	}
	if c.avxEnabled() {
		c.vec |= vecAVX
	}
}

// avxEnabled reports whether VEX-encoded vector instructions exist now, but for
// CR0.TS.
func (c *CPU) avxEnabled() bool {
	return c.CR4&x86.CR4OSXSAVE != 0 && c.XCR0&6 == 6 && c.CR0&x86.CR0PE != 0 && c.Flags&x86.FlagVM == 0
}

// needAVX raises what a VEX-encoded vector instruction does when AVX is not
// enabled (SDM volume 2, 2.4).
func (c *CPU) needAVX(o *Op) {
	if !c.avxEnabled() {
		c.raise(o, x86.ExcUD, 0)
	}
	if c.CR0&x86.CR0TS != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
}

// Bits of Op.cc in vector instructions.
const (
	vMem   = 1 << iota // the r/m operand is in memory
	vFlat              // 64-bit mode and 64-bit addresses
	vAlign             // the memory operand must be aligned to its size
)

// Legacy instructions that take 16 bytes at any address, and VEX ones that do
// not (SDM volume 2, tables 2-21 and 2-18).
var (
	anyAlign = names("movups movupd movdqu lddqu pcmpestrm pcmpestri pcmpistrm pcmpistri")
	vexAlign = names("vmovaps vmovapd vmovdqa vmovntps vmovntpd vmovntdq vmovntdqa")
)

var insertps = names("insertps vinsertps")

func names(s string) map[decode.Op]bool {
	m := map[decode.Op]bool{}
	for n := range strings.FieldsSeq(s) {
		m[decode.MustOp(n)] = true
	}
	return m
}

// vecOperands fills in the fields of a vector Op.
func (c *CPU) vecOperands(o *Op, x *decode.Inst) {
	o.cc = 0
	n := 0 // operands, not counting immediates and a fourth register
	for n < min(int(x.NArgs), 3) && x.Args[n].Kind != decode.Imm {
		n++
	}
	if n == 3 && !x.Vex { // XMM0
		n = 2
	}
	if n == 0 {
		return
	}
	a := x.Args[:n]
	last := &a[n-1]
	o.dst, o.src = a[0].Reg, a[0].Reg
	if n == 3 {
		o.src = a[1].Reg
	}
	o.size = last.Size
	if a[0].Kind == decode.Mem {
		o.cc = vMem
		o.size = a[0].Size
		o.src = last.Reg
		if n == 3 { // a masked store
			o.dst = a[1].Reg
		}
	} else if last.Kind == decode.Mem || n == 3 && a[1].Kind == decode.Mem { // the latter: a gather
		o.cc = vMem
	} else {
		o.idx = last.Reg
	}
	if o.cc&vMem != 0 {
		if c.mode == mode64 && x.AddrSize == 8 {
			o.cc |= vFlat
		}
		if insertps[x.Op] {
			o.imm &= 0x3f // the source is the doubleword that is there
		}
		if x.Vex && vexAlign[x.Op] || !x.Vex && o.size == 16 && !anyAlign[x.Op] {
			o.cc |= vAlign
		}
	}
}

// vaddr is the linear address of the memory operand.
func (c *CPU) vaddr(o *Op, write bool) uint64 {
	var va uint64
	if o.cc&vFlat != 0 {
		va = c.R[o.base&31] + c.R[o.idx&31]<<(o.scl&3) + o.disp + c.R[o.sreg&31]
	} else {
		va = c.lin(o, uint(o.size), write)
	}
	if o.cc&vAlign != 0 && va&uint64(o.size-1) != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	return va
}

// b128 is the r/m operand of up to 16 bytes, zero-extended if it is in memory.
func (c *CPU) b128(o *Op) *simd.V128 {
	if o.cc&vMem == 0 {
		return c.xmm(o.idx)
	}
	va := c.vaddr(o, false)
	t := &c.vtmp[0]
	switch o.size {
	case 16:
		t[0], t[1] = c.ld128(o, va)
	case 8:
		t[0], t[1] = c.ld64(o, va), 0
	case 4:
		t[0], t[1] = c.ld32(o, va), 0
	default:
		t[0], t[1] = c.ld(o, va, o.size), 0
	}
	return t
}

// b256 is the r/m operand of 32 bytes.
func (c *CPU) b256(o *Op) *simd.V256 {
	if o.cc&vMem == 0 {
		return c.ymm(o.idx)
	}
	c.ld256(o, c.vaddr(o, false), &c.vtmp)
	return &c.vtmp
}

// store puts the low o.size bytes of a register into the memory operand.
func (c *CPU) vstore(o *Op, v *simd.V256) {
	va := c.vaddr(o, true)
	switch o.size {
	case 32:
		c.st256(o, va, v)
	case 16:
		c.st128(o, va, v[0][0], v[0][1])
	default:
		c.st(o, va, o.size, v[0][0])
	}
}

// simdFlags enters the flags of a floating-point operation into MXCSR, and
// raises #XM for unmasked ones.
func (c *CPU) simdFlags(o *Op, fl uint32) {
	if fl&^c.MXCSR == 0 && c.MXCSR&softfp.MaskAll == softfp.MaskAll {
		return
	}
	c.MXCSR |= fl & 0x3f
	if softfp.Unmasked(fl, c.MXCSR) != 0 {
		if c.CR4&x86.CR4OSXMMEXCPT == 0 {
			c.raise(o, x86.ExcUD, 0)
		}
		c.raise(o, x86.ExcXM, 0)
	}
}

// scalarFlags is simdFlags for operations on one element that do not know of
// masks: an unmasked exception that comes before the operation keeps those of the
// result from being reported (SDM volume 1, 4.9.2).
func (c *CPU) scalarFlags(o *Op, fl uint32) {
	if softfp.Unmasked(fl&(softfp.IE|softfp.DE|softfp.ZE), c.MXCSR) != 0 {
		fl &= softfp.IE | softfp.DE | softfp.ZE
	}
	c.simdFlags(o, fl)
}

// Registration. A vector mnemonic has a handler for each of its encodings.
type vecForms struct {
	mmx, reg, load, store opFunc // MMX; r/m a register; r/m in memory and read; r/m in memory and written
	wide                  opFunc // 256 bits, r/m read; where wstore is not nil, that writes
	wstore                opFunc
}

// pick chooses among the forms.
func (v *vecForms) pick(x *decode.Inst) opFunc {
	mem := false
	for i := range x.NArgs {
		switch x.Args[i].Kind {
		case decode.MMX:
			if v.mmx != nil {
				return v.mmx
			}
		case decode.Mem:
			mem = true
		}
	}
	store := x.Args[0].Kind == decode.Mem
	switch {
	case x.VexL != 0 && store && v.wstore != nil:
		return v.wstore
	case x.VexL != 0 && v.wide != nil:
		return v.wide
	case store:
		return v.store
	case mem:
		return v.load
	}
	return v.reg
}

// onVec registers forms for a mnemonic, adding to what it has.
func onVec(name string, f vecForms) {
	op := decode.MustOp(name)
	if handlers == nil {
		handlers = make([]handlerDef, decode.NumOps())
	}
	h := &handlers[op]
	if h.fn != nil {
		panic("interp: two handlers for " + name)
	}
	if h.vec == nil {
		h.vec = &f
		return
	}
	v := h.vec
	for _, p := range [][2]*opFunc{{&v.mmx, &f.mmx}, {&v.reg, &f.reg}, {&v.load, &f.load}, {&v.store, &f.store}, {&v.wide, &f.wide}, {&v.wstore, &f.wstore}} {
		if *p[1] != nil {
			if *p[0] != nil {
				panic("interp: two handlers for " + name)
			}
			*p[0] = *p[1]
		}
	}
}

// nameAt is the mnemonic that an encoding has; bytes are the opcode, to which a
// register form of the ModRM byte is added.
func nameAt(bytes ...byte) string {
	var x decode.Inst
	b := append(bytes, 0xc1, 0, 0, 0, 0, 0, 0)
	if err := decode.Decode(b, decode.Mode64, &x); err != nil {
		panic("interp: no instruction for a vector function")
	}
	return x.Op.String()
}

// enabled reports whether the model has the features that an encoding needs.
func (c *CPU) enabled(feature uint8) bool {
	if c.feats == nil {
		c.feats = make([]bool, len(decode.FeatureNames()))
		for i, n := range decode.FeatureNames() {
			c.feats[i] = true
			for f := range strings.SplitSeq(n, "+") {
				c.feats[i] = c.feats[i] && (f == "" || c.Model.Has(f))
			}
		}
	}
	return c.feats[feature]
}
