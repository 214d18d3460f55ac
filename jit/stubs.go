package jit

import "hotblock/jit/host"

// Stubs: the code that is shared by all regions. It is written once, at the start
// of the code cache, and moves the guest's state between the context, the
// State and the host's registers.

// makeStubs writes the stubs and makes the strategies, which may add to them.
func (e *Engine) makeStubs() error {
	a := &asm{}
	if err := e.choose(a); err != nil {
		return err
	}
	e.used = (a.pos() + 63) &^ 63
	copy(e.arena.Write, a.b)
	e.firstRegion = e.used
	return nil
}

// directStubs writes those of the back end that keeps registers in registers.
func (e *Engine) directStubs(a *asm) {
	regs := []struct {
		g uint8
		h int8
	}{}
	for g, h := range home {
		if h != noReg {
			regs = append(regs, struct {
				g uint8
				h int8
			}{uint8(g), h})
		}
	}

	// Enter: the registers and flags from the context, then to Target.
	// enterVec does it with the vector registers, enterX87 with the x87 registers,
	// enterBoth with both.
	call := func() (at int) {
		a.byte(0xe8)
		a.imm32(0)
		return a.pos() - 4
	}
	e.enterX87 = int32(a.pos())
	callX87 := call()
	onlyX87 := a.jmp()
	e.enterBoth = int32(a.pos())
	callBoth := call()
	e.enterVec = int32(a.pos())
	callLoad := call()
	a.patchRel32(onlyX87, a.pos())
	e.enter = int32(a.pos())
	a.load32(hRAX, gs(offEntryFlags))
	a.byte(0x04, 0x7f) // add al, 0x7f: OF is what AL was
	a.byte(0x9e)       // sahf
	for _, r := range regs {
		a.load(r.h, slot(r.g))
	}
	a.jmpMem(gs(offTarget))

	// Exit: the registers and flags to the context, vector and x87 registers, if
	// they are the host's, to State, and back to Go.
	common := a.pos()
	a.popMem(gs(offSite))
	fromFault := a.pos()
	a.store(gs(host.OffStackTop), hRSP)
	a.pushf()
	a.popMem(gs(offFlags))
	for _, r := range regs {
		a.store(slot(r.g), r.h)
	}
	a.load32(s0, gs(offX87Dead))
	saveX87 := a.jrcxz()
	vectors := a.pos()
	a.load32(s0, gs(offVecDead))
	save := a.jrcxz()
	back := a.pos()
	a.jmpMem(gs(host.OffExit))
	a.here(saveX87)
	far := a.jmp()
	a.here(save)
	a.load(s0, gs(offState))
	for i := range int8(16) {
		e.moveVec(a, true, i, based(s0, stateV+32*int32(i)))
	}
	a.byte(0x0f) // stmxcsr
	a.b = append(a.b, 0xae)
	a.modrmMem(3, based(s0, stateMXCSR))
	a.byte(0x65, 0x0f, 0xae) // ldmxcsr
	a.modrmMem(2, gs(offHostMXCSR))
	if e.hostAVX {
		a.byte(0xc5, 0xf8, 0x77) // vzeroupper
	}
	a.storeImm32(gs(offVecDead), 1)
	a.storeImm32(gs(offAVXDead), 1)
	a.patchRel32(a.jmp(), back)
	a.patchRel32(far, a.pos())
	a.saveX87()
	a.patchRel32(a.jmp(), vectors)

	for k := range numSites {
		e.stubs[k] = int32(a.pos())
		if k == siteIndirect {
			a.store(gs(offIndirect), s1)
		}
		a.storeImm32(gs(offReason), int32(k))
		a.patchRel32(a.jmp(), common)
	}

	// Nowhere: what an invalid entry of a jump cache leads to.
	e.nowhere = int32(a.pos())
	a.byte(0x68) // push imm32
	a.imm32(0)
	a.patchRel32(a.jmp(), int(e.stubs[siteIndirect]))

	// Fault: where the signal handler goes on after a fault of translated code.
	e.fault = int32(a.pos())
	a.storeImm32(gs(offReason), int32(reasonFault))
	a.patchRel32(a.jmp(), fromFault)

	// Load: the vector registers from State, if they may be used.
	e.loadVec = int32(a.pos())
	a.patchRel32(callLoad, a.pos())
	a.load32(s0, gs(offVecOK))
	disabled := a.jrcxz()
	enabled := a.jmp()
	a.here(disabled)
	a.byte(0xc3) // ret
	a.patchRel32(enabled, a.pos())
	a.load(s0, gs(offState))
	a.byte(0x0f, 0xae) // ldmxcsr
	a.modrmMem(2, based(s0, stateMXCSR))
	for i := range int8(16) {
		e.moveVec(a, false, i, based(s0, stateV+32*int32(i)))
	}
	a.storeImm32(gs(offVecDead), 0)
	a.load32(s0, gs(offAVXOK))
	noAVX := a.jrcxz()
	a.storeImm32(gs(offAVXDead), 0)
	a.here(noAVX)
	a.byte(0xc3) // ret

	e.loadX87 = int32(a.pos())
	a.patchRel32(callX87, a.pos())
	a.patchRel32(callBoth, a.pos())
	a.restoreX87()
}

// moveVec moves a vector register to or from memory, all that the host has of it.
func (e *Engine) moveVec(a *asm, toMem bool, r int8, m mem) {
	op := byte(0x10)
	if toMem {
		op = 0x11
	}
	if e.hostAVX {
		a.vex3(1, 0, false, 1, r, 0, m.rexBits(), op) // vmovups ymm
		a.modrmMem(byte(r), m)
		return
	}
	a.opMem(0, true, op, r, m) // movups
}
