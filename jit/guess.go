package jit

// In which part of the window an access will be.
//
// A region is translated when it is about to run, so the registers that it begins with are known. What it
// loads into others is in the guest's memory already, at least as a rule: the pointers that it follows can be
// followed in advance. That tells about an access what it will be this time; nearly always it is the same the next time
// (Python's interpreter has its types in the low part and its objects in the high one, but nineteen of twenty accesses
// are in the part that the instruction has most to do with).
//
// A guess is only ever about speed: the test of a part is made whatever was guessed.

import (
	"math/bits"

	"hotblock/x86"
	"hotblock/x86/decode"
)

// A knownLoad is an origin that is what the instruction loaded that wrote it.
type knownLoad struct {
	origin int32
	at     value // its address
	looked bool
	ok     bool   // it could be read
	value  uint64 // what was there
}

// noteLoad notes what an instruction loads, if that may be a pointer, before step gives its register a
// new origin.
func (t *translator) noteLoad(g *ginst) {
	c, x := &t.co, &g.x
	if x.Op != opMov || x.Args[0].Kind != decode.GPR || x.Args[0].Size != 8 || x.Args[1].Kind != decode.Mem {
		return
	}
	r := t.refOf(g)
	if r.seg != 0 || r.bits != 64 {
		return
	}
	p := accessPlan{ref: r}
	origin := c.originOf(&p)
	c.loads = append(c.loads, knownLoad{origin: c.fresh, at: value{origin, p.disp}})
}

// guessPart says for which part of the window an access is to be tested, and, if that is for all of them, in which
// one it is likely to be.
func (t *translator) guessPart(p *accessPlan, origin int32) (part, like windowPart) {
	w := t.e.win
	seen := w.seen[codeKey{t.r.page, t.cur.off}] &^ wideIndex
	if bits.OnesCount8(seen) == 1 {
		return windowPart(bits.TrailingZeros8(seen)), anyPart
	}
	like, sure := t.partNow(p, origin)
	switch {
	case seen != 0: // in more than one
		return anyPart, like
	case sure:
		return like, anyPart
	case t.r.part != highPart || w.mixed > manyMixed:
		return anyPart, like
	case like != anyPart:
		return like, anyPart
	}
	return t.r.part, anyPart
}

// partNow is the part in which an access would be if the region ran now, or anyPart where that is not known. It is sure
// where registers tell, without memory.
func (t *translator) partNow(p *accessPlan, origin int32) (part windowPart, sure bool) {
	w := t.e.win
	if v, fromMemory, ok := t.originValue(origin); ok {
		if part, ok := w.partOf(v + uint64(p.disp)); ok {
			return part, !fromMemory
		}
	}
	if r := &p.ref; t.inLoop(t.index) && r.base < 16 && r.index == noGuest {
		// In a loop it is likely to be what it is now.
		v := t.e.cpu.R[r.base] + uint64(r.disp)
		if part, ok := w.partOf(v); ok && t.e.cpu.Present(v, false) {
			return part, true
		}
	}
	return anyPart, false
}

// originValue is the value that an origin has now, if the region is entered. fromMemory says that this depends on
// what is in memory.
func (t *translator) originValue(origin int32) (v uint64, fromMemory, ok bool) {
	cpu := t.e.cpu
	switch {
	case origin < rbaseOrigin:
		return cpu.R[origin], false, true
	case origin == rbaseOrigin:
		return t.va - uint64(t.r.goff), false, true
	case origin == fsOrigin || origin == gsOrigin:
		return cpu.R[x86.RSeg+x86.FS+origin-fsOrigin], false, true
	case origin == zeroOrigin:
		return 0, false, true
	}
	for i := range t.co.sums {
		if s := &t.co.sums[i]; s.origin == origin {
			b, m1, ok1 := t.originValue(s.base)
			x, m2, ok2 := t.originValue(s.index)
			return b + x<<s.scale, m1 || m2, ok1 && ok2
		}
	}
	for i := range t.co.loads {
		if l := &t.co.loads[i]; l.origin == origin {
			if !l.looked {
				l.looked = true
				if v, _, ok := t.originValue(l.at.origin); ok {
					l.value, l.ok = cpu.Peek(v + uint64(l.at.disp))
				}
			}
			return l.value, true, l.ok
		}
	}
	return 0, false, false
}
