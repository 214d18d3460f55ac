package jit

// The strategies that there are. The defaults call the code of the translator that
// they stand for (translate.go, coalesce.go); the others are here as a whole.

import (
	"hotblock/interp"
	"hotblock/jit/host"
)

func init() {
	backendAxis.register("direct", "copies instructions; registers and flags in those of the host",
		func(*Engine, *stubAsm) backend { return direct{} })

	regionAxis.register("extended", "straight line with side exits and inner loops, 64 instructions, of what has run",
		func(*Engine, *stubAsm) regionStrategy { return regions{maxRegion, acrossRun, true} })
	regionAxis.register("eager", "the same, whether it has run or is translated already",
		func(*Engine, *stubAsm) regionStrategy { return regions{maxRegion, acrossAll, true} })
	regionAxis.register("straight", "the same without inner loops",
		func(*Engine, *stubAsm) regionStrategy { return regions{maxRegion, acrossAll, false} })
	regionAxis.register("block", "one basic block",
		func(*Engine, *stubAsm) regionStrategy { return regions{maxRegion, acrossNone, false} })

	memoryAxis.register("tlb", "inline TLB, one check for neighbouring accesses",
		func(*Engine, *stubAsm) memoryStrategy { return inlineTLB{true} })
	memoryAxis.register("window", "host addresses for the guest's pages, a TLB for what is not there",
		func(e *Engine, a *stubAsm) memoryStrategy { return newWindowed(e, windowHeat) })
	memoryAxis.register("window-now", "the same from the first instruction on",
		func(e *Engine, a *stubAsm) memoryStrategy { return newWindowed(e, 0) })
	memoryAxis.register("tlb-single", "inline TLB, a check for each access",
		func(*Engine, *stubAsm) memoryStrategy { return inlineTLB{false} })
	memoryAxis.register("out-of-line", "calls a shared stub that looks into the TLB",
		func(_ *Engine, a *stubAsm) memoryStrategy { return newCalledTLB(a) })

	flagsAxis.register("dead", "only where they are read later",
		func(*Engine, *stubAsm) flagsStrategy { return deadFlags{} })
	flagsAxis.register("save", "everywhere: flags are exact in the frames of all faults",
		func(*Engine, *stubAsm) flagsStrategy { return savedFlags{} })

	indirectAxis.register("site", "each looks into the jump cache itself",
		func(*Engine, *stubAsm) indirectStrategy { return siteLookup{} })
	indirectAxis.register("shared", "a shared stub looks into the jump cache",
		func(_ *Engine, a *stubAsm) indirectStrategy { return newSharedLookup(a) })
	indirectAxis.register("exit", "leave translated code, always",
		func(*Engine, *stubAsm) indirectStrategy { return exitLookup{} })

	returnAxis.register("indirect", "as any indirect jump",
		func(*Engine, *stubAsm) returnStrategy { return indirectReturn{} })
	returnAxis.register("pair", "by CALL and RET of the host, checked",
		func(e *Engine, a *stubAsm) returnStrategy { return newPairedReturn(e, a) })
}

// direct is the translator of this package.
type direct struct{}

func (direct) stubs(e *Engine, a *stubAsm) { e.directStubs(a) }
func (direct) translate(e *Engine, b interp.Block, whole *region) *region {
	return e.translateDirect(b, whole)
}

// regions is a straight line up to some instructions.
type regions struct {
	max    int
	across across
	inner  bool // loops stay inside
}

// across says behind which conditional jumps that fall through a region goes on.
type across uint8

const (
	acrossNone across = iota
	acrossAll
	// acrossRun is for those that have fallen through, a quarter as often as makes code hot or more, to what is
	// not translated yet. A third of what lies behind jumps never runs, or is there already.
	acrossRun
)

func (s regions) limit() int  { return s.max }
func (s regions) loops() bool { return s.inner }

func (s regions) through(f follow) bool {
	if s.across == acrossRun {
		return f.entered >= max(1, f.threshold/4) && !f.translated
	}
	return s.across == acrossAll
}

// inlineTLB looks into the TLB before each access or, coalesced, each group of
// accesses.
type inlineTLB struct{ coalesced bool }

func (s inlineTLB) sharing(*translator) sharing {
	if s.coalesced {
		return sharePage
	}
	return shareNone
}

func (s inlineTLB) check(t *translator, c *check) mem { return t.inlineCheck(c) }

