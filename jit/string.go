package jit

// String instructions.
//
// With REP they run as the host's own, on host addresses, in stretches: as many
// elements as lie in one page on each side, or more where pages are next to each
// other on the host as well. A stretch is checked like an access
// to its first element; that the others are in the same pages is arithmetic on
// the low bits of RSI, RDI and RCX. Nearly always one stretch is all, which is the
// straight path; else the registers are moved on by what the pages hold, and it
// starts over. So wherever the code leaves, at a miss or because something is
// pending, the instruction can be run again and does the rest (SDM volume 2, REP).
//
// MOVS and STOS must leave the flags alone, and CMPS and SCAS with a count of zero
// too, so the straight path is made of instructions that do: PEXT, with a mask
// from the context, is the AND and the comparison in one.
//
// In a window all pages are next to each other, and MOVS and STOS are done in one go (repWindowed).
//
// Since the addresses are the host's, overlapping operands do what they do on the
// processor, also where the overlap is one of physical memory alone.

import (
	"math/bits"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	opMovs = decode.MustOp("movs")
	opStos = decode.MustOp("stos")
	opLods = decode.MustOp("lods")
	opCmps = decode.MustOp("cmps")
	opScas = decode.MustOp("scas")
)

// A stringUse says what a string instruction does; it is zero for other
// instructions. The low four bits are the size of an element in bytes.
type stringUse uint8

const (
	stringSize    stringUse = 15
	stringSrc     stringUse = 1 << 4 // reads at RSI
	stringDst     stringUse = 1 << 5 // accesses what is at RDI
	stringStores  stringUse = 1 << 6
	stringCompare stringUse = 1 << 7
)

// stringUseOf is what x does if it is a string instruction that is translated,
// else 0.
func (t *translator) stringUseOf(x *decode.Inst) stringUse {
	u := stringUse(x.OpSize)
	switch x.Op {
	case opMovs:
		u |= stringSrc | stringDst | stringStores
	case opStos:
		u |= stringDst | stringStores
	case opLods:
		u |= stringSrc
		if x.Rep != 0 {
			return 0
		}
	case opCmps:
		u |= stringSrc | stringDst | stringCompare
	case opScas:
		u |= stringDst | stringCompare
	default:
		return 0
	}
	if int32(x.AddrSize) != t.word() || !t.wide && x.Seg == x86.CS || u&stringSrc != 0 && x.Seg >= x86.FS {
		return 0
	}
	return u
}

// element is a reference to what an index register points to.
func (t *translator) element(reg uint8) ref {
	return ref{base: reg, index: noGuest, bits: uint8(8 * t.word())}
}

// sized writes an instruction with a register and a memory operand of 1 to 8
// bytes; op is the opcode for 2 bytes and more, op-1 the one for bytes. The
// register must be one of the first four.
func (t *translator) sized(size int32, op byte, reg int8, m mem) {
	rex := byte(0)
	switch size {
	case 1:
		op--
	case 2:
		t.byte(0x66)
	case 8:
		rex = rexW
	}
	t.opMem(rex, false, op, reg, m)
}

// Opcodes for sized.
const (
	codeStore = 0x89
	codeLoad  = 0x8b
	codeCmp   = 0x3b // register with memory
)

// stringInst translates a string instruction.
func (t *translator) stringInst(g *ginst) bool {
	u := t.stringUseOf(&g.x)
	switch {
	case g.x.Rep == 0:
		t.stringOne(g, u)
	case u&stringCompare != 0:
		t.repCompare(g, u)
	case t.canRepWindowed(g):
		t.repWindowed(g, u)
	default:
		t.repMove(g, u)
	}
	return true
}

// stringOne is one element.
func (t *translator) stringOne(g *ginst, u stringUse) {
	size, live := int32(u&stringSize), g.live != 0
	var m mem
	if u&stringSrc != 0 {
		m = t.ungrouped(t.element(x86.RSI), size, false, live)
		if u&stringDst == 0 {
			t.sized(size, codeLoad, hRAX, m)
		} else {
			t.sized(size, codeLoad, s0, m)
			t.store(gs(offTmp), s0)
		}
	}
	if u&stringDst != 0 {
		m = t.ungrouped(t.element(x86.RDI), size, u&stringStores != 0, live)
		reg := int8(hRAX)
		if u&stringSrc != 0 {
			reg = s0
			t.load(s0, gs(offTmp))
		}
		if u&stringStores != 0 {
			t.sized(size, codeStore, reg, m)
		} else {
			t.sized(size, codeCmp, reg, m)
		}
		t.leaRIP(hRDI, hRDI, size)
	}
	if u&stringSrc != 0 {
		t.leaRIP(hRSI, hRSI, size)
	}
}

