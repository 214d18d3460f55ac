package jit

// Code out of the way of a region's instructions: in another part of the code cache, so that
// what runs often lies close together.
//
// What leaves the region at a site, most of it, is a line of a list (exitPart); it is
// written when all else has been. What does more is a function in translator.cold.

import "hotblock/x86/decode"

// An exitPart is an exit at a site, where a displacement in the region's code is to
// lead.
type exitPart struct {
	at    int32 // of the displacement
	id    uint32
	kind  siteKind
	store *storeCheck // of a miss by a store
	out   bool        // the region's swaps are not in force there
}

// leaveFrom makes the displacement at at lead to an exit at a site. At an edge the
// region's swaps have been undone.
func (t *translator) leaveFrom(at int, id uint32, kind siteKind) {
	t.exits = append(t.exits, exitPart{at: int32(at), id: id, kind: kind, out: !t.swapped})
}

// miss makes the displacement at at, of a jump that is taken where a check fails,
// lead to its site.
func (t *translator) miss(at int, id uint32) {
	t.exits = append(t.exits, exitPart{int32(at), id, siteMiss, t.storing, !t.swapped})
}

// writeCold writes all of it.
func (t *translator) writeCold() {
	t.late = true
	for i := 0; i < len(t.warm); i++ {
		t.warm[i]()
	}
	t.coldAt = t.pos()
	t.gap = t.r.cold - t.r.host - int32(t.pos())
	for i := 0; i < len(t.cold); i++ {
		t.cold[i]()
	}
	swapped := t.swapped
	for i := range t.exits {
		p := &t.exits[i]
		t.patchRel32(int(p.at), t.pos())
		t.swapped = swapped && !p.out
		switch p.kind {
		case siteEdge:
			t.e.sites.at(p.id).stub = t.hostAt(t.pos())
			t.swapped = false
		case siteMiss:
			t.e.sites.at(p.id).stub = t.hostAt(t.pos())
			if p.store != nil {
				t.storeToCode(p.store)
			}
		}
		t.leave(p.id, p.kind)
	}
	t.swapped = swapped
}

// A nearExit is a jump with a displacement of one byte, which is at at, that leads to a jump
// that leads to the exit: there is no conditional jump but JRCXZ that needs no flags.
type nearExit struct {
	at   int
	id   uint32
	kind siteKind
	out  bool // as of exitPart
}

// nearReach is how far behind a nearExit the next instruction may begin.
const nearReach = 127 - 50

// leaveIfZero leaves at a site where s0 is zero.
func (t *translator) leaveIfZero(id uint32, kind siteKind) {
	if t.noNear || t.swapped && t.cur.x.Op == opCall {
		zero := t.jrcxz()
		t.byte(0xeb, 5) // jmp
		t.here(zero)
		t.leaveFrom(t.jmp(), id, kind)
		return
	}
	t.near = append(t.near, nearExit{t.jrcxz(), id, kind, !t.swapped})
}

// island writes the jumps of nearExits, where control does not come by.
func (t *translator) island() {
	for _, p := range t.near {
		n := t.pos() - p.at - 1
		if n > 127 {
			t.tooFar = true
			break
		}
		t.b[p.at] = byte(n)
		t.leaveFrom(t.jmp(), p.id, p.kind)
		t.exits[len(t.exits)-1].out = p.out
	}
	t.near = t.near[:0]
}

// nearRoom writes an island in front of an instruction if it could not be behind it.
func (t *translator) nearRoom(g *ginst) {
	if len(t.near) == 0 || t.pos()+5*len(t.near) < t.near[0].at+nearReach && !g.varies && (g.e.Class == decode.ClassPlain || g.e.Class == decode.ClassStack || g.e.Class == decode.ClassBranch) {
		return
	}
	t.byte(0xeb, 0) // jmp
	over := t.pos() - 1
	t.island()
	t.here(over)
}

// behind has code written behind the region's instructions: what is not rare, but not on
// the straight way.
func (t *translator) behind(f func()) {
	if t.coldAt != 0 {
		t.cold = append(t.cold, f)
	} else {
		t.warm = append(t.warm, f)
	}
}

// newStoreCheck is a storeCheck until the region is done.
func (t *translator) newStoreCheck() *storeCheck {
	if t.stored == len(t.stores) {
		t.stores = append(t.stores, new(storeCheck))
	}
	t.stored++
	return t.stores[t.stored-1]
}

// A coldMark is a state of what is to be written behind the region.
type coldMark struct{ pos, warm, cold, exits, fixes, near int }

// mark is where the region's code ends now.
func (t *translator) mark() (m coldMark) {
	t.markTo(&m)
	return m
}

// markTo is mark for who has a place for it.
func (t *translator) markTo(m *coldMark) {
	m.pos, m.warm, m.cold, m.exits, m.fixes, m.near = t.pos(), len(t.warm), len(t.cold), len(t.exits), len(t.fixes), len(t.near)
}

// backTo forgets all code since a mark.
func (t *translator) backTo(m coldMark) {
	t.coldAt, t.warm, t.near = 0, t.warm[:m.warm], t.near[:m.near]
	t.b, t.cold, t.exits, t.fixes = t.b[:m.pos], t.cold[:m.cold], t.exits[:m.exits], t.fixes[:m.fixes]
}
