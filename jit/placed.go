package jit

// Code that is made for a place.
//
// Most code can run wherever its page is mapped (translate.go). That costs: return
// addresses and RIP-relative operands begin with a load of RBase, every way to another page
// compares generations (maps.go). A program that has been promoted is translated anew in any
// case, and nobody but the owner of the window runs that code. So it is placed: made
// for the linear address that its page has now. Linear addresses are constants in it, a jump
// to another page is a plain jump, and a jump through a variable at a constant address, as in
// the procedure linkage table, compares its target with the one that it had last.
//
// Such a jump is right while the page it leads to stays where it was. The engine keeps the
// pages for which that matters (place), and looks at them when their translations are flushed: at all of them
// whenever a new generation of the program's mapping starts, and the window is open. What leads to a page
// that has gone is taken back to the engine.
//
// When a region is to be entered at another address, because the page is mapped twice, or
// by another program that now has the window, it moves: all constants are changed,
// and all ways in and out taken back.

import (
	"encoding/binary"

	"hotblock/interp"
	"hotblock/jit/host"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// movableFrom is the lowest address at which a region is made that can move. Below,
// constants are shorter.
const movableFrom = 1 << 32

// A place is a page of a program, at a linear address, that placed code relies on.
type place struct {
	page     *interp.CodePage
	targets  []*region // that are entered from other pages
	crossing []*region // with an instruction that continues in the page
}

// linear loads the linear address of a guest offset.
func (t *translator) linear(d int8, goff int32) {
	if t.r.placed {
		t.placedConstant(d, t.r.base+uint64(int64(goff)), 1)
		return
	}
	t.load(d, gs(offRBase))
	if goff != 0 {
		t.leaRIP(d, d, goff)
	}
}

// minusLinear loads the negative of a linear address in placed code.
func (t *translator) minusLinear(d int8, goff uint32) {
	t.placedConstant(d, -(t.r.base + uint64(int64(int32(goff)))), -1)
}

func (t *translator) placedConstant(d int8, v uint64, sign int32) {
	if t.r.base < movableFrom {
		t.constant(d, v)
		return
	}
	t.byte(0x48|byte(d)>>3&1, 0xb8|byte(d&7)) // mov
	t.fixes = append(t.fixes, sign*t.hostAt(t.pos()))
	t.imm64(v)
}

// placedRef makes a reference relative to RIP one to an absolute address, where that is
// as short.
func (t *translator) placedRef(r *ref) {
	if a := t.r.base + uint64(r.disp); t.r.placed && t.r.base < movableFrom && a < 1<<31 {
		r.base, r.disp = noGuest, int64(a)
	}
}

// isSteady reports whether the target of a jump or call is in memory at an address that is
// the same each time, so that its target is likely to be, too.
func (t *translator) isSteady(g *ginst) bool {
	x := &g.x
	if _, ok := t.e.use.indirect.(siteLookup); !ok {
		return false // it is not for the others to have
	}
	return t.r.placed && x.Args[0].Kind == decode.Mem && x.Seg < x86.FS && (x.Base == ripBase || x.Base == noGuest) && x.Index == noGuest
}

// Where things are in what steady writes: from the constant, and from the stub.
const (
	steadyMiss   = 8 + 4 + 2 + 1 // displacement of the jump that is taken where the target is another
	steadyDown   = 10            // what polls before it goes to the target
	steadyDownTo = steadyDown + 8 + 2 + 5 + 1
	steadyLookup = steadyDown + 8 + 2 + 5 + 5
)

// steady is indirect for a jump that goes where it went before: it compares the
// address in s1 with that.
func (t *translator) steady(undo int8) {
	if t.swapped {
		t.swapOut()
	}
	id := t.newSite(site{kind: siteIndirect, undo: undo, goff: t.goff + t.cur.off, steady: true})
	t.byte(0x48, 0xb8|byte(s0&7)) // mov s0, imm64
	gen := t.pos()
	t.imm64(0)
	t.lea(s0, mem{base: s0, index: s1})
	same := t.jrcxz()
	miss := t.jmp()
	t.here(same)
	hit := t.jmp()
	if miss != gen+steadyMiss {
		panic("jit: steady jump")
	}
	s := t.e.sites.at(id)
	s.gen, s.retry = t.hostAt(gen), t.hostAt(hit)
	t.aside(hit, func() {
		at := t.pos()
		t.patchRel32(miss, at)
		t.e.sites.at(id).stub = t.hostAt(at)
		t.leave(id, siteIndirect)
		t.load32(s0, gs(host.OffPending))
		ok := t.jrcxz()
		t.patchRel32(t.jmp(), at)
		t.here(ok)
		t.patchRel32(t.jmp(), at)
		if t.pos() != at+steadyLookup {
			panic("jit: steady jump")
		}
		t.e.use.indirect.lookup(t, id)
	})
}

// indirectOrSteady is one of these.
func (t *translator) indirectOrSteady(undo int8, steady bool) {
	if steady {
		t.steady(undo)
	} else {
		t.indirect(undo)
	}
}

// linkSteady makes a steady jump lead to a region, which is at va.
func (e *Engine) linkSteady(id uint32, r *region, va uint64) {
	s := e.sites.at(id)
	o := e.owner(s)
	if o.dead || !r.placed {
		return
	}
	hit := s.gen + steadyMiss + 4 + 1
	e.unlink(id)
	binary.LittleEndian.PutUint64(e.arena.Write[s.gen:], -va)
	s.retry = hit
	if va <= o.base+uint64(s.goff) {
		e.patch(hit, s.stub+steadyDown)
		s.retry = s.stub + steadyDownTo
	}
	e.patch(s.retry, r.direct)
	e.patch(s.gen+steadyMiss, s.stub+steadyLookup)
	e.linked(id, r)
}

// linked notes that a site leads to a region.
func (e *Engine) linked(id uint32, r *region) {
	s := e.sites.at(id)
	s.linked = uint32(r.entry)
	r.in = append(r.in, id)
	e.stats.Links++
	if o := e.owner(s); r.placed && !r.far && o.pageAddress() != r.pageAddress() {
		r.far = true
		p := e.placeAt(r.pageAddress(), r.page)
		p.targets = append(compact(p.targets), r)
	}
}

// unlink takes a site back to the engine.
func (e *Engine) unlink(id uint32) {
	s := e.sites.at(id)
	if s.linked == 0 {
		return
	}
	e.patch(s.retry, s.stub)
	if s.gen != 0 && !s.steady {
		e.putGen(s, neverGen)
	}
	s.linked = 0
}

// pageAddress is the linear address of a placed region's page.
func (r *region) pageAddress() uint64 { return r.base + uint64(r.goff-r.off) }

// placeAt is the place of a page that is mapped at va.
func (e *Engine) placeAt(va uint64, page *interp.CodePage) *place {
	p := e.places[va]
	if p != nil && p.page != page {
		e.vacate(va, p)
		p = nil
	}
	if p == nil {
		p = &place{page: page}
		e.places[va] = p
	}
	return p
}

// compact forgets the regions that are dead, now and then.
func compact(list []*region) []*region {
	if n := len(list); n < 16 || n&(n-1) != 0 {
		return list
	}
	k := 0
	for _, r := range list {
		if !r.dead {
			list[k] = r
			k++
		}
	}
	clear(list[k:])
	return list[:k]
}

// continues notes that a placed region has an instruction that continues in the next page.
func (e *Engine) continues(r *region) {
	p := e.placeAt(r.pageAddress()+pageSize, r.page2)
	p.crossing = append(compact(p.crossing), r)
}

// vacate takes back what relies on a page that is not at va any more.
func (e *Engine) vacate(va uint64, p *place) {
	delete(e.places, va)
	for _, r := range p.targets {
		if r.dead {
			continue
		}
		r.far = false
		k := 0
		for _, id := range r.in {
			s := e.sites.at(id)
			if o := e.owner(s); s.linked == uint32(r.entry) && (o.dead || o.pageAddress() != r.pageAddress()) {
				e.unlink(id)
			}
			if s.linked == uint32(r.entry) {
				r.in[k] = id
				k++
			}
		}
		r.in = r.in[:k]
	}
	for _, r := range p.crossing {
		e.remake(r)
	}
}

// checkPlaces looks whether the pages that placed code relies on are where they were, if that code
// may run and a new generation of the mapping has started since.
func (e *Engine) checkPlaces() {
	gen := e.sh.MapGen[0]
	if e.win == nil || !e.win.open || gen == e.placesGen {
		return
	}
	e.placesGen = gen
	for va := range e.places {
		e.checkPlace(va)
	}
}

// checkPlace looks whether the page that placed code relies on at va, if there is one, is there.
func (e *Engine) checkPlace(va uint64) {
	if p := e.places[va]; p != nil && !e.cpu.MapsProgram(va, p.page) {
		e.vacate(va, p)
	}
}

// misplaced reports whether a region cannot run where the CPU is about to enter it. It
// moves if it can; else it dies.
func (e *Engine) misplaced(r *region) bool {
	if r.dead {
		return true
	}
	if !r.placed {
		return false
	}
	if r.base == e.cpu.RIP-uint64(r.goff) {
		if p, ok := e.win.partOf(r.base); !r.windowed || ok && p == r.part {
			return false
		}
	}
	if e.move(r, e.cpu.RIP-uint64(r.goff)) {
		return false
	}
	if r.owner == e.win.promoted {
		e.kill(r) // a page that is mapped twice: it may come again and again
	} else {
		e.remake(r)
	}
	return true
}

// move makes a placed region that of another linear address. It reports whether it did.
func (e *Engine) move(r *region, base uint64) bool {
	part, ok := e.win.partOf(base)
	if !ok || part != r.part || r.base < movableFrom || base < movableFrom || r.page2 != nil {
		return false
	}
	if r.split != nil && !e.move(r.split, base) {
		return false
	}
	e.detach(r)
	r.far = false
	for id := r.firstSite; id < r.endSite; id++ {
		s := e.sites.at(id)
		e.unlink(id)
		if s.steady && e.owner(s) == r {
			e.patch(s.gen+steadyMiss, s.stub) // to find its target anew
		}
	}
	for _, at := range r.fixes {
		d := base - r.base
		if at < 0 {
			at, d = -at, -d
		}
		b := e.arena.Write[at:]
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+d)
	}
	r.base, r.owner = base, e.win.promoted
	e.stats.Moved++
	return true
}
