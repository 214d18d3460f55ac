package jit

import (
	"hotblock/jit/host"
)

// Stubs: the code that is shared by all regions. It is written once, at the start
// of the code cache, and moves the guest's state between the context, the
// State and the host's registers. golang-asm assembles it: goasm.go.

// stubAsm is what writes them.
type stubAsm struct {
	goasm
	out    [numSites]goLabel   // where sites jump to, with their number on the stack
	second [jumpCaches]goLabel // where siteIndirect do that have looked into the first way of a jump cache
}

// makeStubs writes the stubs and makes the strategies, which may add to them.
func (e *Engine) makeStubs() error {
	a := &stubAsm{}
	if err := e.choose(a); err != nil {
		return err
	}
	n := copy(e.arena.Write, a.assemble())
	n = e.makeStoreStubs(n)
	e.divide((n + 63) &^ 63)
	return nil
}

// directStubs writes those of the back end that keeps registers in registers.
func (e *Engine) directStubs(a *stubAsm) {
	type pair struct {
		g uint8
		h int8
	}
	var regs []pair
	for g, h := range home {
		if h != noReg {
			regs = append(regs, pair{uint8(g), h})
		}
	}
	var enter, loadVec, loadX87 goLabel

	// Enter: the registers and flags from the context, then to Target.
	// enterVec does it with the vector registers, enterX87 with the x87 registers,
	// enterBoth with both.
	a.mark(&e.enterX87)
	a.call(&loadX87)
	a.jmp(&enter)
	a.mark(&e.enterBoth)
	a.call(&loadX87)
	a.mark(&e.enterVec)
	a.call(&loadVec)
	a.mark(&e.enter)
	a.here(&enter)
	a.load32(hRAX, gs(offEntryFlags))
	a.sahf()
	for _, r := range regs {
		a.load(r.h, slot(r.g))
	}
	a.jmpMem(gs(offTarget))

	// Exit: the registers and flags to the context, vector and x87 registers, if
	// they are the host's, to State, and back to Go.
	var common, fromFault, vectors, save, saveX87, back, far goLabel
	a.here(&common)
	a.popMem(gs(offSite))
	a.here(&fromFault)
	a.store(gs(host.OffStackTop), hRSP)
	a.pushf()
	a.popMem(gs(offFlags))
	for _, r := range regs {
		a.store(slot(r.g), r.h)
	}
	a.load32(s0, gs(offX87Dead))
	a.jrcxz(&far)
	a.here(&vectors)
	a.load32(s0, gs(offVecDead))
	a.jrcxz(&save)
	a.here(&back)
	a.jmpMem(gs(host.OffExit))
	a.here(&far)
	a.jmp(&saveX87)
	a.here(&save)
	a.load(s0, gs(offState))
	for i := range int8(16) {
		a.moveVec(e.hostAVX, true, i, based(s0, stateV+32*int32(i)))
	}
	a.stmxcsr(based(s0, stateMXCSR))
	a.ldmxcsr(gs(offHostMXCSR))
	if e.hostAVX {
		a.vzeroupper()
	}
	a.storeImm32(gs(offVecDead), 1)
	a.storeImm32(gs(offAVXDead), 1)
	a.jmp(&back)
	a.here(&saveX87)
	a.saveX87()
	a.jmp(&vectors)

	a.exits(e, &common)

	// Fault: where the signal handler goes on after a fault of translated code.
	a.mark(&e.fault)
	for i, s := range [...]int8{s0, s1, s2} {
		a.store(gs(offScratch+8*int32(i)), s)
	}
	a.storeImm32(gs(offReason), int32(reasonFault))
	a.jmp(&fromFault)

	// Resume: back to the instruction that faulted.
	a.mark(&e.afterFault)
	for i, s := range [...]int8{s0, s1, s2} {
		a.load(s, gs(offScratch+8*int32(i)))
	}
	a.jmpMem(gs(host.OffFaultRIP))

	// Load: the vector registers from State, if they may be used. A region with AVX
	// comes here, too, where they are the host's already but AVX may not be used.
	a.mark(&e.loadVec)
	a.here(&loadVec)
	var disabled, enabled, noAVX goLabel
	a.load32(s0, gs(offVecDead))
	a.jrcxz(&disabled)
	a.load32(s0, gs(offVecOK))
	a.jrcxz(&disabled)
	a.jmp(&enabled)
	a.here(&disabled)
	a.ret()
	a.here(&enabled)
	a.load(s1, gs(offState))
	a.ldmxcsr(based(s1, stateMXCSR))
	var clean, dirty, loaded goLabel
	if e.hostAVX {
		// A processor knows of upper halves that are zero, and code with SSE, which keeps
		// them, waits for those that are not (AMD's, for each register; Intel's, for all).
		// So they are loaded only if one is not zero.
		a.upperHalves()
		a.jrcxz(&clean)
		a.jmp(&dirty)
		a.here(&clean)
	}
	for i := range int8(16) {
		a.loadXMM(e.hostAVX, i, based(s1, stateV+32*int32(i)))
	}
	if e.hostAVX {
		a.jmp(&loaded)
		a.here(&dirty)
		for i := range int8(16) {
			a.moveVec(true, false, i, based(s1, stateV+32*int32(i)))
		}
		a.here(&loaded)
	}
	a.storeImm32(gs(offVecDead), 0)
	a.load32(s0, gs(offAVXOK))
	a.jrcxz(&noAVX)
	a.storeImm32(gs(offAVXDead), 0)
	a.here(&noAVX)
	a.ret()

	a.mark(&e.loadX87)
	a.here(&loadX87)
	a.restoreX87()
}

// exits writes the stubs that sites jump to, which go on at common with the reason
// noted.
func (a *stubAsm) exits(e *Engine, common *goLabel) {
	for k := range numSites {
		a.mark(&e.stubs[k])
		a.here(&a.out[k])
		if k == siteIndirect {
			a.store(gs(offIndirect), s1)
		}
		a.storeImm32(gs(offReason), int32(k))
		a.jmp(common)
	}
	// Second ways: where the first one of a jump cache has another target. The site's number is on the stack.
	for i := range e.secondWays {
		a.mark(&e.secondWays[i])
		a.here(&a.second[i])
		way := offJump + int32(i)*jumpEntries*16 + 16
		var pending, hit goLabel
		a.load(s0, gs(host.OffPollMask))
		a.jrcxz(&pending)
		a.load(s0, gsx(s2, way))
		a.lea(s0, mem{base: s0, index: s1})
		a.jrcxz(&hit)
		a.here(&pending)
		a.jmp(&a.out[siteIndirect])
		a.here(&hit)
		a.lea(hRSP, based(hRSP, 8))
		a.jmpMem(gsx(s2, way+8))
	}
	// Nowhere: what an invalid entry of a jump cache leads to.
	a.mark(&e.nowhere)
	a.pushImm(0)
	a.jmp(&a.out[siteIndirect])
}
