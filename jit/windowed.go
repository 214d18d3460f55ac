package jit

// Accesses by a window (window.go).
//
// An address is in the window if it is in one of its two parts: the low one, linear
// addresses from zero on, where programs lie that are linked to fixed addresses, and
// the high one, where Linux puts all else. A test for the high part is of one bit:
//
//	bt  base, 46
//	jnc cold
//	mov s2, gs:[WinDelta+8]    if it is not there already
//
// and the access goes to address+s2. That is enough. Let the part begin at the host
// address H, so that s2 is H - 2^46. Where bits 47 and up of the address are clear it
// is in the part, and becomes the host address in the window that it should. Where some
// are set they are the same in the sum, as nothing carries into them, and so it is
// not canonical, or an address of the host's system: the access faults, and the
// interpreter raises the fault that the guest is to have. The test of the low part is of
// all bits above it:
//
//	mov s0, base
//	shr s0, 44
//	jne cold
//
// Around either part there are gigabytes that are never mapped. So a test of a register
// stands for all accesses at constant distances from it, reads and writes alike, and a
// function tests RSP once. Such accesses are a group, by the same origins as in
// coalesce.go, without a limit to their span. Absolute addresses are not tested at all,
// and neither are those relative to RIP: a region is only entered where it lies in the
// part of the window for which it was made (region.part, Engine.region).
//
// Which part a group is tested for is a guess: by the registers' values at the time of
// translation, or by where the code is. Where the test fails, the interpreter runs the
// instruction, and its region is translated anew for the part where the access was; the
// second time for both, which puts the part's delta where the group finds it.

import (
	"hotblock/interp"
	"hotblock/x86"
)

// A windowPart is a part of the window: see windowParts.
type windowPart uint8

const (
	lowPart windowPart = iota
	highPart
	bothParts
)

const (
	lowBits = 44 // of addresses in the low part
	highBit = 46 // the bit that is set in all addresses of the high part, which has as many bits

	// maxReach is how far from the address tested an access may be.
	maxReach = 1 << 31
)

// deltaInS2 is what coalescer.inS2 is where s2 holds the delta of a part.
func deltaInS2(p windowPart) int16 { return -2 - int16(p) }

// partOf says in which part an address is.
func partOf(va uint64) (p windowPart, ok bool) {
	switch {
	case va>>lowBits == 0:
		return lowPart, true
	case va>>highBit == 1:
		return highPart, true
	}
	return 0, false
}

// planWindowed puts an access into a group, if it can be one by the window.
func (t *translator) planWindowed(p *accessPlan) {
	c, r := &t.co, &p.ref
	if r.bits != 64 || r.bit != 0 {
		return
	}
	var origin int32
	switch {
	case r.seg == 0:
		origin = c.originOf(p)
		if origin == zeroOrigin && (p.disp < 0 || p.disp > 1<<lowBits-pageSize) {
			return
		}
	case r.base == noGuest && r.index == noGuest:
		p.disp = r.disp
		origin = c.regs[fsOrigin+r.seg-x86.FS].origin
	default:
		origin = c.fresh // each is on its own
		c.fresh++
	}
	for i := len(c.groups) - 1; i >= c.closed; i-- {
		q := &c.groups[i]
		if d := p.disp - q.at; q.origin == origin && q.n >= 0 && d >= -maxReach && d < maxReach {
			q.n++
			p.group = int16(i)
			return
		}
	}
	q := accessGroup{origin: origin, n: 1, at: p.disp}
	if t.testsBase(r) {
		q.at -= r.disp
	}
	switch origin {
	case zeroOrigin:
		q.part, q.safe = lowPart, true
	case rbaseOrigin:
		q.part, q.safe = t.r.part, true
	default:
		q.part = t.guessPart(p, origin)
	}
	if q.part == bothParts && len(c.groups) >= maxGroups {
		q.n = -1 // it has no place for its delta
	}
	p.group, p.first = int16(len(c.groups)), true
	c.groups = append(c.groups, q)
}

// testsBase reports whether the base of a reference can be tested in place of the
// address.
func (t *translator) testsBase(r *ref) bool {
	return r.seg == 0 && r.index == noGuest && r.base != noGuest
}

// guessPart says for which part of the window an access is to be tested.
func (t *translator) guessPart(p *accessPlan, origin int32) windowPart {
	if seen, ok := t.e.win.seen[accessKey{t.r.page, t.cur.off}]; ok {
		switch seen {
		case 1 << lowPart:
			return lowPart
		case 1 << highPart:
			return highPart
		}
		return bothParts
	}
	if v, ok := t.originValue(origin); ok {
		if part, ok := partOf(v + uint64(p.disp)); ok {
			return part
		}
	}
	part, _ := partOf(t.va)
	return part
}