// count loads the guest's RCX, or ECX, into s0.
func (t *translator) count() { t.movWord(s0, hostRCX) }

// movWord moves a register of the address size.
func (t *translator) movWord(d, s int8) {
	if t.wide {
		t.mov(d, s)
	} else {
		t.mov32(d, s)
	}
}

// leaWord computes an address of the address size.
func (t *translator) leaWord(d int8, m mem) {
	if t.wide {
		t.lea(d, m)
	} else {
		t.lea32(d, m)
	}
}

// unlessZero writes a jump that is taken where s0 is zero, however far, and
// returns where its displacement is.
func (t *translator) unlessZero() int {
	zero := t.jrcxz()
	t.byte(0xeb, 5) // jmp over the next one
	t.here(zero)
	return t.jmp()
}

// stretch checks both sides and leaves the host's addresses in the context (of
// the source, in Tmp) and s2 (of the destination). Where all elements are in the
// same pages as the first it goes on; else at chunk, which is written out of
// line.
func (t *translator) stretch(u stringUse, live bool, chunk func()) {
	size := int32(u & stringSize)
	if u&stringSrc != 0 {
		t.lea(s2, t.wholePage(t.element(x86.RSI), size, false, live))
		t.store(gs(offTmp), s2)
	}
	t.lea(s2, t.wholePage(t.element(x86.RDI), size, u&stringStores != 0, live))
	var away []int
	// A count of a page or more does not fit, and could overflow below.
	t.count()
	t.pext(s0, s0, gs(offPageMask))
	fits := t.jrcxz()
	away = append(away, t.jmp())
	t.here(fits)
	sides := []int8{hRDI}
	if u&stringSrc != 0 {
		sides = append(sides, hRSI)
	}
	for _, reg := range sides {
		t.count()
		t.pext(s1, reg, gs(offPageOff))
		t.lea(s0, mem{base: s1, index: s0, scale: log2(size), disp: -1})
		t.pext(s0, s0, gs(offPageMask))
		fits := t.jrcxz()
		away = append(away, t.jmp())
		t.here(fits)
	}
	t.cold = append(t.cold, func() {
		for _, at := range away {
			t.patchRel32(at, t.pos())
		}
		chunk()
	})
}

func log2(size int32) uint8 { return uint8(bits.TrailingZeros32(uint32(size))) }

// maxChunk is how many bytes are done at most before the next poll.
const maxChunk = 64 << 10

