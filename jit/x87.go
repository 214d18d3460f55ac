package jit

// The x87 and MMX registers.
//
// Instructions on them run as they are: they name no register that is elsewhere on
// the host, so that only their memory operands need to be written anew. The state is
// handled as that of the vector registers: while X87Dead in the context is zero it is
// in the host's x87 unit, else in State. A region with such an instruction begins with
// a prologue that loads it where it is not there yet, and every exit to Go stores it,
// so that State is complete wherever the interpreter runs, and Go and its libraries
// find the unit as FNINIT leaves it. From region to region it stays where it is; a
// loop pays for nothing but the look at X87Dead.
//
// It is loaded only with CR0.EM and CR0.TS clear and CR0.NE set (X87OK): all else is
// for the interpreter, which raises #UD and #NM, or signals FERR#. Nothing changes CR0
// between exits.
//
// FRSTOR and FNSAVE move the state, through an image of 108 bytes in the context (SDM
// volume 1, figures 8-9 and 8-12), as they leave XMM registers and MXCSR alone. State
// has the registers by physical number and a bit for each tag; the image has them from
// the top of the stack on and two bits for each tag, which are 11 for an empty
// register, and of which the processor finds the rest itself.
//
// An exception that is not masked becomes pending in the host's unit as it would in the
// guest's, and is stored and loaded with the status word. The host raises it at the
// next waiting instruction of the guest, as SIGFPE; the exit by that fault hands the
// instruction to the interpreter, which finds FSW.ES set and raises #MF.
//
// # The pointers
//
// The image says where the last instruction that counts was: the low 32 bits of
// its address on the host. The map of the region's instructions makes that the guest's
// FIP and FOP; the linear address is that in the granule of the last region
// with x87 instructions that was entered (X87Base), which is another than the
// instruction's only where a region was left again before its first one. FDP
// is not followed: it stays as it was.

import (
	"encoding/binary"
	"slices"
	"sort"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	opFldenv = decode.MustOp("fldenv")

	// x87Functions are instructions with results that differ in the last place
	// between processors, and so from the interpreter's.
	x87Functions = opSet("f2xm1", "fyl2x", "fyl2xp1", "fpatan", "fsin", "fcos", "fsincos", "fptan", "fprem", "fprem1")

	// x87Control are those that the pointers do not follow.
	x87Control = opSet("fldcw", "fnstcw", "fnstsw", "fnclex", "fninit", "fnop", "fincstp", "fdecstp", "ffree", "ffreep",
		"feni8087", "fdisi8087", "fsetpm287")
)

func opSet(names ...string) map[decode.Op]bool {
	m := map[decode.Op]bool{}
	for _, n := range names {
		m[decode.MustOp(n)] = true
	}
	return m
}

// Displacements in the image of FNSAVE.
const (
	x87FCW  = 0
	x87FSW  = 4
	x87Tags = 8
	x87FIP  = 12 // then FOP and FCS, FDP, FDS, to x87Regs
	x87Regs = 28 // 10 bytes each
	x87Size = 108
)

// x87Tag is a mask of the low bit of each tag in the image.
const x87Tag = 0x5555

// canX87 reports whether an x87 or MMX instruction of class Plain is translated.
func canX87(x *decode.Inst) bool {
	switch {
	case x.Op == opFldenv:
		return false // it sets the pointers
	case x.Map == 0 && x.Opcode == 0xd9 && x.ModRM>>3 == 0o33:
		return false // an undocumented FSTP, of which processors differ
	case x.Map == 0 && x.Opcode == 0xdb && x.ModRM>>3 == 0o34:
		return x.ModRM == 0xe2 || x.ModRM == 0xe3 // FNCLEX and FNINIT; not those of the 8087 and 80287
	}
	return true
}

// followed is set in instMap.fop if the pointers follow the instruction.
const followed = 1 << 15

// fopOf is the FOP of an instruction, if it sets that.
func fopOf(x *decode.Inst) uint16 {
	if x.Map != 0 || x.Opcode&0xf8 != 0xd8 || x87Control[x.Op] {
		return 0
	}
	return followed | uint16(x.Opcode&7)<<8 | uint16(x.ModRM)
}

// x87Prologue sees to it that the x87 registers are the host's.
func (t *translator) x87Prologue() {
	t.load32(s0, gs(offX87Dead))
	ok := t.jrcxz()
	t.callTo(t.e.loadX87)
	t.load32(s0, gs(offX87Dead))
	loaded := t.jrcxz()
	t.callout(t.r.goff)
	t.here(ok)
	t.here(loaded)
	t.linear(s0, 0)
	t.store(gs(offX87Base), s0)
}

