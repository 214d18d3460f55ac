package jit

// Returns by the host's CALL and RET.
//
// A processor predicts where a RET goes by a stack of its own of the calls before
// it. An indirect jump through a table has no use of that, and a program that
// calls the same function from many places waits for every other return.
//
// So a call of the guest calls on the host as well, on the native stack:
//
//	not s0; push s0        s0 is the guest's return address
//	call callee            an edge, or the code that finds the target
//	pop s0                 back: s1 is where the guest returns to
//	lea s0, [s0+s1+1]      zero if that is here
//	jrcxz here
//	jmp s2                 it is not: s2 is where the return looks for it
//	here: jmp region       what follows the call
//
// Where the return address is a constant (placed.go) nothing is pushed beside it: in place of
// NOT, PUSH and POP the way back loads the negative of the constant. The code that a frame's address
// leads to takes from the stack what belongs to that frame, so both kinds may lie on it.
//
// and a return of the guest is
//
//	lea s2, [lookup]
//	ret
//
// with the lookup of any indirect jump out of the way. What is on the native stack
// is a guess and nothing more: the guest's return address is always read from the
// guest's stack and compared. Guests switch stacks, drop frames and return where no
// call was; then a return finds the wrong frame, and looks up where to go.
//
// The native stack stays as it is while the engine is at work. There are two, for
// programs and for the system, so that neither sees frames of the other: code on
// either side of SYSCALL, SYSRET and IRET changes between them (switchStack). A
// frame holds for a linear address, so the mapping of code must be what it was: a
// stack is emptied where a new generation of the mapping starts (maps.go), and when
// the code cache is flushed. At its bottom is the address of a stub that goes
// to the lookup. When it is full it is emptied: the signal handler does that when
// a push faults (host.Frame).
//
// A frame has 8 or 16 bytes and what is pushed otherwise is popped again soon, two
// words at most, so that it is always a frame that does not fit any more, or a single word.
//
// A loop that has calls and returns only polls at its calls: in each cycle there is
// a call to a lower address, or a return that was not predicted, as every return
// to a lower address comes after a call from there.

import "hotblock/interp"

// pairedReturn is described above.
type pairedReturn struct{ indirectReturn }

// pairs reports whether calls and returns are paired where the translator is. With
// SMAP code that runs with it lifted is left out: it shares the stack with
// code that does not.
func (t *translator) pairs() bool {
	if !t.wide {
		return false
	}
	switch t.v & interp.VariantTLB {
	case interp.TLBUser, interp.TLBSupervisor:
		return true
	}
	return !t.e.cpu.Model.Has("smap")
}

func (p pairedReturn) ret(t *translator, undo int8) {
	if !t.pairs() {
		p.indirectReturn.ret(t, undo)
		return
	}
	if t.swapped {
		t.swapOut()
	}
	t.byte(0x4c, 0x8d, 0x15) // lea s2, [rip+]
	t.imm32(0)
	at := t.pos() - 4
	t.byte(0xc3) // ret
	t.aside(at, func() { t.indirect(undo) })
}

func (p pairedReturn) call(t *translator, to callTarget, next uint32) {
	if !t.pairs() {
		p.indirectReturn.call(t, to, next)
		return
	}
	if !t.r.placed {
		t.byte(0x48, 0xf7, 0xd1) // not s0
		t.byte(0x51)             // push s0
	}
	if to.inTmp {
		t.load(s1, gs(offTmp))
	}
	if t.swapped {
		t.swapOut()
	}
	t.byte(0xe8) // call
	t.imm32(0)
	at := t.pos() - 4
	if to.indirect {
		w := int8(t.word())
		t.behind(t.wayTo(at, func() { t.indirectOrSteady(w, to.steady) }))
	} else {
		t.edge(at, to.goff)
	}
	t.outside(func() {
		if t.r.placed {
			t.minusLinear(s0, next)
			t.lea(s0, mem{base: s0, index: s1})
		} else {
			t.byte(0x59) // pop s0
			t.lea(s0, mem{base: s0, index: s1, disp: 1})
		}
		here := t.jrcxz()
		t.byte(0x41, 0xff, 0xe2) // jmp s2
		t.here(here)
		if next >= t.granule() && !t.r.placed {
			t.indirect(0) // what lies there depends on more than where this page is
			return
		}
		id := t.newSite(site{kind: siteIndirect, goff: next, back: true})
		at := t.jmp()
		t.e.sites.at(id).retry = t.hostAt(at)
		t.aside(at, func() {
			t.e.sites.at(id).stub = t.hostAt(t.pos())
			t.leave(id, siteIndirect)
		})
	})
}

// aside writes code out of the way, for a displacement at at to lead to. The
// region's swaps have been undone there.
func (t *translator) aside(at int, f func()) { t.cold = append(t.cold, t.wayTo(at, f)) }

// wayTo is f for later, with the translator as it is now but for the region's swaps, which have
// been undone. The displacement at at will lead to what f writes.
func (t *translator) wayTo(at int, f func()) func() {
	cur, v := t.cur, t.v
	return func() {
		t.patchRel32(at, t.pos())
		t.cur, t.v = cur, v
		t.outside(f)
	}
}

// linkBack makes the way back from a call lead directly to a region.
func (e *Engine) linkBack(id uint32, r *region) {
	s := e.sites.at(id)
	if o := e.owner(s); o.dead || s.variant != r.variant || o.page != r.page && !o.placed {
		return
	}
	e.patch(s.retry, r.indirect)
	e.linked(id, r)
}

// switchStack changes to the stack of code of another kind. It changes s0.
func (t *translator) switchStack(to interp.Variant) {
	if kind(to) == kind(t.v) {
		return
	}
	t.mov(s0, hRSP)
	t.load(hRSP, gs(offOtherStack))
	t.store(gs(offOtherStack), s0)
	t.storeImm32(gs(offStackKind), int32(kind(to)))
}

// useStack sees to it that code of a variant is entered on its stack.
func (e *Engine) useStack(v interp.Variant) {
	x := &e.sh.context
	if k := uint32(kind(v)); k != x.StackKind {
		x.StackTop, x.OtherStack = x.OtherStack, x.StackTop
		x.StackKind = k
	}
}

// emptyStack forgets the calls of one kind of code.
func (e *Engine) emptyStack(kind int) {
	x := &e.sh.context
	if uint32(kind) == x.StackKind {
		x.StackTop = x.Stacks[kind]
	} else {
		x.OtherStack = x.Stacks[kind]
	}
}

// newPairedReturn writes the stub that a return comes to which finds no call.
func newPairedReturn(e *Engine, a *stubAsm) pairedReturn {
	var at int32
	a.mark(&at)
	a.lea(hRSP, based(hRSP, -8)) // the bottom stays
	a.byte(0x41, 0xff, 0xe2)     // jmp s2
	a.then(func() { e.sh.SetBottoms(e.arena.Base + uintptr(at)) })
	return pairedReturn{}
}