// chunkSize loads into s0 how many elements to do next, at least one and at most
// RCX, and takes them off RCX: up to the end of the page, and of those behind it as
// long as they are known to the TLB and next to each other in the host's memory too.
// It keeps s2, and flags if they are live.
func (t *translator) chunkSize(u stringUse, live bool) {
	lg := log2(int32(u & stringSize))
	if live {
		t.pushf()
	}
	t.store(slot(x86.RAX), hRAX)
	t.store(slot(x86.RDX), hRDX)
	// RAX: how many bytes it may be.
	t.movWord(hRAX, hostRCX)
	t.movImm32(hRDX, maxChunk>>lg)
	t.opReg(rexW, false, 0x3b, hRAX, hRDX)    // cmp
	t.opReg(rexW, true, 0x40|ccA, hRAX, hRDX) // cmova
	t.shift(4, hRAX, lg)
	tlb := interp.TLB(t.v & interp.VariantTLB)
	side := func(reg int8, tag, add uintptr, host func()) {
		// s1: how many of them there are.
		t.mov32(s1, reg)
		t.andImm32(s1, pageSize-1)
		t.opReg(0, false, 0xf7, 3, s1) // neg
		t.addImm32(s1, pageSize)
		next := t.pos()
		t.opReg(rexW, false, 0x3b, s1, hRAX) // cmp
		enough := t.jcc(ccAE)
		var around int
		if t.wide {
			t.lea(s0, mem{base: reg, index: s1})
		} else {
			// What the upper half of a register holds does not count, and addresses
			// go around at 4 GiB.
			t.mov32(s0, reg)
			t.addReg32(s0, s1)
			around = t.jcc(ccC)
		}
		t.rorx(hRDX, s0, 12)
		t.movzx16(hRDX, hRDX)
		t.add(s0, gsx(hRDX, int32(tag)))
		unknown := t.jcc(ccNE)
		t.load(s0, gsx(hRDX, int32(add)))
		if t.wide {
			t.addReg(s0, reg)
		} else {
			t.mov32(hRDX, reg)
			t.addReg(s0, hRDX)
		}
		host() // compares it with the host's address of the first
		apart := t.jcc(ccNE)
		t.addImm32(s1, pageSize)
		t.patchRel32(t.jmp(), next)
		if !t.wide {
			t.patchRel32(around, t.pos())
		}
		t.patchRel32(unknown, t.pos())
		t.patchRel32(apart, t.pos())
		t.mov(hRAX, s1) // less than it was
		t.patchRel32(enough, t.pos())
	}
	tag, add := tlb.ReadTag, tlb.ReadAdd
	if u&stringSrc != 0 {
		side(hRSI, tag, add, func() { t.opMem(rexW, false, 0x3b, s0, gs(offTmp)) })
	}
	if u&stringStores != 0 {
		tag, add = tlb.WriteTag, tlb.WriteAdd
	}
	side(hRDI, tag, add, func() { t.opReg(rexW, false, 0x3b, s0, s2) })
	t.mov(s0, hRAX)
	t.shift(5, s0, lg)
	rex := byte(0)
	if t.wide {
		rex = rexW
	}
	t.opReg(rex, false, 0x2b, hostRCX, s0) // sub
	t.load(hRAX, slot(x86.RAX))
	t.load(hRDX, slot(x86.RDX))
	if live {
		t.popf()
	}
}

// hostString writes the instruction itself.
func (t *translator) hostString(x *decode.Inst, size int32) {
	op, rep := x.Opcode, x.Rep
	if x.Op == opMovs || x.Op == opStos {
		rep = 0xf3 // F2 is no different
	}
	t.byte(rep)
	switch size {
	case 2:
		t.byte(0x66)
	case 8:
		t.byte(0x48)
	}
	t.byte(op)
}

// repMove is REP MOVS and REP STOS.
func (t *translator) repMove(g *ginst, u stringUse) {
	size, live := int32(u&stringSize), g.live != 0
	var done int
	top := t.pos()
	if live {
		t.count()
		done = t.unlessZero()
	} else {
		rex := byte(0)
		if t.wide {
			rex = rexW
		}
		t.opReg(rex, false, 0x85, hostRCX, hostRCX) // test
		done = t.jcc(ccE)
	}
	// run does s0 elements.
	run := func() {
		end := func(reg int8) { t.leaWord(s1, mem{base: reg, index: s0, scale: log2(size)}) }
		end(hRDI)
		if u&stringSrc != 0 {
			t.store(slot(x86.RDI), s1)
			end(hRSI)
			t.load(hRSI, gs(offTmp))
		}
		t.mov(hRDI, s2)
		t.hostString(&g.x, size)
		if u&stringSrc != 0 {
			t.mov(hRSI, s1)
			t.load(hRDI, slot(x86.RDI))
		} else {
			t.mov(hRDI, s1)
		}
	}
	t.stretch(u, live, func() {
		t.chunkSize(u, live)
		run()
		t.cur = g
		t.poll(t.goff+g.off, live)
		t.patchRel32(t.jmp(), top) // perhaps nothing is left
	})
	t.count()
	run()
	t.mov(hostRCX, s0) // zero
	t.patchRel32(done, t.pos())
}

// windowChunk is how many elements repWindowed does before it looks whether something is pending.
const windowChunk = 64 << 10

// canRepWindowed reports whether REP MOVS or STOS goes by the window: where both sides are in its high
// part, unless they were not before.
func (t *translator) canRepWindowed(g *ginst) bool {
	if t.co.rule != shareWindow || t.e.cfg.Verify != VerifyOff {
		return false
	}
	seen := t.e.win.seen[codeKey{t.r.page, g.off}]
	return seen&^(1<<highPart) == 0
}

