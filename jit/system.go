package jit

// System instructions: flags, interrupts, user and kernel mode.
//
// Linux uses a handful of privileged instructions so often that handing them to
// the interpreter would be most of what the translator leaves for: PUSHF, CLI, STI
// and POPF around every short critical section, STAC and CLAC around accesses to
// user memory, SYSCALL, SYSRET, IRET and SWAPGS at the border of the kernel.
// Here is the case that they are used for. What else they may meet, all of their
// faults included, is found before anything has changed, and is the interpreter's:
// NT, TF and DF in flags, segments that are not flat, an interrupt
// that waits for IF, an NMI handler's IRET.
//
// RFLAGS but for the status flags is State.Flags. Segments with their hidden
// parts are in State too; the bases of FS and GS are also in the context and
// where the interpreter adds them from, State.R. What the interpreter keeps beside
// State is brought up to date after leaving: see context.Stale.
//
// Code that runs at CPL 0 is known by its variant; there is none for 1
// and 2. The TLB is of the variant as well, so that STAC and CLAC change the variant in
// the middle of a region, and SYSCALL, SYSRET and IRET go on by the jump cache of
// the variant that they lead to. Bits of CR4 and EFER that decide whether an
// instruction exists, and SMAP, are as they were when the code was translated: the
// interpreter drops all code when they change.

