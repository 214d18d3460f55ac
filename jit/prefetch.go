package jit

// Prefetches.
//
// A prefetch changes nothing that a program can see, and faults nowhere. But programs that walk through tables
// which no cache holds wait for memory most of the time, and prefetches let them wait for many
// places at once: zstd takes a third of the time with them. So they are the host's, at the host address that the
// access would have if all went well. Nothing is tested: at a wrong address they fetch what nobody
// asked for, or nothing.
//
// The system's code does without: its prefetches of what it reads next are worth less than
// the lookup.

import (
	"hotblock/interp"
	"hotblock/x86/decode"
)

// prefetch translates PREFETCHh, PREFETCHW and PREFETCH.
func (t *translator) prefetch(g *ginst) {
	c, r := &t.co, t.onHost(t.refOf(g))
	if t.v&interp.VariantUser == 0 || !t.wide || r.bits != 64 || r.seg != 0 || r.disp != int64(int32(r.disp)) || g.x.Map != 1 {
		return
	}
	va, m := s1, mem{base: s1, index: s2}
	switch {
	case c.rule != shareWindow:
		t.address(r)
		t.held = nothingHeld
	case r.index == noGuest && r.base < 16:
		va = t.heldBase(r.base)
		m.base, m.disp = va, int32(r.disp)
	case r.base == ripBase || r.base == noGuest && r.index == noGuest:
		t.address(r)
		t.hold(s1, noGuest)
	default:
		t.heldAddress(&r)
	}
	switch {
	case c.rule == shareWindow && t.r.part == highPart:
		if c.inS2 != deltaInS2(highPart) {
			t.load(s2, delta(highPart))
			c.inS2 = deltaInS2(highPart)
		}
	case c.rule == shareWindow:
		t.testPart(&accessGroup{windowGroup: windowGroup{part: anyPart}}, va, true, &r)
		c.inS2 = -1
	default:
		t.rorx(s2, va, 12)
		t.movzx16(s2, s2)
		t.load(s2, gsx(s2, int32(interp.TLB(t.v&interp.VariantTLB).ReadAdd)))
		c.inS2 = -1
	}
	t.opMem(0, true, g.x.Opcode, int8(g.x.ModRM>>3&7), m)
}

// isPrefetch reports whether prefetch is for an instruction.
func isPrefetch(g *ginst) bool {
	return g.e.Class == decode.ClassPlain && g.e.Mem == decode.AccessAddress && g.x.Op != opLea && g.x.Op != opNop
}
