package jit

// Translation of one instruction, by class.

import (
	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	opAdd   = decode.MustOp("add")
	opInc   = decode.MustOp("inc")
	opDec   = decode.MustOp("dec")
	opSub   = decode.MustOp("sub")
	opMov   = decode.MustOp("mov")
	opLea   = decode.MustOp("lea")
	opNop   = decode.MustOp("nop")
	opPause = decode.MustOp("pause")
	opEndbr = decode.MustOp("endbr64")
	opJmp   = decode.MustOp("jmp")
	opCall  = decode.MustOp("call")
	opRet   = decode.MustOp("ret")
	opPush  = decode.MustOp("push")
	opPop   = decode.MustOp("pop")
	opLeave = decode.MustOp("leave")
	opCld   = decode.MustOp("cld")

	opLdmxcsr    = decode.MustOp("ldmxcsr")
	opVldmxcsr   = decode.MustOp("vldmxcsr")
	opVzeroupper = decode.MustOp("vzeroupper")
	opVzeroall   = decode.MustOp("vzeroall")
)

// canDo reports whether an instruction is translated; the others are the
// interpreter's.
func (t *translator) canDo(g *ginst) bool {
	x, e := &g.x, &g.e
	if x.AddrSize == 2 || g.mem && !t.addressable(g) {
		return false
	}
	if !t.wide && (x.Seg == x86.FS && t.v&interp.VariantFS == 0 || x.Seg == x86.GS && t.v&interp.VariantGS == 0) {
		return false // a segment with a limit
	}
	if !t.wide && (x.Seg == x86.CS && g.mem || x.Op == opVzeroupper || x.Op == opVzeroall) {
		return false // CS is not for writing; YMM8 to YMM15 are left alone in 32-bit code
	}
	if e.Class == decode.ClassSystem || x.Op == opPushf || x.Op == opPopf {
		return t.canSystem(g)
	}
	word := uint8(4)
	if t.wide {
		word = 8
	}
	if !t.wide && x.Vex && x.RexW && x.Attr.W1() < 0 {
		return false // VEX.W has no effect there, but would have one on the host
	}
	if (e.FlagsWritten|e.FlagsMaybe|e.FlagsUndefined)&x86.FlagDF != 0 {
		return x.Op == opCld // DF is clear in all variants
	}
	switch e.Class {
	case decode.ClassPlain:
		if e.X87 && !canX87(x) || e.BitString && int32(x.AddrSize) != t.word() || x.VIndex.Kind != decode.None || !t.e.hostHas[x.Feature] || !t.e.hostOps[x.Op] {
			return false
		}
		if e.Mem == decode.AccessAddress {
			return true
		}
		return e.Mem == decode.AccessNone || e.MemSize > 0 && e.MemSize <= 64
	case decode.ClassString:
		return t.stringUseOf(x) != 0
	case decode.ClassBranch:
		switch x.Op {
		case opJmp, opCall, opRet:
			return x.OpSize == word
		}
		return (g.jcc || isLoop(x)) && (t.wide || x.OpSize == 4)
	case decode.ClassStack:
		switch x.Op {
		case opPush:
			k := x.Args[0].Kind
			return x.OpSize == word && (k == decode.GPR || k == decode.Imm || k == decode.Mem)
		case opPop:
			return x.OpSize == word && x.Args[0].Kind == decode.GPR
		case opLeave:
			return x.OpSize == word
		}
	}
	return false
}

// addressable reports whether refOf can say where g's memory operand is.
func (t *translator) addressable(g *ginst) bool {
	r := &g.ref
	return r.disp == int64(int32(r.disp)) || r.base == noGuest && r.index == noGuest
}

// refOf is where an instruction's memory operand is.
func (t *translator) refOf(g *ginst) ref { return g.ref }

// memoryRef finds that.
func (t *translator) memoryRef(g *ginst, absolute bool) {
	x := &g.x
	r := &g.ref
	r.base, r.index, r.scale, r.seg, r.bits, r.bit, r.bitSize, r.disp = x.Base, x.Index, x.Scale, 0, 64, 0, 0, x.Disp
	if x.AddrSize == 4 {
		r.bits = 32
	}
	if x.Seg >= x86.FS {
		r.seg = x.Seg
	}
	if r.base == ripBase {
		r.disp += int64(t.goff) + int64(g.off) + int64(x.Len)
		t.placedRef(r)
	}
	if absolute {
		r.base, r.index = noGuest, noGuest
	}
}