// originValue is the value that an origin has now, if the region is entered.
func (t *translator) originValue(origin int32) (v uint64, ok bool) {
	cpu := t.e.cpu
	switch {
	case origin < rbaseOrigin:
		return cpu.R[origin], true
	case origin == rbaseOrigin:
		return t.va - uint64(t.r.goff), true
	case origin == fsOrigin || origin == gsOrigin:
		return cpu.R[x86.RSeg+x86.FS+origin-fsOrigin], true
	case origin == zeroOrigin:
		return 0, true
	}
	for i := range t.co.sums {
		if s := &t.co.sums[i]; s.origin == origin {
			b, ok1 := t.originValue(s.base)
			x, ok2 := t.originValue(s.index)
			return b + x<<s.scale, ok1 && ok2
		}
	}
	return 0, false
}

// windowedAccess is access by the window.
func (t *translator) windowedAccess(p *accessPlan, live bool) mem {
	c, r := &t.co, &p.ref
	q := &c.groups[p.group]
	va, m := s1, mem{base: s1, index: s2}
	switch {
	case q.origin == zeroOrigin:
		if r.disp == int64(int32(r.disp)) {
			m = based(s2, int32(r.disp))
		} else {
			t.constant(s1, uint64(r.disp))
		}
	case !t.testsBase(r):
		t.address(*r)
	default:
		if r.base == ripBase {
			t.load(s1, gs(offRBase))
		} else {
			va = t.guest(r.base, s1)
		}
		m.base, m.disp = va, int32(r.disp)
	}
	if p.first && !q.safe {
		t.testPart(q.part, va, live, r)
	}
	switch {
	case q.part != bothParts:
		if c.inS2 != deltaInS2(q.part) {
			t.load(s2, delta(q.part))
			c.inS2 = deltaInS2(q.part)
		}
		return m
	case p.first && q.n > 1:
		t.store(gs(offGroup+8*int32(p.group)), s2)
	case !p.first && c.inS2 != p.group:
		t.load(s2, gs(offGroup+8*int32(p.group)))
	}
	c.inS2 = p.group
	return m
}

// delta is what leads from linear addresses in a part to host addresses.
func delta(p windowPart) mem { return gs(offWinDelta + 8*int32(p)) }

// testPart leaves where the address in va is not in a part of the window. For both
// parts it leaves the delta of the one that it is in in s2. It uses s0.
func (t *translator) testPart(p windowPart, va int8, live bool, r *ref) {
	var out, in []int // jumps to the site, and on
	bits := func(p windowPart) { t.pext(s0, va, gs(offWinBits+8*int32(p))) }
	switch {
	case live && p == lowPart:
		bits(lowPart)
		hit := t.jrcxz()
		out = append(out, t.jmp())
		t.here(hit)
	case live && p == highPart:
		bits(highPart)
		t.lea(s0, based(s0, -1))
		hit := t.jrcxz()
		out = append(out, t.jmp())
		t.here(hit)
	case live:
		bits(lowPart)
		low := t.jrcxz()
		bits(highPart)
		t.lea(s0, based(s0, -1))
		high := t.jrcxz()
		out = append(out, t.jmp())
		t.here(low)
		t.load(s2, delta(lowPart))
		in = append(in, t.jmp())
		t.here(high)
		t.load(s2, delta(highPart))
	default:
		if p != lowPart {
			t.btImm(va, highBit)
			if p == highPart {
				out = append(out, t.jcc(ccAE))
				break
			}
			t.load(s2, delta(highPart))
			in = append(in, t.jcc(ccC))
		}
		t.mov(s0, va)
		t.shrImm(s0, lowBits)
		out = append(out, t.jcc(ccNE))
		if p == bothParts {
			t.load(s2, delta(lowPart))
		}
	}
	for _, at := range in {
		t.patchRel32(at, t.pos())
	}
	id := t.newSite(site{kind: siteOutside, goff: t.goff + t.cur.off, ref: *r})
	t.cold = append(t.cold, func() {
		for _, at := range out {
			t.patchRel32(at, t.pos())
		}
		t.leave(id, siteOutside)
	})
}

// accessKey is an instruction with an access.
type accessKey struct {
	page *interp.CodePage
	off  uint32
}

// maxSeen is how many instructions are remembered by the part of their accesses.
const maxSeen = 1 << 16

// outsideWindow notes that an access at va did not pass its test.
func (e *Engine) outsideWindow(s *site, va uint64) {
	r, w := e.owner(s), e.win
	if r.dead {
		return
	}
	p, ok := partOf(va)
	if !ok {
		e.leftToInterpreter(r)
		return
	}
	if len(w.seen) >= maxSeen {
		clear(w.seen)
	}
	w.seen[accessKey{r.page, s.goff - r.goff + r.off}] |= 1 << p
	e.kill(r)
}
