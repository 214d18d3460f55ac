package jit

// Code that changes.
//
// A region is made of bytes of a page, or of two pages, and dies when one of them is
// written; other regions of the page stay. The interpreter says which bytes are hit
// (package interp, smc.go).
//
// A store to a page with code misses in the write TLB. Before it leaves, it calls a
// stub that looks into the TLB for such pages and at the bits of the bytes in the
// page's map of used bytes; if none is set the store goes on as after a hit. A MOV
// that would change nothing goes on, too: whoever writes a function anew writes
// mostly what was there before. What is left hits code, and is the interpreter's.
//
// Immediates that vary are data: they are loaded from the page, through the host's
// address of it, each time the instruction runs. Their bytes are holes in what the
// region was made of.

import (
	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// maxStore is how many bytes the bits of which the stub can look at.
const maxStore = 57

// Drop implements interp.Translator.
func (e *Engine) Drop(p *interp.CodePage) { e.Overwritten(p, 0, pageSize) }

// Overwritten implements interp.Translator.
func (e *Engine) Overwritten(p *interp.CodePage, lo, hi uint32) {
	l := regionsOf(p)
	if l == nil {
		return
	}
	left := &pageRegions{regions: l.regions[:0], keys: l.keys[:0]}
	for _, r := range l.regions {
		switch {
		case r.dead:
		case r.hit(p, lo, hi):
			e.kill(r)
			e.stats.Dropped++
		default:
			left.add(r)
		}
	}
	clear(l.regions[len(left.regions):])
	if *l = *left; len(l.regions) == 0 {
		p.Translations = nil
	}
}

// MarkUsed implements interp.Translator.
func (e *Engine) MarkUsed(p *interp.CodePage) {
	if l := regionsOf(p); l != nil {
		for _, r := range l.regions {
			if !r.dead {
				r.markUsed()
			}
		}
	}
}

// hit reports whether a write to bytes of a page hits the region.
func (r *region) hit(p *interp.CodePage, lo, hi uint32) bool {
	end := r.off + r.size
	return p == r.page && interp.Hits(lo, hi, r.off, end, r.holes) || p == r.page2 && end > pageSize && lo < end-pageSize
}

// markUsed says what bytes the region was made of.
func (r *region) markUsed() {
	end := r.off + r.size
	r.page.MarkUsed(r.off, min(end, pageSize), r.holes)
	if r.page2 != nil {
		r.page2.MarkUsed(0, end-pageSize, nil)
	}
}

// makeStoreStubs writes the stubs into the code cache, from an offset on, and returns
// where they end.
func (e *Engine) makeStoreStubs(at int) int {
	a := asm{}
	for i := range e.storeStubs {
		e.storeStubs[i] = int32(at + a.pos())
		a.storeStub(interp.TLB(interp.Variant(i)))
	}
	return at + copy(e.arena.Write[at:], a.b)
}

// storeStub writes the stub for a TLB. It is called with the linear addresses of the
// first and the last byte of a store in s1 and s2. It returns with zero in s0 and the
// page's addend in s2 if the page is in the TLB for pages with code, and code was made
// of none of the bytes; with the addend in s2 if of some; else with zero in s2. It
// leaves s1 and the flags alone.
func (a *asm) storeStub(tlb interp.TLBLayout) {
	const tmp, tmp2 = hRDX, hRBX
	a.store(gs(offKeep), tmp) // not on the stack: see returns.go
	a.rorx(tmp, s1, 12)
	a.opReg(0, true, 0xb6, tmp, tmp) // movzx: CodeTLBBits
	a.load(s0, gsx(tmp, int32(tlb.CodeTag)))
	a.lea(s0, mem{base: s0, index: s2})
	a.pext(s0, s0, gs(offPageMask))
	hit := a.jrcxz()
	a.load(tmp, gs(offKeep))
	a.movImm32(s2, 0)
	a.byte(0xc3) // ret
	a.here(hit)
	a.store(gs(offKeep+8), tmp2)
	a.mov(s0, s1)
	a.not(s0)
	a.lea(s0, mem{base: s0, index: s2, disp: 1}) // the number of bytes, less 1
	a.load(s2, gsx(tmp, int32(tlb.CodeUsed)))
	a.pext(tmp2, s1, gs(offOffBytes))
	a.load(s2, mem{base: s2, index: tmp2})
	a.pext(tmp2, s1, gs(offOffBit))
	a.shrx(s2, s2, tmp2)
	a.pext(s0, s2, gsx(s0, offSpan))
	a.load(s2, gsx(tmp, int32(tlb.CodeAdd)))
	a.load(tmp2, gs(offKeep+8))
	a.load(tmp, gs(offKeep))
	a.byte(0xc3) // ret
}

const _ = uint(8-interp.CodeTLBBits) + uint(interp.CodeTLBBits-8) // MOVZX of a byte

// A storeCheck is a check of a store, for where it misses.
type storeCheck struct {
	at    ref   // the first byte
	span  int32 // and how many
	tlb   interp.Variant
	alone bool // it is for one store
	inst  *ginst
	m     mem // the store's operand
	back  int // where to go on after a hit, with at in s1 and the addend in s2
}

// storeToCode writes what a store does that has missed in the write TLB: it goes on if
// it may go to a page with code.
func (t *translator) storeToCode(s *storeCheck) {
	if s.span > maxStore {
		return
	}
	a := &t.asm
	t.address(s.at)
	a.lea(s2, based(s1, s.span-1))
	t.callTo(t.e.storeStubs[s.tlb])
	ok := a.jrcxz()
	var same []int
	if s.alone && t.e.cfg.Verify == VerifyOff {
		same = t.compareStore(s.inst, s.m)
	}
	out := a.jmp()
	a.here(ok)
	for _, at := range same {
		a.here(at)
	}
	a.patchRel32(a.jmp(), s.back)
	a.patchRel32(out, a.pos())
}

// compareStore jumps where the store of a MOV to m would change nothing, if the addend
// in s2 is not zero, and returns where the jumps are.
func (t *translator) compareStore(g *ginst, m mem) (same []int) {
	a, x := &t.asm, &g.x
	if x.Op != opMov || x.Args[0].Kind != decode.Mem || g.varies || m.disp > 1<<30 {
		return nil
	}
	size := x.Args[0].Size
	src := &x.Args[1]
	load := func(d int8, m mem) {
		switch size {
		case 1:
			a.opMem(0, true, 0xb6, d, m) // movzx
		case 2:
			a.opMem(0, true, 0xb7, d, m)
		case 4:
			a.load32(d, m)
		default:
			a.load(d, m)
		}
	}
	sum := a.lea32
	if size == 8 {
		sum = a.lea
	}
	imm := int32(x.Imm)
	switch size {
	case 1:
		imm &= 0xff
	case 2:
		imm &= 0xffff
	}
	isImm := src.Kind == decode.Imm && imm != -1<<31
	if !isImm && src.Kind != decode.GPR {
		return nil
	}
	a.mov(s0, s2)
	no := a.jrcxz()
	load(s0, m)
	if isImm {
		sum(s0, based(s0, -imm))
	} else {
		a.push(s2)
		if h := t.home[src.Reg]; h == noReg {
			load(s2, slot(src.Reg))
		} else {
			switch size {
			case 1:
				a.opReg(0, true, 0xb6, s2, h)
			case 2:
				a.opReg(0, true, 0xb7, s2, h)
			case 4:
				a.mov32(s2, h)
			default:
				a.mov(s2, h)
			}
		}
		a.not(s0)
		sum(s0, mem{base: s0, index: s2, disp: 1})
		a.pop(s2)
	}
	same = append(same, a.jrcxz())
	a.here(no)
	return same
}

// canLoad reports whether an instruction with an immediate that varies is translated.
func (t *translator) canLoad(g *ginst) bool {
	x := &g.x
	switch op := x.Opcode; {
	case op == 0xe8 || op == 0xe9:
		return x.OpSize == uint8(t.word())
	case op == 0x68 || op == 0x6a:
		return x.OpSize == uint8(t.word())
	}
	switch a := &x.Args[0]; a.Kind {
	case decode.GPR:
		return a.Size >= 4 && (a.Reg != x86.RSP || t.wide)
	case decode.Mem:
		return !x.Lock && g.e.Mem&(decode.AccessRead|decode.AccessWrite) != 0 && a.Slot == decode.SlotRM
	}
	return false
}

// varying translates an instruction whose immediate is data.
func (t *translator) varying(g *ginst) bool {
	a, x := &t.asm, &g.x
	live := g.live != 0
	w := t.word()
	switch x.Opcode {
	case 0x68, 0x6a: // PUSH
		m := t.access(t.stackRef(-w), w, true, live)
		t.loadImm(g)
		t.storeWord(m, s0)
		t.moveSP(-w)
		return true
	case 0xe8, 0xe9: // CALL, JMP
		next := t.goff + g.off + uint32(x.Len)
		t.loadImm(g)
		t.linear(s1, 0)
		t.leaWord(s1, mem{base: s1, index: s0, disp: int32(next)})
		if x.Opcode == 0xe9 {
			t.indirect(0)
			return true
		}
		t.store(gs(offTmp), s1)
		m := t.access(t.stackRef(-w), w, true, live)
		t.pushReturn(m, next)
		t.e.use.ret.call(t, callTarget{indirect: true, inTmp: true}, next)
		return true
	}
	// The same instruction with a register in place of the immediate.
	op := x.Opcode
	switch {
	case op < 0x40:
		op &= 0x38
	case op == 0x80 || op == 0x81 || op == 0x83:
		op = x.ModRM & 0x38
	case op == 0xa8 || op == 0xa9 || op == 0xf6 || op == 0xf7:
		op = 0x84 // TEST
	default:
		op = 0x88 // MOV
	}
	dst := &x.Args[0]
	if dst.Size > 1 {
		op |= 1
	}
	rex := byte(0)
	if dst.Size == 8 {
		rex = rexW
	}
	if dst.Kind == decode.Mem {
		m := t.access(t.refOf(g), int32(g.e.MemSize), g.e.Mem&decode.AccessWrite != 0, live)
		t.loadImm(g)
		if dst.Size == 2 {
			a.byte(0x66)
		}
		a.opMem(rex, false, op, s0, m)
		return true
	}
	t.loadImm(g)
	h := t.home[dst.Reg]
	if h == noReg {
		h = s1
		if g.e.GPRRead>>dst.Reg&1 != 0 {
			a.load(h, slot(dst.Reg))
		}
	}
	a.opReg(rex, false, op, s0, h)
	if t.home[dst.Reg] == noReg && g.e.GPRWritten>>dst.Reg&1 != 0 {
		a.store(slot(dst.Reg), h)
	}
	return true
}

// loadImm loads the immediate of an instruction into s0, from the guest's memory, with
// its sign.
func (t *translator) loadImm(g *ginst) {
	end := g.off + uint32(g.x.Len)
	at := uint64(hostAddress(t.r.page.Bytes())) + uint64(end) - uint64(g.x.ImmLen)
	t.constant(s0, at)
	m := based(s0, 0)
	switch g.x.ImmLen {
	case 1:
		t.opMem(rexW, true, 0xbe, s0, m) // movsx
	case 2:
		t.opMem(rexW, true, 0xbf, s0, m)
	case 4:
		t.opMem(rexW, false, 0x63, s0, m) // movsxd
	default:
		t.load(s0, m)
	}
}