// instruction translates one instruction. It reports false where that is not
// possible after all.
func (t *translator) instruction(g *ginst) bool {
	x, e := &g.x, &g.e
	if g.varies || !t.keepsScratch(g) {
		t.held = nothingHeld
	}
	if g.varies {
		return t.varying(g)
	}
	if e.Class == decode.ClassSystem || x.Op == opPushf || x.Op == opPopf {
		t.co.inS2 = -1
		return t.systemInst(g)
	}
	switch e.Class {
	case decode.ClassBranch:
		return t.branch(g)
	case decode.ClassStack:
		return t.stack(g)
	case decode.ClassString:
		t.co.inS2 = -1
		return t.stringInst(g)
	}
	switch {
	case t.skips(x) || t.stackPointer(g):
		return true
	case x.Op == opLea:
		return t.leaInst(g)
	case isPrefetch(g):
		t.prefetch(g)
		return true
	case e.Mem == decode.AccessNone:
		return t.plain(g, mem{base: noReg, index: noReg})
	}
	if e.BitString {
		t.co.inS2 = -1
		t.bitInst(g)
		return true
	}
	m := t.access(t.refOf(g), int32(e.MemSize), e.Mem&decode.AccessWrite != 0, g.live != 0)
	if x.Op == opLdmxcsr || x.Op == opVldmxcsr {
		// Bits that are reserved for the guest may not be for the host: AMD's
		// processors have bit 17.
		if m.disp > 1<<30 {
			return false
		}
		upper := m
		upper.disp += 2
		t.opMem(0, true, 0xb7, s0, upper) // movzx
		ok := t.jrcxz()
		t.callout(t.goff + g.off)
		t.here(ok)
	}
	if x.Op == opXchg && t.alone() && t.exchange(x, m) {
		return true
	}
	return t.plain(g, m)
}

// exchange translates XCHG of a register of 32 or 64 bits with memory, which the host would
// lock, for code that is alone. The store comes last of what can fault.
func (t *translator) exchange(x *decode.Inst, m mem) bool {
	for i := range x.NArgs {
		if a := &x.Args[i]; a.Kind == decode.GPR && t.home[a.Reg] != noReg {
			h := t.home[a.Reg]
			t.hold(s0, noGuest)
			switch a.Size {
			case 4:
				t.load32(s0, m)
				t.store32(m, h)
				t.mov32(h, s0)
				return true
			case 8:
				t.load(s0, m)
				t.store(m, h)
				t.mov(h, s0)
				return true
			}
		}
	}
	return false
}

// skips reports whether an instruction does nothing.
func (t *translator) skips(x *decode.Inst) bool {
	return x.Op == opCld || x.Op == opNop || x.Op == opPause || x.Op == opEndbr
}

// guest returns the host register that holds guest register g, s where it has to
// be loaded.
func (t *translator) guest(g uint8, s int8) int8 {
	if h := t.home[g]; h != noReg {
		return h
	}
	t.load(s, slot(g))
	return s
}

// address computes a reference's linear address into s1, using s0, without
// changing flags.
func (t *translator) address(r ref) {
	a := &t.asm
	lea := a.lea
	if r.bits == 32 {
		lea = a.lea32
	}
	switch {
	case r.base == ripBase:
		t.linear(s1, 0)
		lea(s1, based(s1, int32(r.disp)))
	case r.base == noGuest && r.index == noGuest:
		d := r.disp
		if r.bits == 32 {
			d = int64(uint32(d))
		}
		t.constant(s1, uint64(d))
	default:
		m := mem{base: noReg, index: noReg, scale: r.scale, disp: int32(r.disp)}
		if r.base != noGuest {
			m.base = t.guest(r.base, s1)
		}
		if r.index != noGuest {
			m.index = t.guest(r.index, s0)
		}
		lea(s1, m)
	}
	if r.seg != 0 {
		a.load(s0, gs(offSeg+8*int32(r.seg)))
		if t.wide {
			a.lea(s1, mem{base: s1, index: s0})
		} else {
			a.lea32(s1, mem{base: s1, index: s0})
		}
	}
	if r.bit != 0 {
		t.bitOffset(r)
	}
}

