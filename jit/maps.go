package jit

// Code that depends on where pages are mapped.
//
// A direct jump to another granule, and an instruction that continues on the next
// page, hold only as long as that granule or page is mapped where it was. The
// context has generations, MapGen, one for programs and one for the system, which change whenever that may have changed
// for a page that such code has relied on. The code compares the generation, and
// RBase, as the same code may be mapped twice, with what they were when it was last
// checked. When they differ it goes by the jump cache, which is keyed by linear
// address, or asks the engine, which checks again and writes the new numbers into
// the code. Both are one number: the generation is in the 16 bits that a canonical
// address does not need.

import (
	"encoding/binary"

	"hotblock/interp"
	"hotblock/x86/decode"
)

// crossing decodes the instruction at off, which continues on the next page. It
// reports false where that is not to be translated.
func (t *translator) crossing(b interp.Block, off uint32, mode decode.Mode, x *decode.Inst) bool {
	va := b.VA&^(pageSize-1) + pageSize
	if va == 0 || va == 1<<47 || !t.wide && va == 1<<32 {
		return false // around the end, or out of the canonical half: the fetch faults
	}
	p := t.e.cpu.CodePageAt(va)
	if p == nil {
		return false
	}
	var buf [2 * decode.MaxLen]byte
	n := copy(buf[:], b.Page.Bytes()[off:])
	n += copy(buf[n:n+decode.MaxLen], p.Bytes())
	if decode.Decode(buf[:n], mode, x) != nil {
		return false
	}
	t.r.page2 = p
	return true
}

// guard writes the check that the next page is where it was.
func (t *translator) guard(g *ginst) {
	if t.r.placed {
		return // it is known to be: continues
	}
	if t.v&interp.VariantLarge != 0 {
		return // the same page of the guest, and so the next page of memory
	}
	t.co.inS2 = -1
	id := t.newSite(site{kind: siteCross, goff: t.goff + g.off, retry: t.hostAt(t.pos())})
	gen, same := t.sameMap()
	t.e.sites.at(id).gen = gen
	t.leaveFrom(t.jmp(), id, siteCross)
	t.here(same)
}

// sameMap loads RBase into s1 and compares its sum with MapGen with a number in the
// code, without changing flags. It returns the host offset of the number's
// negative, and a short jump that is taken where they are the same.
func (t *translator) sameMap() (gen int32, same int) {
	t.load(s0, gs(offMapGen+8*int32(kind(t.v))))
	t.load(s1, gs(offRBase))
	t.lea(s0, mem{base: s0, index: s1})
	t.byte(0x49, 0xb8|byte(s2&7)) // mov s2, imm64
	gen = t.hostAt(t.pos())
	t.imm64(neverGen)
	t.lea(s0, mem{base: s0, index: s2})
	return gen, t.jrcxz()
}

// firstGen is the first generation, and the distance of one from the next.
const firstGen = 1 << 48

// neverGen is the negative of what MapGen and RBase never add up to.
const neverGen = 0

// farEdge goes to a guest offset outside of the granule: directly, where it was
// last, or by the jump cache.
func (t *translator) farEdge(goff uint32) {
	gen, same := t.sameMap()
	miss := t.pos()
	t.leaRIP(s1, s1, int32(goff))
	id := t.indirect(0)
	if t.pos()-same-1 > 127 {
		panic("jit: far edge")
	}
	t.here(same)
	t.leaRIP(s1, s1, int32(goff&^(t.granule()-1)))
	t.store(gs(offRBase), s1)
	at := t.jmp()
	t.patchRel32(at, miss)
	s := t.e.sites.at(id)
	s.gen, s.retry, s.stub = gen, t.hostAt(at), t.hostAt(miss)
}

// linkFar makes a far edge lead directly to a region for as long as the mapping
// stays.
func (e *Engine) linkFar(id uint32, r *region, rbase uint64) {
	s := e.sites.at(id)
	if e.owner(s).dead || s.variant != r.variant {
		return // RBase would not be what a granule of another size has
	}
	e.setGen(s, rbase)
	e.relied(e.cpu.RIP, r.variant)
	if s.linked != uint32(r.entry) {
		e.patch(s.retry, r.direct)
		e.linked(id, r)
	}
}

// setGen makes a site hold for the present generation and RBase.
func (e *Engine) setGen(s *site, rbase uint64) {
	e.putGen(s, -(e.sh.MapGen[kind(s.variant)] + rbase))
}

func (e *Engine) putGen(s *site, v uint64) {
	binary.LittleEndian.PutUint64(e.arena.Write[s.gen:], v)
}

// recheck looks whether an instruction's second page is where it was.
func (e *Engine) recheck(s *site, ip uint64) bool {
	va := ip&^(pageSize-1) + pageSize
	p := e.cpu.CodePageAt(va)
	if p == nil || p != e.owner(s).page2 || e.owner(s).dead {
		return false
	}
	e.setGen(s, e.sh.RBase)
	e.relied(va, s.variant)
	return true
}

// A mapping is what one kind of code relies on: programs', which changes with the
// address space, or the system's.
type mapping struct {
	relies [4 << 10]byte // pages that code relies on, a bit for each by a hash
	local  bool          // some are not global
}