// repWindowed is repMove by the window: the host's instruction on the whole of both sides. A page
// that is not there faults in the middle, and it goes on when it is there; else what has been done is
// taken from the registers (Engine.leaveRep). The guards of the part are longer than what one
// instruction does.
func (t *translator) repWindowed(g *ginst, u stringUse) {
	g.rep = u
	sides := []uint8{x86.RDI}
	if u&stringSrc != 0 {
		sides = append(sides, x86.RSI)
	}
	top := t.pos()
	for _, reg := range sides {
		id := t.newSite(site{kind: siteOutside, goff: t.goff + g.off, stub: int32(g.off), ref: t.element(reg)})
		t.pext(s0, t.home[reg], gs(offWinHigh))
		t.leaveIfZero(id, siteOutside)
	}
	t.count()
	t.pext(s0, s0, gs(offWinChunk))
	fits := t.jrcxz()
	many := t.jmp()
	t.island()
	t.here(fits)
	t.count()
	t.movImm32(hostRCX, 0) // RCX is what is in s0 and this
	body := t.pos()
	t.load(s2, delta(highPart))
	for _, reg := range sides {
		t.lea(t.home[reg], mem{base: t.home[reg], index: s2})
	}
	t.hostString(&g.x, int32(u&stringSize))
	t.opReg(rexW, false, 0xf7, 2, s2) // not
	for _, reg := range sides {
		t.lea(t.home[reg], mem{base: t.home[reg], index: s2, disp: 1})
	}
	t.count()
	end := t.jrcxz()
	more := t.jmp()
	t.here(end)
	live := g.live != 0
	t.cold = append(t.cold, func() {
		t.patchRel32(many, t.pos())
		t.movImm32(s0, windowChunk)
		t.lea(hostRCX, based(hostRCX, -windowChunk))
		t.patchRel32(t.jmp(), body)
		t.patchRel32(more, t.pos())
		t.cur = g
		t.poll(t.goff+g.off, live)
		t.patchRel32(t.jmp(), top)
	})
	t.co.inS2 = -1
	t.held = nothingHeld
}

// leaveRep makes the registers those of the guest after a fault in the middle of a REP by the window.
func (e *Engine) leaveRep(u stringUse) {
	x, w := &e.sh.context, e.win
	off := uint64(w.parts[highPart].Base) - w.start(highPart)
	x.R[x86.RDI] -= off
	if u&stringSrc != 0 {
		x.R[x86.RSI] -= off
	}
	x.R[x86.RCX] += x.Scratch[0]
}

// repCompare is CMPS and SCAS with REPE or REPNE. The flags are live throughout:
// they are those of the last comparison.
func (t *translator) repCompare(g *ginst, u stringUse) {
	size := int32(u & stringSize)
	t.count()
	done := t.unlessZero()
	again := t.pos()
	body := 0
	t.stretch(u, true, func() {
		t.chunkSize(u, true)
		t.patchRel32(t.jmp(), body)
	})
	t.count()
	t.movImm32(hostRCX, 0)
	body = t.pos()
	// s0 elements, with the rest in RCX. How far each side is from its host
	// address is kept, to come back from where it ends.
	distance := func(reg, from int8) {
		t.mov(s1, from)
		t.opReg(rexW, false, 0xf7, 2, s1) // not
		t.lea(s1, mem{base: s1, index: reg, disp: 1})
		t.mov(reg, from)
	}
	if u&stringSrc != 0 {
		t.store(gs(offTmp2), s2)
		t.load(s2, gs(offTmp))
		distance(hRSI, s2)
		t.store(gs(offTmp), s1)
		t.load(s2, gs(offTmp2))
	}
	distance(hRDI, s2)
	t.hostString(&g.x, size)
	t.leaWord(hostRCX, mem{base: hostRCX, index: s0})
	t.leaWord(hRDI, mem{base: hRDI, index: s1})
	if u&stringSrc != 0 {
		t.load(s1, gs(offTmp))
		t.leaWord(hRSI, mem{base: hRSI, index: s1})
	}
	cc := byte(ccNE)
	if g.x.Rep == 0xf2 {
		cc = ccE
	}
	over := t.jcc(cc)
	t.count()
	end := t.jrcxz()
	t.poll(t.goff+g.off, true)
	t.patchRel32(t.jmp(), again)
	t.here(end)
	t.patchRel32(over, t.pos())
	t.patchRel32(done, t.pos())
}