// constant loads v into a register.
func (t *translator) constant(d int8, v uint64) {
	switch {
	case v == uint64(uint32(v)):
		t.movImm32(d, int32(uint32(v)))
	case v == uint64(int64(int32(v))):
		t.opReg(rexW, false, 0xc7, 0, d)
		t.imm32(int32(v))
	default:
		t.byte(0x48|byte(d)>>3&1, 0xb8|byte(d&7))
		t.imm64(v)
	}
}

// leaInst translates LEA, which has no access to check.
func (t *translator) leaInst(g *ginst) bool {
	x := &g.x
	r := t.onHost(t.refOf(g))
	r.seg = 0
	d := x.Args[0].Reg
	if h := t.home[d]; h != noReg && r.bits == 64 && x.OpSize >= 4 && r.base != ripBase && (r.base < 16 || r.index < 16) {
		m := mem{base: noReg, index: noReg, scale: r.scale, disp: int32(r.disp)}
		if r.base != noGuest {
			m.base = t.guest(r.base, s1)
		}
		if r.index != noGuest {
			m.index = t.guest(r.index, s0)
		}
		if x.OpSize == 8 {
			t.lea(h, m)
		} else {
			t.lea32(h, m)
		}
		return true
	}
	if h := t.home[d]; h != noReg && r.base == ripBase && r.bits == 64 && x.OpSize == 8 {
		t.linear(h, int32(r.disp))
		return true
	}
	if h := t.home[d]; h != noReg && r.base == noGuest && r.index == noGuest && r.bits == 64 && x.OpSize == 8 {
		t.constant(h, uint64(r.disp))
		return true
	}
	t.address(r)
	switch h := t.home[d]; {
	case x.OpSize == 2:
		h := t.guest(d, s0)
		t.byte(0x66)
		t.opReg(0, false, 0x8b, h, s1)
		if t.home[d] == noReg {
			t.store(slot(d), h)
		}
	case h == noReg:
		if x.OpSize == 4 {
			t.mov32(s1, s1)
		}
		t.store(slot(d), s1)
	case x.OpSize == 4:
		t.mov32(h, s1)
	default:
		t.mov(h, s1)
	}
	return true
}

// word is the size of a stack slot.
func (t *translator) word() int32 {
	if t.wide {
		return 8
	}
	return 4
}

// stackRef is a reference relative to RSP.
func (t *translator) stackRef(disp int32) ref {
	r := ref{base: x86.RSP, index: noGuest, bits: 64, disp: int64(disp)}
	if !t.wide {
		r.bits = 32
	}
	return r
}

// storeWord and loadWord move a stack slot.
func (t *translator) storeWord(m mem, s int8) {
	if t.wide {
		t.store(m, s)
	} else {
		t.store32(m, s)
	}
}

func (t *translator) loadWord(d int8, m mem) {
	if t.wide {
		t.load(d, m)
	} else {
		t.load32(d, m)
	}
}

func (t *translator) stack(g *ginst) bool {
	x := &g.x
	w := t.word()
	live := g.live != 0
	switch x.Op {
	case opPush:
		switch arg := &x.Args[0]; arg.Kind {
		case decode.GPR:
			m := t.access(t.stackRef(-w), w, true, live)
			t.storeWord(m, t.guest(arg.Reg, s0))
		case decode.Imm:
			m := t.access(t.stackRef(-w), w, true, live)
			rex := byte(0)
			if t.wide {
				rex = rexW
			}
			t.opMem(rex, false, 0xc7, 0, m)
			t.imm32(int32(x.Imm))
		default:
			m := t.access(t.refOf(g), w, false, live)
			t.loadWord(s0, m)
			t.store(gs(offTmp), s0)
			m = t.access(t.stackRef(-w), w, true, live)
			t.load(s0, gs(offTmp))
			t.storeWord(m, s0)
		}
		t.moveSP(-w)
	case opPop:
		d := x.Args[0].Reg
		m := t.access(t.stackRef(0), w, false, live)
		if d == x86.RSP {
			t.loadWord(hostRSP, m)
			t.sp = 0
			return true
		}
		if h := t.home[d]; h != noReg {
			t.loadWord(h, m)
		} else {
			t.loadWord(s0, m)
			t.store(slot(d), s0)
		}
		t.moveSP(w)
	case opLeave:
		r := t.stackRef(0)
		r.base = x86.RBP
		m := t.access(r, w, false, live)
		t.loadWord(s0, m)
		t.movWord(hostRSP, hRBP)
		t.sp = 0
		t.moveSP(w)
		t.mov(hRBP, s0)
	}
	return true
}