// calledTLB has one stub for each TLB's reads and one for its writes. It leaves the
// flags alone, so it is the same whether they are live or not.
type calledTLB struct {
	stub [interp.VariantTLB + 1][2]int32 // host offsets, by index of the TLB, and of reads and writes
}

// newCalledTLB writes the stubs. They take the address in s1 and the span less one
// in s0. They leave the addend in s2, and zero in s0 if the span is in the TLB.
func newCalledTLB(a *stubAsm) *calledTLB {
	s := &calledTLB{}
	for i := range s.stub {
		l := interp.TLB(interp.Variant(i))
		for w, at := range [2][2]uintptr{{l.ReadTag, l.ReadAdd}, {l.WriteTag, l.WriteAdd}} {
			a.mark(&s.stub[i][w])
			index := func() {
				a.rorx(s2, s1, 12)
				a.movzx16(s2, s2)
			}
			a.lea(s0, mem{base: s0, index: s1})
			index()
			a.load(s2, gsx(s2, int32(at[0])))
			a.lea(s0, mem{base: s0, index: s2})
			a.pext(s0, s0, gs(offPageMask))
			index()
			a.load(s2, gsx(s2, int32(at[1])))
			a.ret()
		}
	}
	return s
}

func (s *calledTLB) sharing(*translator) sharing { return sharePage }

func (s *calledTLB) check(t *translator, c *check) mem {
	low := c.ref
	low.disp += int64(c.before)
	id := t.missSite(c, low)
	t.address(low)
	t.movImm32(s0, c.span-1)
	w := 0
	if c.write {
		w = 1
	}
	t.callTo(s.stub[t.v&interp.VariantTLB][w])
	hit := t.jrcxz()
	t.miss(t.jmp(), id)
	t.here(hit)
	if t.simpleRef(&c.ref) {
		// s1 is free for the instruction.
		return mem{base: t.home[c.ref.base], index: s2, disp: int32(c.ref.disp)}
	}
	return mem{base: s1, index: s2, disp: -c.before}
}

// deadFlags keeps what is read.
type deadFlags struct{}

func (deadFlags) liveness(t *translator) { t.liveness() }

// savedFlags keeps all status flags everywhere, but for POPF, and SYSCALL, SYSRET and IRET, which
// replace them.
type savedFlags struct{}

func (savedFlags) liveness(t *translator) {
	t.liveness()
	for i := range t.n {
		if g := &t.insts[i]; !endsRegion(&g.x) && g.x.Op != opPopf {
			g.live = arith
		}
	}
}

// siteLookup has the lookup in the code of each indirect jump, so that the host
// predicts each by itself.
type siteLookup struct{}

func (siteLookup) lookup(t *translator, id uint32) { t.jumpLookup(id) }

// exitLookup has the engine do it.
type exitLookup struct{}

func (exitLookup) lookup(t *translator, id uint32) { t.leave(id, siteIndirect) }

// sharedLookup has a stub for each jump cache. The site's number is on the stack.
type sharedLookup struct{ stub [jumpCaches]int32 }

func newSharedLookup(a *stubAsm) *sharedLookup {
	s := &sharedLookup{}
	for i := range s.stub {
		a.mark(&s.stub[i])
		cache := offJump + int32(i)*jumpEntries*16
		a.pdep(s2, s1, gs(host.OffPollMask))
		a.load(s0, gsx(s2, cache))
		a.lea(s0, mem{base: s0, index: s1})
		var hit goLabel
		a.jrcxz(&hit)
		a.jmp(&a.second[i])
		a.here(&hit)
		a.lea(hRSP, based(hRSP, 8))
		a.jmpMem(gsx(s2, cache+8))
	}
	return s
}

func (s *sharedLookup) lookup(t *translator, id uint32) {
	t.byte(0x68) // push imm32
	t.imm32(int32(id))
	t.jumpTo(t.jmp(), s.stub[jumpIndex(t.v)])
}

// indirectReturn looks into the jump cache.
type indirectReturn struct{}

func (indirectReturn) ret(t *translator, undo int8) { t.indirect(undo) }

func (indirectReturn) call(t *translator, to callTarget, next uint32) {
	if !to.indirect {
		t.exit(to.goff)
		return
	}
	if to.inTmp {
		t.load(s1, gs(offTmp))
	}
	t.indirectOrSteady(int8(t.word()), to.steady)
}