func (a *asm) loadU16(r int8, m mem) { a.opMem(0, true, 0xb7, r, m) }
func (a *goasm) times3(r int8)       { a.lea32(r, mem{base: r, index: r, scale: 1}) }
func imageReg(i int, off int32) mem  { return gs(offX87 + x87Regs + 10*int32(i) + off) }
func fracOf(state, number int8) mem {
	return mem{base: state, index: number, scale: 3, disp: stateFPFrac}
}
func exponentOf(state, num int8) mem    { return mem{base: state, index: num, scale: 1, disp: stateFPExp} }
func (a *goasm) nextRegister(num int8)  { a.lea32(num, based(num, 1)); a.and32(num, 7) } // (f)
func (a *goasm) topOfStack(status int8) { a.shr32(status, 11); a.and32(status, 7) }      // (f)

// saveX87 writes the part of the exit stub that stores the state. It may use all
// registers.
func (a *goasm) saveX87() {
	a.fnsave(gs(offX87))
	a.load(s0, gs(offState))
	a.loadU16(s2, gs(offX87+x87FCW))
	a.store16(based(s0, stateFCW), s2)
	a.loadU16(s1, gs(offX87+x87FSW))
	a.store16(based(s0, stateFSW), s1)
	a.loadU16(hRAX, gs(offX87+x87Tags))
	a.mov32(hRDX, hRAX)
	a.shr32(hRDX, 1)
	a.andReg32(hRAX, hRDX) // the low bit of a tag is left where it is 11
	a.not32(hRAX)
	a.pext(hRAX, hRAX, gs(offX87Tag))
	a.store8(based(s0, stateFTW), hRAX)
	a.topOfStack(s1)
	for i := range 8 {
		a.load(hRAX, imageReg(i, 0))
		a.store(fracOf(s0, s1), hRAX)
		a.loadU16(hRAX, imageReg(i, 8))
		a.store16(exponentOf(s0, s1), hRAX)
		a.nextRegister(s1)
	}
	a.storeImm32(gs(offX87Dead), 1)
	a.storeImm32(gs(offX87Saved), 1)
}

// restoreX87 writes the stub that a prologue calls: it loads the state, if it may be
// used, and returns. It keeps all registers but scratch ones, and the flags.
func (a *goasm) restoreX87() {
	a.load32(s0, gs(offX87OK))
	var disabled, enabled goLabel
	a.jrcxz(&disabled)
	a.jmp(&enabled)
	a.here(&disabled)
	a.ret()
	a.here(&enabled)
	a.pushf()
	a.load(s0, gs(offState))
	a.loadU16(s2, based(s0, stateFCW))
	a.store32(gs(offX87+x87FCW), s2)
	a.loadU16(s1, based(s0, stateFSW))
	a.store32(gs(offX87+x87FSW), s1)
	a.loadU8(s2, based(s0, stateFTW))
	a.pdep(s2, s2, gs(offX87Tag))
	a.times3(s2)
	a.not32(s2)
	a.store32(gs(offX87+x87Tags), s2)
	for off := int32(x87FIP); off < x87Regs; off += 4 {
		a.storeImm32(gs(offX87+off), 0)
	}
	a.topOfStack(s1)
	for i := range 8 {
		a.load(s2, fracOf(s0, s1))
		a.store(imageReg(i, 0), s2)
		a.loadU16(s2, exponentOf(s0, s1))
		a.store16(imageReg(i, 8), s2)
		a.nextRegister(s1)
	}
	a.frstor(gs(offX87))
	a.storeImm32(gs(offX87Dead), 0)
	a.popf()
	a.ret()
}

// x87Usable reports whether x87 and MMX instructions can run without an exception but
// #MF, and raise that as an exception of the CPU's.
func (e *Engine) x87Usable() bool {
	return e.cpu.CR0&(x86.CR0EM|x86.CR0TS|x86.CR0NE) == x86.CR0NE
}

// x87Pointers brings FIP and FOP up to date after an exit that stored the x87 state.
func (e *Engine) x87Pointers() {
	c, x := e.cpu, &e.sh.context
	x.X87Saved = 0
	at := binary.LittleEndian.Uint32(x.X87[x87FIP:]) - uint32(e.arena.Base)
	if at >= uint32(e.hot.used) {
		return // none was run
	}
	r, m := e.instAt(int32(at))
	if r == nil || m.fop == 0 {
		return
	}
	c.FIP = x.X87Base + uint64(r.goff) + uint64(m.off)
	if r.variant&interp.Variant64 == 0 {
		c.FIP = uint64(uint32(c.FIP))
	}
	c.FOP = m.fop &^ followed
	c.FCS = 0
	if (r.variant&interp.VariantUser != 0) == (c.CPL == 3) {
		c.FCS = c.Seg[x86.CS].Sel
	}
}

// instAt finds the region, and the instruction in it, of which there is code at a host
// offset; nil where there is none.
func (e *Engine) instAt(at int32) (*region, *instMap) {
	i := sort.Search(len(e.regions), func(i int) bool { return e.regions[i].host > at }) - 1
	if i < 0 || at >= e.regions[i].end {
		return nil, nil
	}
	r := e.regions[i]
	j, found := slices.BinarySearchFunc(r.insts, at-r.host, func(m instMap, at int32) int { return int(m.host) - int(at) })
	if !found {
		j--
	}
	if j < 0 {
		return nil, nil
	}
	return r, &r.insts[j]
}
