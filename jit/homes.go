package jit

// Where guest registers are while a region runs.
//
// Four guest registers have no host register of their own (inst.go). A region that
// uses them often, in a loop above all, gives them the host registers of guest
// registers that it does not use: on entering, the victim is put aside in the context
// and the guest's register loaded; wherever the region is left they change back. So
// everything outside of regions sees one convention.

import (
	"math/bits"

	"hotblock/x86"
	"hotblock/x86/decode"
)

// A swap gives guest register g the host register of victim v.
type swap struct {
	g, v    uint8
	host    int8
	written bool // by the region
}

const maxSwaps = 4

// How often a register must be named in a region to be worth a host register, where
// a name in a loop counts for several.
const (
	swapFrom   = 6
	loopWeight = 8
)

// assignHomes decides where the region's registers are.
func (t *translator) assignHomes() {
	t.home = home
	t.homeless = homeless
	t.swaps = t.swaps[:0]
	if !t.wide || t.regs&homeless == 0 {
		return
	}
	var used uint32
	var uses [16]int
	var written uint32
	for i := range t.n {
		g := &t.insts[i]
		switch g.e.Class {
		case decode.ClassPlain, decode.ClassBranch, decode.ClassStack:
		default:
			return // those know the registers by number
		}
		if g.e.BitString {
			return
		}
		weight := 1
		if t.inLoop(i) {
			weight = loopWeight
		}
		regs := g.e.GPRRead | g.e.GPRWritten | g.addr
		for in := regs & homeless; in != 0; in &= in - 1 {
			uses[bits.TrailingZeros32(in)] += weight
		}
		used |= g.regs
		written |= g.e.GPRWritten
	}
	victims := used | 1<<x86.RSP
	for len(t.swaps) < maxSwaps {
		best := -1
		for r := range 16 {
			if t.home[r] == noReg && uses[r] >= swapFrom && (best < 0 || uses[r] > uses[best]) {
				best = r
			}
		}
		if best < 0 {
			return
		}
		v := -1
		for r := range 16 {
			if home[r] != noReg && victims>>r&1 == 0 {
				v = r
				break
			}
		}
		if v < 0 {
			return
		}
		victims |= 1 << v
		s := swap{uint8(best), uint8(v), home[v], written>>best&1 != 0}
		t.swaps = append(t.swaps, s)
		t.home[best] = s.host
		t.home[v] = noReg
		t.homeless = t.homeless&^(1<<best) | 1<<v
	}
}

// cutAtLoop makes the region end behind its first loop, if registers of the loop can have
// host registers for it that the rest uses. It reports whether it did.
func (t *translator) cutAtLoop() bool {
	n := t.firstLoop()
	if n == 0 || n >= t.n {
		return false
	}
	var inLoop, used uint32
	for i := range n {
		g := &t.insts[i]
		regs := g.regs
		used |= regs
		if i >= t.loopLo {
			inLoop |= regs
		}
	}
	for _, s := range t.swaps {
		used |= 1 << s.v
	}
	if inLoop&t.homeless&^(1<<x86.RSP) == 0 || used|homeless|1<<x86.RSP == 0xffff {
		return false
	}
	t.n, t.cut, t.ends, t.next = n, n, false, t.insts[n].off
	return true
}

// swapIn brings the registers where the region has them.
func (t *translator) swapIn() {
	for i, s := range t.swaps {
		t.store(gs(offSpill+8*int32(i)), s.host)
		t.load(s.host, slot(s.g))
	}
}

// swapOut brings them back where everybody else has them.
func (t *translator) swapOut() {
	for i, s := range t.swaps {
		if s.written {
			t.store(slot(s.g), s.host)
		}
		t.load(s.host, gs(offSpill+8*int32(i)))
	}
}

// A register without a host register is loaded into a scratch register around the
// instruction that names it. While that holds it, the next one need not load it again.

// scratchHeld says which guest registers, or ripBase, are in s0 and s1, or noGuest. Or s1 has the
// sum of a guest register and a delta of the window: where on the host that points.
type scratchHeld struct {
	g     [2]uint8
	host  uint8 // the register in the sum in s1, or noGuest
	delta int16 // and the delta, as coalescer.inS2
}

var nothingHeld = scratchHeld{g: [2]uint8{noGuest, noGuest}, host: noGuest}

// hold notes that scratch register s holds guest register g, or noGuest.
func (t *translator) hold(s int8, g uint8) {
	switch s {
	case s0:
		t.held.g[0] = g
	case s1:
		t.held.g[1], t.held.host = g, noGuest
	}
}

// holds reports whether scratch register s holds guest register g.
func (t *translator) holds(s int8, g uint8) bool {
	return s == s0 && t.held.g[0] == g || s == s1 && t.held.g[1] == g
}

// wrote forgets what was made of the registers that an instruction has written.
func (t *translator) wrote(set uint32) {
	if h := t.held.host; h != noGuest && set>>h&1 != 0 {
		t.held.host = noGuest
	}
}

// keepsScratch reports whether the translation of an instruction keeps track of what the
// scratch registers hold.
func (t *translator) keepsScratch(g *ginst) bool {
	switch {
	case g.e.Class == decode.ClassBranch:
		return g.jcc
	case g.e.Class != decode.ClassPlain || g.x.Op == opLea || g.e.BitString || g.e.X87 || g.x.Op == opLdmxcsr || g.x.Op == opVldmxcsr:
		return false
	}
	return g.e.Mem == decode.AccessNone || t.skips(&g.x) || t.co.rule == shareWindow
}

// unswap does in the context what swapOut does, after a fault.
func (e *Engine) unswap(r *region) {
	x := &e.sh.context
	for i, s := range r.swaps {
		x.R[s.g] = x.R[s.v]
		x.R[s.v] = x.Spill[i]
	}
}