func (m *mapping) bit(va uint64) (*byte, byte) {
	n := va >> 12 & (8*uint64(len(m.relies)) - 1)
	return &m.relies[n>>3], 1 << (n & 7)
}

// kind is the index of the mapping that code of a variant relies on.
func kind(v interp.Variant) int {
	if v&interp.VariantUser != 0 {
		return 0
	}
	return 1
}

// relied notes that code of a variant relies on the mapping of the page at va.
func (e *Engine) relied(va uint64, v interp.Variant) {
	m := e.maps[kind(v)]
	p, b := m.bit(va)
	*p |= b
	m.local = m.local || !e.cpu.Global()
}

// newMap starts a new generation for one kind of code.
func (e *Engine) newMap(kind int) {
	*e.maps[kind] = mapping{}
	e.emptyStack(kind)
	if e.lastGen += firstGen; e.lastGen == 0 {
		// The numbers are used up: none must be met again.
		for i := range e.sites.n {
			if s := e.sites.at(i); s.gen != 0 && !s.steady && !e.owner(s).dead {
				e.putGen(s, neverGen)
			}
		}
		e.epoch++ // what is kept of other address spaces has old numbers
		e.lastGen = firstGen
		e.sh.MapGen[1-kind] = e.lastGen
		e.lastGen += firstGen
	}
	e.sh.MapGen[kind] = e.lastGen
}

// FlushTLB implements interp.Translator.
func (e *Engine) FlushTLB(all bool) {
	e.checkWindow()
	for i := range e.filled {
		e.flushJump(i, all)
	}
	e.newMap(0)
	if all || e.maps[1].local {
		e.newMap(1)
	}
	e.checkPlaces()
}

// FlushPage implements interp.Translator.
func (e *Engine) FlushPage(va uint64, large bool) {
	e.unmapPage(va, large)
	known := e.placesGen == e.sh.MapGen[0] && !large
	if known {
		e.checkPlace(va &^ (pageSize - 1))
	}
	for k := range e.maps {
		p, b := e.maps[k].bit(va)
		if !large && *p&b == 0 {
			continue
		}
		for i := range e.filled {
			e.flushJump(i, true)
		}
		e.newMap(k)
	}
	if known {
		e.placesGen = e.sh.MapGen[0] // the others are where they were
	}
	e.checkPlaces()
}

// A savedSpace is what is kept of an address space that is not current.
type savedSpace struct {
	gen   uint64
	epoch uint64 // Engine.epoch when it was left
	m     *mapping
	jumps []savedJump

	mode32 interp.Variant // Engine.mode32 then
	window uint64         // window.serial, if it had the window, or 0
	heat   int
}

type savedJump struct {
	cache, n uint32
	jumpInfo
	jumpEntry
}

// LeaveSpace implements interp.Translator.
func (e *Engine) LeaveSpace(old any, now uint16) any {
	s, _ := old.(*savedSpace)
	if s == nil {
		s = &savedSpace{m: &mapping{}}
	}
	e.switches = now
	e.emptyStack(0)
	s.window, s.heat = e.leaveWindow()
	s.mode32 = e.mode32
	s.gen, s.epoch, s.jumps = e.sh.MapGen[0], e.epoch, s.jumps[:0]
	s.m, e.maps[0] = e.maps[0], s.m // EnterSpace sees to what is in the other one
	for i := range e.filled {
		for _, n := range e.filled[i][0] {
			j, info := &e.sh.jump[i][n], &e.jumpInfo[i][n]
			if j.ntag == invalidJump {
				continue
			}
			if info.credit.Spend(now) {
				s.jumps = append(s.jumps, savedJump{uint32(i), n, *info, *j})
			}
			*j = e.noJump
		}
		e.filled[i][0] = e.filled[i][0][:0]
	}
	if e.maps[1].local {
		e.newMap(1)
	}
	return s
}

// EnterSpace implements interp.Translator.
func (e *Engine) EnterSpace(saved any) {
	s, _ := saved.(*savedSpace)
	if !e.enterWindow(s) || s == nil || s.epoch != e.epoch {
		e.newMap(0)
		e.checkPlaces()
		return
	}
	s.m, e.maps[0] = e.maps[0], s.m
	e.sh.MapGen[0] = s.gen
	e.checkPlaces()
	for i := range s.jumps {
		j := &s.jumps[i]
		r := e.regions[j.to-1]
		if r.dead {
			continue
		}
		v := interp.Variant(0) // that the code behind the entry is for
		switch {
		case j.cache != jumpCaches-1:
			v = interp.Variant64
			if j.cache == uint32(interp.TLBUser) {
				v |= interp.VariantUser
			}
		case s.mode32 != e.mode32:
			continue
		default:
			v = s.mode32
		}
		if m := e.maps[kind(v)]; kind(v) != 0 { // the system's code was not left with the space
			p, b := m.bit(-j.ntag)
			*p |= b
			m.local = true
		}
		e.sh.jump[j.cache][j.n] = j.jumpEntry
		info := &e.jumpInfo[j.cache][j.n]
		if info.to != j.to {
			e.mayJump(r, j.cache<<jumpBits|j.n) // it may have been forgotten
		}
		*info = j.jumpInfo
		e.filled[j.cache][0] = append(e.filled[j.cache][0], j.n)
	}
}