import (
	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var (
	opPushf    = decode.MustOp("pushf")
	opPopf     = decode.MustOp("popf")
	opCli      = decode.MustOp("cli")
	opSti      = decode.MustOp("sti")
	opStac     = decode.MustOp("stac")
	opClac     = decode.MustOp("clac")
	opSwapgs   = decode.MustOp("swapgs")
	opRdfsbase = decode.MustOp("rdfsbase")
	opRdgsbase = decode.MustOp("rdgsbase")
	opWrfsbase = decode.MustOp("wrfsbase")
	opWrgsbase = decode.MustOp("wrgsbase")
	opXgetbv   = decode.MustOp("xgetbv")
	opSyscall  = decode.MustOp("syscall")
	opSysret   = decode.MustOp("sysret")
	opIret     = decode.MustOp("iret")
)

// canSystem reports whether a system instruction, PUSHF or POPF is translated.
func (t *translator) canSystem(g *ginst) bool {
	x, c := &g.x, t.e.cpu
	kernel := t.v&interp.VariantUser == 0
	switch x.Op {
	case opPushf:
		return int32(x.OpSize) == t.word()
	case opPopf:
		return int32(x.OpSize) == t.word()
	case opCli, opSti:
		return kernel
	case opStac, opClac:
		return kernel && t.wide
	case opSwapgs:
		return kernel && t.wide
	case opRdfsbase, opRdgsbase, opWrfsbase, opWrgsbase:
		return t.wide && c.CR4&x86.CR4FSGSBASE != 0
	case opXgetbv:
		return c.CR4&x86.CR4OSXSAVE != 0
	case opSyscall:
		return t.wide && c.EFER&x86.EFERSCE != 0
	case opSysret:
		return kernel && t.wide && x.OpSize == 8 && c.EFER&x86.EFERSCE != 0
	case opIret:
		return kernel && t.wide && x.OpSize == 8
	case opRdtsc, opRdtscp:
		return t.canReadTSC()
	case opMov:
		return x.Args[1].Kind == decode.Seg
	}
	return false
}

// endsRegion reports whether control does not go on behind a system instruction.
func endsRegion(x *decode.Inst) bool {
	return x.Op == opSyscall || x.Op == opSysret || x.Op == opIret
}

// systemInst translates what canSystem has accepted. It reports false where that
// is not possible after all.
func (t *translator) systemInst(g *ginst) bool {
	live := g.live != 0
	switch g.x.Op {
	case opPushf:
		t.pushfInst()
	case opPopf:
		t.popfInst(g)
	case opCli:
		t.stateFlag(x86.FlagIF, false, live)
	case opSti:
		if g == &t.insts[t.n-1] && (t.next >= pageSize || t.n == maxRegion) {
			// The next instruction, which runs before any interrupt is
			// taken, has to be in the region, or the interpreter's.
			return false
		}
		t.load32(s0, gs(offIntWaiting))
		ok := t.jrcxz()
		t.callout(t.goff + g.off)
		t.here(ok)
		t.stateFlag(x86.FlagIF, true, live)
	case opStac, opClac:
		on := g.x.Op == opStac
		t.stateFlag(x86.FlagAC, on, live)
		t.stale()
		t.v = t.v&^interp.VariantTLB | t.kernelTLB(on)
	case opSwapgs:
		t.load(s1, gs(offState))
		t.load(s0, based(s1, stateKernelGSBase))
		t.load(s2, based(s1, stateSeg(x86.GS)+segBase))
		t.store(based(s1, stateKernelGSBase), s2)
		t.storeBase(x86.GS, s1, s0)
	case opRdfsbase, opRdgsbase:
		d := g.x.Args[0].Reg
		h := t.home[d]
		if h == noReg {
			h = s0
		}
		m := gs(offSeg + 8*int32(fsOrGS(&g.x)))
		if g.x.OpSize == 8 {
			t.load(h, m)
		} else {
			t.load32(h, m)
		}
		if t.home[d] == noReg {
			t.store(slot(d), h)
		}
	case opWrfsbase, opWrgsbase:
		t.wrBase(g, live)
	case opXgetbv:
		t.mov32(s0, hostRCX)
		ok := t.jrcxz()
		t.callout(t.goff + g.off)
		t.here(ok)
		t.load(s1, gs(offState))
		t.load32(hRAX, based(s1, stateXCR0))
		t.load32(hRDX, based(s1, stateXCR0+4))
	case opSyscall:
		t.syscallInst(g)
	case opSysret:
		t.sysretInst(g)
	case opIret:
		t.iretInst(g)
	case opRdtsc, opRdtscp:
		t.rdtscInst(g)
	case opMov:
		t.selectorInst(g, live)
	}
	return true
}

// kernelTLB is the part of a variant that says which TLB CPL 0 uses.
func (t *translator) kernelTLB(ac bool) interp.Variant {
	if t.e.cpu.CR4&x86.CR4SMAP != 0 && !ac {
		return interp.TLBSupervisor
	}
	return interp.TLBNoSMAP
}

// indirectTo is indirect for code of another variant.
func (t *translator) indirectTo(v interp.Variant) {
	old := t.v
	t.switchStack(v)
	t.v = v
	t.indirect(0)
	t.v = old
}

const userVariant = interp.Variant64 | interp.VariantUser | interp.TLBUser

// stale notes that the CPL or the TLB has changed.
func (t *translator) stale() { t.storeImm32(gs(offStale), 1) }

// maskBits keeps the bits of r that a mask in the context has, without changing
// flags.
func (t *translator) maskBits(r int8, mask int32) {
	t.pext(r, r, gs(mask))
	t.pdep(r, r, gs(mask))
}

// stateFlag sets or clears IF or AC in State.
func (t *translator) stateFlag(flag int32, on, live bool) {
	t.load(s1, gs(offState))
	m := based(s1, stateFlags)
	switch {
	case live:
		mask := offNotIF
		if flag == x86.FlagAC {
			mask = offNotAC
		}
		t.load(s0, m)
		t.maskBits(s0, mask)
		if on {
			t.lea(s0, based(s0, flag))
		}
		t.store(m, s0)
	case on:
		t.aluMem(1, m, flag)
	default:
		t.aluMem(4, m, ^flag)
	}
}

// aluMem is an operation of the 81 group (1 OR, 4 AND, 6 XOR) on 32 bits of
// memory.
func (t *translator) aluMem(op int8, m mem, v int32) {
	t.opMem(0, false, 0x81, op, m)
	t.imm32(v)
}

// testMem32 tests bits of memory.
func (t *translator) testMem32(m mem, v int32) {
	t.opMem(0, false, 0xf7, 0, m)
	t.imm32(v)
}

// testImm32 tests bits of a register.
func (t *translator) testImm32(r int8, v int32) {
	t.opReg(0, false, 0xf7, 0, r)
	t.imm32(v)
}

// shift is an immediate shift of 64 bits: 4 SHL, 5 SHR, 7 SAR.
func (t *translator) shift(op int8, r int8, n byte) {
	t.opReg(rexW, false, 0xc1, op, r)
	t.byte(n)
}

// handOver makes all jumps in *at lead to an exit for the interpreter to run g.
// restore is written before it.
func (t *translator) handOver(g *ginst, at *[]int, restore func()) {
	t.cold = append(t.cold, func() {
		for _, at := range *at {
			t.patchRel32(at, t.pos())
		}
		restore()
		t.callout(t.goff + g.off)
	})
}

// statusFrom makes the host's status flags those of s0. It changes RAX.
func (t *translator) statusFrom() {
	t.mov32(hRAX, s0)
	t.opReg(0, false, 0xc1, 4, hRAX) // shl eax, 8: AH is the low byte
	t.byte(8)
	t.byte(0x0f, 0xba, 0xe1, 11) // bt ecx, 11
	t.byte(0x0f, 0x92, 0xc0)     // setc al
	t.byte(0x04, 0x7f)           // add al, 0x7f: OF is what AL was
	t.byte(0x9e)                 // sahf
}

// selectorInst is MOV from a segment register, which clears the upper bits of a register of
// more than 16 bits, and stores 16 bits in any case (SDM volume 2, MOV).
func (t *translator) selectorInst(g *ginst, live bool) {
	d := &g.x.Args[0]
	h, to := int8(noReg), slot(d.Reg)
	if d.Kind == decode.Mem {
		to = t.ungrouped(t.refOf(g), 2, true, live)
	} else {
		h = t.home[d.Reg]
	}
	t.load(s0, gs(offState))
	t.loadU16(s0, based(s0, stateSeg(g.x.Args[1].Reg)+segSel))
	if d.Size == 2 {
		t.byte(0x66)
	}
	switch {
	case h != noReg:
		t.opReg(0, false, 0x8b, h, s0) // mov
	case d.Size == 2:
		t.opMem(0, false, 0x89, s0, to) // mov
	default:
		t.store(to, s0)
	}
}

// pushfInst is PUSHF. VM is clear wherever code is translated, and so is RF.
func (t *translator) pushfInst() {
	w := t.word()
	t.pushf()
	t.byte(0x59) // pop rcx
	t.maskBits(s0, offArith)
	t.load(s1, gs(offState))
	t.load32(s1, based(s1, stateFlags))
	t.lea(s0, mem{base: s0, index: s1, disp: x86.Flag1})
	t.store(gs(offTmp), s0)
	m := t.access(t.stackRef(-w), w, true, true)
	t.load(s0, gs(offTmp))
	t.storeWord(m, s0)
	t.moveSP(-w)
	t.held = nothingHeld
}

// Flags that POPF may change beside the status flags and IF.
const popfOther = x86.FlagTF | x86.FlagDF | x86.FlagIOPL | x86.FlagNT | x86.FlagAC | x86.FlagID

// popfInst is POPF. At CPL 3 it leaves IOPL alone, and IF unless IOPL is 3; one that would
// change IF is the interpreter's.
func (t *translator) popfInst(g *ginst) {
	user := t.v&interp.VariantUser != 0
	var away []int
	m := t.access(t.stackRef(0), t.word(), false, g.live != 0)
	t.load32(s1, m)
	t.load(s2, gs(offState))
	t.mov32(s0, s1)
	t.opMem(0, false, 0x33, s0, based(s2, stateFlags)) // xor
	if user {
		t.testImm32(s0, popfOther&^x86.FlagIOPL|x86.FlagIF)
		away = append(away, t.jcc(ccNE))
	} else {
		t.testImm32(s0, popfOther)
		away = append(away, t.jcc(ccNE))
		t.testImm32(s0, x86.FlagIF)
		same := t.jcc(ccE)
		// An interrupt that waits is taken if IF becomes set.
		t.mov32(s0, s1)
		t.opReg(0, false, 0xc1, 5, s0) // shr: IF is bit 0
		t.byte(9)
		t.andImm32(s0, 1)
		t.opMem(0, false, 0x23, s0, gs(offIntWaiting)) // and
		away = append(away, t.jcc(ccNE))
		t.aluMem(6, based(s2, stateFlags), x86.FlagIF)
		t.patchRel32(same, t.pos())
	}
	t.mov(s0, s1)
	t.mov(s1, hRAX)
	t.statusFrom()
	t.mov(hRAX, s1)
	t.moveSP(t.word())
	t.co.inS2, t.held = -1, nothingHeld
	t.handOver(g, &away, func() {})
}

func fsOrGS(x *decode.Inst) uint8 {
	if x.Op == opRdfsbase || x.Op == opWrfsbase {
		return x86.FS
	}
	return x86.GS
}

// storeBase makes v the base of FS or GS; st is the address of State.
func (t *translator) storeBase(seg uint8, st, v int8) {
	t.store(based(st, stateSeg(seg)+segBase), v)
	t.store(based(st, stateR+8*(x86.RSeg+int32(seg))), v)
	t.store(gs(offSeg+8*int32(seg)), v)
}

// ifNotCanonical writes a jump that is taken where r is no canonical address. It
// changes tmp.
func (t *translator) ifNotCanonical(r, tmp int8) int {
	t.mov(tmp, r)
	t.shift(4, tmp, 64-x86.LinBits)
	t.shift(7, tmp, 64-x86.LinBits)
	t.opReg(rexW, false, 0x3b, tmp, r) // cmp
	return t.jcc(ccNE)
}

// wrBase is WRFSBASE and WRGSBASE.
func (t *translator) wrBase(g *ginst, live bool) {
	h := t.guest(g.x.Args[0].Reg, s1)
	if g.x.OpSize == 8 {
		t.mov(s1, h)
		if live {
			t.pushf()
		}
		away := []int{t.ifNotCanonical(s1, s0)}
		restore := func() {
			if live {
				t.popf()
			}
		}
		restore()
		t.handOver(g, &away, restore)
	} else {
		t.mov32(s1, h)
	}
	t.load(s0, gs(offState))
	t.storeBase(fsOrGS(&g.x), s0, s1)
}

// Attributes of flat segments, and their descriptors.
const (
	attrCode64 = x86.SegP | x86.SegS | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegL | x86.SegG
	attrData   = x86.SegP | x86.SegS | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG
	dpl3       = x86.SegDPL
)

// storeSeg makes the segment register seg a flat segment with the selector in the
// low 16 bits of sel, which it keeps; st is the address of State.
func (t *translator) storeSeg(seg uint8, st, sel int8, attr uint16) {
	at := stateSeg(seg)
	t.opMem(rexW, false, 0xc7, 0, based(st, at+segBase))
	t.imm32(0)
	t.storeImm32(based(st, at+segLimit), -1)
	t.byte(0x66)
	t.opMem(0, false, 0x89, sel, based(st, at+segSel))
	t.byte(0x66)
	t.opMem(0, false, 0xc7, 0, based(st, at+segAttr))
	t.byte(byte(attr), byte(attr>>8))
}

// storeCPL sets the CPL.
func (t *translator) storeCPL(st int8, cpl byte) {
	t.opMem(0, false, 0xc6, 0, based(st, stateCPL))
	t.byte(cpl)
}

// syscallInst is SYSCALL (SDM volume 2): from CPL 3, or from CPL 0 to itself.
func (t *translator) syscallInst(g *ginst) {
	t.pushf()
	t.load(s1, gs(offState))
	// The new flags: what FMASK leaves.
	t.load32(s0, based(s1, stateFMASK))
	t.opReg(0, false, 0xf7, 2, s0)                     // not
	t.opMem(0, false, 0x23, s0, based(s1, stateFlags)) // and
	t.testImm32(s0, x86.FlagAC)
	away := []int{t.jcc(ccNE)}
	t.load32(s2, based(s1, stateFlags))
	t.store(based(s1, stateFlags), s0)
	t.byte(0x59) // pop rcx
	t.andImm32(s0, arith)
	t.lea(s2, mem{base: s2, index: s0, disp: x86.Flag1})
	t.store(slot(x86.R11), s2)
	t.load32(s2, based(s1, stateFMASK))
	t.opReg(0, false, 0xf7, 2, s2)  // not
	t.opReg(0, false, 0x23, s0, s2) // and
	// CS and SS from STAR.
	t.load32(s2, based(s1, stateSTAR+4))
	t.andImm32(s2, 0xfffc)
	t.storeSeg(x86.CS, s1, s2, attrCode64)
	t.lea(s2, based(s2, 8))
	t.storeSeg(x86.SS, s1, s2, attrData)
	t.storeCPL(s1, 0)
	t.stale()
	t.linear(hostRCX, int32(t.goff+g.off+uint32(g.x.Len)))
	t.mov(s2, hRAX)
	t.statusFrom()
	t.mov(hRAX, s2)
	t.load(s1, based(s1, stateLSTAR))
	t.indirectTo(interp.Variant64 | t.kernelTLB(false))
	t.handOver(g, &away, t.popf)
}

// sysretInst is SYSRET to 64-bit code.
func (t *translator) sysretInst(g *ginst) {
	away := []int{t.ifNotCanonical(hostRCX, s0)}
	const keep = 0x3c7fd7 // SDM volume 2, SYSRET
	t.load32(s0, slot(x86.R11))
	t.andImm32(s0, keep)
	t.testImm32(s0, x86.FlagTF|x86.FlagDF|x86.FlagAC)
	away = append(away, t.jcc(ccNE))
	t.mov32(s1, s0)
	t.opReg(0, false, 0xc1, 5, s1) // shr: IF is bit 0
	t.byte(9)
	t.opMem(0, false, 0x23, s1, gs(offIntWaiting)) // and
	t.testImm32(s1, 1)
	away = append(away, t.jcc(ccNE))
	t.load(s1, gs(offState))
	t.mov32(s2, s0)
	t.andImm32(s2, keep&^(arith|x86.Flag1))
	t.store(based(s1, stateFlags), s2)
	t.loadU16(s2, based(s1, stateSTAR+6))
	t.opReg(0, false, 0x83, 1, s2) // or
	t.byte(3)
	t.lea(s2, based(s2, 8))
	t.storeSeg(x86.SS, s1, s2, attrData|dpl3)
	t.lea(s2, based(s2, 8))
	t.storeSeg(x86.CS, s1, s2, attrCode64|dpl3)
	t.storeCPL(s1, 3)
	t.stale()
	t.mov(s2, hRAX)
	t.statusFrom()
	t.mov(hRAX, s2)
	t.mov(s1, hostRCX)
	t.indirectTo(userVariant)
	t.handOver(g, &away, func() {})
}

// Flags that IRET at CPL 0 takes from the stack, beside the status flags, and
// those of them that only the interpreter handles.
const (
	iretFlags = x86.FlagIF | x86.FlagIOPL | x86.FlagAC | x86.FlagVIF | x86.FlagVIP | x86.FlagID
	iretOther = x86.FlagTF | x86.FlagDF | x86.FlagNT
)

// iretInst is IRET at CPL 0 from 64-bit code to 64-bit code of CPL 0 or 3, with
// descriptors in the GDT of flat segments that have been accessed.
func (t *translator) iretInst(g *ginst) {
	var away []int
	unless := func(cc byte) { away = append(away, t.jcc(cc^1)) }
	m := t.ungrouped(t.stackRef(0), 40, false, g.live != 0)
	t.lea(s2, m) // of the frame: RIP, CS, RFLAGS, RSP, SS
	// RAX and RDX are in the context meanwhile.
	t.store(slot(x86.RAX), hRAX)
	t.store(slot(x86.RDX), hRDX)
	restore := func() {
		t.load(hRAX, slot(x86.RAX))
		t.load(hRDX, slot(x86.RDX))
	}
	t.load(s1, gs(offState))
	t.testMem32(based(s1, stateFlags), x86.FlagNT)
	unless(ccE)
	t.opMem(0, false, 0x80, 7, based(s1, stateNMIMasked)) // cmp byte
	t.byte(0)
	unless(ccE)
	t.load32(s0, based(s2, 16))
	t.testImm32(s0, iretOther)
	unless(ccE)
	t.opReg(0, false, 0xc1, 5, s0) // shr: IF is bit 0
	t.byte(9)
	t.opMem(0, false, 0x23, s0, gs(offIntWaiting)) // and
	t.testImm32(s0, 1)
	unless(ccE)
	t.load(s0, based(s2, 0))
	away = append(away, t.ifNotCanonical(s0, hRAX))
	// The GDT, if it is in one page.
	t.load(hRAX, based(s1, stateGDTBase))
	t.rorx(hRDX, hRAX, 12)
	t.movzx16(hRDX, hRDX)
	tlb := interp.TLB(t.kernelTLB(false))
	t.load(s0, gsx(hRDX, int32(tlb.ReadTag)))
	t.addReg(s0, hRAX)
	t.cmpImm(s0, pageSize-1)
	away = append(away, t.jcc(ccA))
	t.add(hRAX, gsx(hRDX, int32(tlb.ReadAdd)))
	t.loadU16(hRDX, based(s1, stateGDTLimit))
	t.addReg(s0, hRDX)
	t.cmpImm(s0, pageSize-1)
	away = append(away, t.jcc(ccA))
	// selector loads one, whose low three bits are known, from the frame into RDX
	// and compares the descriptor.
	selector := func(at, low, desc int32) {
		t.loadU16(hRDX, based(s2, at))
		t.lea(s0, based(hRDX, 7-low))
		t.byte(0x66)
		t.opMem(0, false, 0x3b, s0, based(s1, stateGDTLimit)) // cmp
		away = append(away, t.jcc(ccA))
		t.load(s0, mem{base: hRAX, index: hRDX, disp: -low})
		t.opMem(rexW, false, 0x3b, s0, gs(desc))
		unless(ccE)
	}
	finish := func(cpl byte) {
		t.load32(s0, based(s2, 16))
		t.mov32(hRDX, s0)
		t.andImm32(hRDX, iretFlags)
		t.store(based(s1, stateFlags), hRDX)
		t.storeCPL(s1, cpl)
		t.stale()
		t.load(hostRSP, based(s2, 24))
		t.load(s1, based(s2, 0))
		t.statusFrom()
		restore()
	}
	t.loadU16(hRDX, based(s2, 8))
	t.andImm32(hRDX, 7)
	t.cmpImm(hRDX, 3)
	user := t.jcc(ccE)
	t.cmpImm(hRDX, 0)
	unless(ccE)

	// To CPL 0, with a null selector in SS or one for data.
	selector(8, 0, offDescCode0)
	t.loadU16(hRDX, based(s2, 32))
	t.cmpImm(hRDX, 0)
	null := t.jcc(ccE)
	t.testImm32(hRDX, 7)
	unless(ccE)
	selector(32, 0, offDescData0)
	t.storeSeg(x86.SS, s1, hRDX, attrData)
	loaded := t.jmp()
	t.patchRel32(null, t.pos())
	for _, at := range [...]int32{segBase, segLimit} { // the limit's 8 bytes are all the rest
		t.opMem(rexW, false, 0xc7, 0, based(s1, stateSeg(x86.SS)+at))
		t.imm32(0)
	}
	t.patchRel32(loaded, t.pos())
	t.loadU16(hRDX, based(s2, 8))
	t.storeSeg(x86.CS, s1, hRDX, attrCode64)
	t.testMem32(based(s2, 16), x86.FlagAC)
	ac := t.jcc(ccNE)
	finish(0)
	t.indirectTo(interp.Variant64 | t.kernelTLB(false))
	t.patchRel32(ac, t.pos())
	finish(0)
	t.indirectTo(interp.Variant64 | t.kernelTLB(true))

	// To CPL 3. Data segments of an inner level would become null.
	t.patchRel32(user, t.pos())
	t.testMem32(based(s2, 16), x86.FlagAC)
	unless(ccE)
	for _, seg := range [...]uint8{x86.ES, x86.DS, x86.FS, x86.GS} {
		t.loadU16(s0, based(s1, stateSeg(seg)+segAttr))
		t.testImm32(s0, x86.SegP)
		null := t.jcc(ccE)
		t.andImm32(s0, x86.SegDPL)
		t.cmpImm(s0, x86.SegDPL)
		unless(ccE)
		t.patchRel32(null, t.pos())
	}
	selector(8, 3, offDescCode3)
	t.loadU16(hRDX, based(s2, 32))
	t.andImm32(hRDX, 7)
	t.cmpImm(hRDX, 3)
	unless(ccE)
	selector(32, 3, offDescData3)
	t.storeSeg(x86.SS, s1, hRDX, attrData|dpl3)
	t.loadU16(hRDX, based(s2, 8))
	t.storeSeg(x86.CS, s1, hRDX, attrCode64|dpl3)
	finish(3)
	t.indirectTo(userVariant)
	t.handOver(g, &away, restore)
}