// branch translates a near control transfer.
func (t *translator) branch(g *ginst) bool {
	x := &g.x
	next := t.goff + g.off + uint32(x.Len)
	if g.jcc {
		if x.Imm == 0 {
			return true // it goes to the next instruction in any case
		}
		t.jccInst(g, next+uint32(x.Imm))
		return true
	}
	if isLoop(x) {
		t.loopInst(g, next+uint32(x.Imm))
		return true
	}
	w := t.word()
	live := g.live != 0
	rel := x.NArgs > 0 && x.Args[0].Kind == decode.Rel
	switch {
	case x.Op == opRet:
		n := w
		if x.NArgs != 0 {
			n += int32(uint16(x.Imm))
		}
		if n-w > 100 && n > 127 {
			return false // undo does not hold it
		}
		m := t.access(t.stackRef(0), w, false, live)
		t.loadWord(s1, m)
		t.moveSP(n)
		t.bringSP()
		t.e.use.ret.ret(t, int8(-n))
	case x.Op == opJmp && rel:
		target := next + uint32(x.Imm)
		t.backward(target, live)
		if g.target >= 0 {
			t.deltaAgain(g.target)
			t.jumpInside(t.jmp(), g.target)
			return true
		}
		t.exit(target)
	case x.Op == opJmp:
		t.target(g, live)
		t.indirectOrSteady(0, t.isSteady(g))
	case rel: // CALL
		target := next + uint32(x.Imm)
		if t.isBack(target) {
			t.poll(t.goff+g.off, live)
		}
		m := t.access(t.stackRef(-w), w, true, live)
		t.pushReturn(m, next)
		t.e.use.ret.call(t, callTarget{goff: target}, next)
	default:
		t.target(g, live)
		to := callTarget{indirect: true, steady: t.isSteady(g), inTmp: !t.byWindow()}
		if to.inTmp {
			t.store(gs(offTmp), s1)
		}
		m := t.access(t.stackRef(-w), w, true, live)
		t.pushReturn(m, next)
		t.e.use.ret.call(t, to, next)
	}
	return true
}

// pushReturn stores the linear address of a guest offset to m, the slot below
// RSP, and moves RSP there, its register too. The address stays in s0.
func (t *translator) pushReturn(m mem, goff uint32) {
	t.linear(s0, int32(goff))
	t.storeWord(m, s0)
	t.moveSP(-t.word())
	t.bringSP()
}

// target loads where an indirect jump or call goes into s1.
func (t *translator) target(g *ginst, live bool) {
	if a := &g.x.Args[0]; a.Kind == decode.GPR {
		h := t.guest(a.Reg, s1)
		t.movWord(s1, h)
		return
	}
	m := t.access(t.refOf(g), t.word(), false, live)
	t.loadWord(s1, m)
}

// backward polls where a jump to target goes back.
func (t *translator) backward(target uint32, live bool) {
	if t.isBack(target) {
		t.poll(target, live)
	}
}

// isBack reports whether a jump from the current instruction to target goes back.
func (t *translator) isBack(target uint32) bool { return int32(target) <= int32(t.goff+t.cur.off) }

// jccInst translates a conditional jump to a guest offset.
func (t *translator) jccInst(g *ginst, target uint32) {
	cc := g.x.Opcode & 15
	if int32(target) > int32(t.goff+g.off) {
		if g.target >= 0 {
			t.jumpInside(t.jcc(cc), g.target)
		} else {
			t.exitIf(cc, target)
		}
		return
	}
	// A jump back: whatever is pending is looked at on the way.
	over := t.jcc(cc ^ 1)
	if g.target >= 0 {
		t.poll(target, t.insts[g.target].live != 0)
		t.deltaAgain(g.target)
		t.jumpInside(t.jmp(), g.target)
	} else {
		t.poll(target, true)
		t.exit(target)
	}
	t.island()
	t.patchRel32(over, t.pos())
}
