package jit

// Accesses by a window (window.go).
//
// An address is in the window if it is in one of its parts. A test for the high part is of
// one bit:
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
// interpreter raises the fault that the guest is to have. The tests of the other parts are
// of all bits above them:
//
//	mov s0, base
//	shr s0, 44
//	jne cold                   or: cmp s0, gs:[WinMid]; jne cold
//
// Around each part there are gigabytes that are never mapped (host.WindowGuard). So a test of a register
// stands for all accesses at constant distances from it, reads and writes alike, and a
// function tests RSP once. Such accesses are a group, by the same origins as in
// coalesce.go, without a limit to their span. An index that is less than 2^32 does not
// matter either: because it was written as a register of 32 bits, or after a test. What a loop does
// not change is tested before it, and so is what an inner one changes by a constant: an access that has not
// faulted was in the part, so that the one in the next turn is in it or in a guard, where it
// faults. Absolute addresses are not tested at all,
// and neither are those relative to RIP: a region is only entered where it lies in the
// part of the window for which it was made (region.part, Engine.region).
//
// Which part a group is tested for is a guess (guess.go). Where the test fails, the interpreter runs the
// instruction, and its region is translated anew for the part where the access was; the
// second time for all. So it is from the first on where programs mix parts, as those do that are linked
// to a fixed address, and have heaps elsewhere. For all parts there is no test, but a table:
//
//	rorx s0, base, 44
//	movzx s0, s0 (8 bits)
//	mov s2, gs:[WinTable+s0*8]
//
// It has the deltas of all parts. For other addresses it has what makes the sum not
// canonical, or an address of the host's system (awayDelta), whatever is in bits 52 and up, which
// are not looked at: the access faults. The address waits for the load from the table, where a
// test waits for nothing. So where flags are dead, and one part is the likely one, that is tested for,
// and the table is out of the way. Groups off RSP are tested where the region is entered, or before (stackpart.go).

import (
	"slices"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// A windowPart is a part of the window: see window.go.
type windowPart uint8

const (
	lowPart windowPart = iota
	highPart
	midPart
	numParts
	anyPart = numParts
)

const (
	lowBits = 44 // of addresses in the low part
	highBit = 46 // the bit that is set in all addresses of the high part, which has as many bits

	// maxReach is how far from the address tested an access may be.
	maxReach = 1 << 31
)

// windowGroup is what a group has beside for a window.
type windowGroup struct {
	part windowPart
	like windowPart // of anyPart: the one that is tested first, or anyPart
	at   int64      // the address that is tested, from the origin
	safe bool       // it need not be tested
	inst int        // where it would be
	off  uint32     // the same as an offset in the page

	hoisted bool  // it is tested in advance:
	testAt  int   // before this instruction
	reg     uint8 // this register
}

// deadPoint is the last instruction up to now, on the straight way, before which a test may change the
// flags.
type deadPoint struct {
	inst int // or -1
	regs [numOrigins]value
}

// deltaInS2 is what coalescer.inS2 is where s2 holds the delta of a part.
func deltaInS2(p windowPart) int16 { return -2 - int16(p) }

// planWindowed puts an access into a group, if it can be one by the window.
func (t *translator) planWindowed(p *accessPlan) {
	c, r := &t.co, &p.ref
	if r.bits != 64 || r.bit != 0 {
		return
	}
	var origin int32
	switch {
	case r.seg == 0:
		var ok bool
		if origin, ok = t.windowOrigin(p); !ok {
			return
		}
	case r.base == noGuest && r.index == noGuest && r.disp == int64(int32(r.disp)):
		p.disp = r.disp
		origin = c.regs[fsOrigin+r.seg-x86.FS].origin
		p.base = true
	default:
		origin = c.fresh // each is on its own
		c.fresh++
	}
	for i := len(c.groups) - 1; i >= 0; i-- {
		q := &c.groups[i]
		if d := p.disp - q.at; c.takes(i) && q.origin == origin && q.n >= 0 && d >= -maxReach && d < maxReach {
			q.n++
			q.lo, q.hi = min(q.lo, p.disp), max(q.hi, p.disp)
			p.group = int16(i)
			return
		}
	}
	q := accessGroup{origin: origin, n: 1, lo: p.disp, hi: p.disp, windowGroup: windowGroup{at: p.disp, inst: t.index, off: t.cur.off}}
	if p.base {
		q.at -= r.disp
	}
	switch origin {
	case zeroOrigin:
		q.part, q.safe = lowPart, true
	case rbaseOrigin:
		q.part, q.safe = t.r.part, true
	default:
		q.part, q.like = t.guessPart(p, origin)
		if p.base && t.cur.live != 0 && c.dead.inst >= 0 {
			t.testEarly(&q, p.disp)
		}
	}
	if q.part == anyPart && len(c.groups) >= maxGroups {
		q.n = -1 // it has no place for its delta
	}
	p.group, p.first = int16(len(c.groups)), true
	c.groups = append(c.groups, q)
}

// windowOrigin is originOf, or that of the base alone where the index is small. It sets
// p.base where the base can be tested in place of the address, and p.index where the index
// is to be tested. It is not ok where there is no test that would do.
func (t *translator) windowOrigin(p *accessPlan) (origin int32, ok bool) {
	c, r := &t.co, &p.ref
	index := r.index != noGuest && c.small>>r.index&1 == 0
	if index && (!t.isTested(r) || t.e.win.seen[codeKey{t.r.page, t.cur.off}]&wideIndex != 0) {
		return c.originOf(p), true
	}
	was := r.index
	r.index = noGuest
	origin = c.originOf(p)
	r.index = was
	switch {
	case origin == zeroOrigin && (p.disp < 0 || p.disp > 1<<lowBits-pageSize), origin == rbaseOrigin && (p.disp < -2*maxReach || p.disp > 2*maxReach):
		return 0, false
	case index:
		p.index = true
		c.small |= 1 << r.index
	}
	p.base = r.base != noGuest
	return origin, true
}

// isTested reports whether the base of a reference is tested without it, or need not be, so
// that it is worth testing whether the index is small.
func (t *translator) isTested(r *ref) bool {
	c := &t.co
	if r.base == noGuest {
		return true
	}
	v := c.regs[r.base]
	if v.origin == rbaseOrigin || t.inLoop(t.index) && c.looped>>r.base&1 == 0 {
		return true
	}
	for i := range c.groups {
		if d := v.disp + r.disp - c.groups[i].at; c.takes(i) && c.groups[i].origin == v.origin && d >= -maxReach && d < maxReach {
			return true
		}
	}
	return false
}

// stepSmall follows which registers are less than 2^32.
func (c *coalescer) stepSmall(g *ginst) {
	x := &g.x
	d := &x.Args[0]
	small := c.small &^ g.e.GPRWritten
	if x.NArgs > 0 && d.Kind == decode.GPR && g.e.GPRWritten == 1<<d.Reg {
		switch {
		case d.Size == 1 || d.Size == 2 || d.Size == 4 && shifts[x.Op]:
			small |= c.small & (1 << d.Reg)
		case d.Size == 4 && zeroExtends[x.Op] || d.Size == 8 && x.Op == opMovzx:
			small |= 1 << d.Reg
		case d.Size == 8 && x.Op == opMov && x.Args[1].Kind == decode.GPR:
			small |= c.small >> x.Args[1].Reg & 1 << d.Reg
		}
	}
	c.small = small
}

// zeroExtends are the operations, by Op, that in their 32-bit form always clear the upper
// half of their first operand.
var zeroExtends = func() []bool {
	m := make([]bool, decode.NumOps())
	for _, name := range []string{"mov", "movzx", "lea", "add", "sub", "and", "or", "xor", "inc", "dec", "neg", "not"} {
		m[decode.MustOp(name)] = true
	}
	return m
}()

// shifts may leave all of it alone, with a count of zero.
var shifts = func() []bool {
	m := make([]bool, decode.NumOps())
	for _, name := range []string{"shl", "shr", "sar"} {
		m[decode.MustOp(name)] = true
	}
	return m
}()

// ripDisp is what the displacement of an operand relative to RIP is relative to RBase.
func (t *translator) ripDisp(g *ginst) int64 { return int64(t.goff) + int64(g.off) + int64(g.x.Len) }

// testEarly has a group tested where the flags are dead, if a register has its origin there, and
// it is not in a loop that the access is not in.
func (t *translator) testEarly(q *accessGroup, disp int64) {
	c := &t.co
	for i := c.dead.inst; i < t.index; i++ {
		if to := int(t.insts[i].target); to >= 0 && to <= c.dead.inst {
			return
		}
	}
	for r := range uint8(16) {
		v := c.dead.regs[r]
		if d := disp - v.disp; v.origin == q.origin && d >= -maxReach/2 && d < maxReach/2 {
			c.early = true
			q.hoisted, q.testAt, q.reg, q.at = true, c.dead.inst, r, v.disp
			return
		}
	}
}

// hoist finds the groups that can be tested in front of the region's loops: those of
// which a register there has the origin, and keeps it.
func (t *translator) hoist() {
	c := &t.co
	if t.loopHi < 0 {
		return
	}
	for i := c.open; i < len(c.groups); i++ {
		q := &c.groups[i]
		if q.safe || q.n < 0 || q.inst > t.loopHi {
			continue
		}
		for r := range uint8(16) {
			if c.looped>>r&1 == 0 && q.hoistTo(t.loopLo, r, c.before[r]) {
				c.early = true
				break
			}
		}
	}
}

// hoistSteps finds the groups that can be tested in front of a loop from instruction j to this one, of
// which all is run in each turn: those of which a register has the origin there, and has it again
// at the end, but for a constant.
func (t *translator) hoistSteps(j int) {
	c := &t.co
	for i := c.closed; i < len(c.groups); i++ {
		q := &c.groups[i]
		if q.safe || q.n < 0 || q.hoisted {
			continue
		}
		for r := range uint8(16) {
			v, back := c.head[r], c.regs[r]
			if back.origin == v.origin && isStep(back.disp-v.disp) && q.hoistTo(j, r, v) {
				c.early = true
				break
			}
		}
	}
}

// hoistTo has a group tested before an instruction, if it has the origin of the register r there, which is v.
func (q *accessGroup) hoistTo(inst int, r uint8, v value) bool {
	if v.origin != q.origin || q.lo-v.disp < -maxReach/2 || q.hi-v.disp >= maxReach/2 {
		return false
	}
	q.hoisted, q.testAt, q.reg = true, inst, r
	return true
}

// maxStep is by how much an address that a loop changes may do so in a turn.
const maxStep = 1 << 20

func isStep(n int64) bool { return n >= -maxStep && n <= maxStep }

// hoisted tests what is tested in advance before the instruction that comes now.
func (t *translator) hoisted() {
	c := &t.co
	if !c.early {
		return
	}
	for i := range c.groups {
		q := &c.groups[i]
		if !q.hoisted || q.testAt != t.index || q.part != anyPart && slices.ContainsFunc(c.groups[:i], func(p accessGroup) bool {
			return p.hoisted && p.testAt == q.testAt && p.reg == q.reg && p.part == q.part
		}) {
			continue
		}
		r := ref{base: q.reg, index: noGuest, bits: 64}
		t.testPart(q, t.heldBase(q.reg), t.cur.live != 0, &r)
		if q.part == anyPart {
			t.store(gs(offGroup+8*int32(i)), s2)
			c.inS2 = -1
		}
	}
}

// deltaAhead loads in front of a loop what its first access needs in s2, if that is the delta of one part.
func (t *translator) deltaAhead(g *ginst) {
	c := &t.co
	g.delta = -1
	if g.ahead || c.rule != shareWindow || c.next == len(c.plan) {
		return
	}
	p := &c.plan[c.next]
	if p.inst > g.latch || p.group < 0 || c.groups[p.group].part == anyPart {
		return
	}
	part := c.groups[p.group].part
	g.delta = deltaInS2(part)
	if c.inS2 != g.delta {
		t.load(s2, delta(part))
	}
}

// deltaAgain brings that back for a jump to an instruction.
func (t *translator) deltaAgain(to int16) {
	if d := t.insts[to].delta; d != -1 && int(to) <= t.index && t.co.inS2 != d {
		t.load(s2, delta(windowPart(deltaInS2(0)-d)))
	}
}

// windowedAccess is access by the window. r is p.ref on the host.
func (t *translator) windowedAccess(p *accessPlan, r *ref, live bool) mem {
	c := &t.co
	q := &c.groups[p.group]
	va, m := s1, mem{base: s1, index: s2}
	if p.index {
		t.testIndex(r.index, live)
	}
	first := p.first && !q.safe && !q.hoisted
	switch {
	case q.origin == zeroOrigin && r.index == noGuest:
		if r.disp == int64(int32(r.disp)) {
			m = based(s2, int32(r.disp))
		} else {
			t.constant(s1, uint64(r.disp))
			t.hold(s1, noGuest)
		}
	case r.seg != 0 && p.base:
		t.load(s1, gs(offSeg+8*int32(r.seg)))
		t.hold(s1, noGuest)
		m.disp = int32(r.disp)
		if first {
			t.testPart(q, s1, live, &ref{base: noGuest, index: noGuest, bits: 64, seg: r.seg})
		}
	case r.seg != 0 || r.index != noGuest:
		if first && p.base {
			t.testPart(q, t.heldBase(r.base), live, &ref{base: r.base, index: noGuest, bits: 64})
		}
		if p.base && r.base != x86.RSP && t.home[r.index] != noReg {
			t.hostBase(p, r.base, first)
			return mem{base: s1, index: t.home[r.index], scale: r.scale, disp: int32(r.disp)}
		}
		t.heldAddress(r)
		if first && !p.base {
			t.testPart(q, s1, live, r)
		}
	default:
		if r.base == ripBase {
			if !t.holds(s1, ripBase) {
				t.linear(s1, 0)
				t.hold(s1, ripBase)
			}
		} else {
			va = t.heldBase(r.base)
		}
		if first {
			t.testPart(q, va, live, r)
		}
		m.base, m.disp = va, int32(r.disp)
	}
	t.deltaFor(p, first)
	return m
}

// deltaFor brings the delta for an access to s2, where it is already if the access was the first that its group was tested
// for.
func (t *translator) deltaFor(p *accessPlan, tested bool) {
	c := &t.co
	q, key := &c.groups[p.group], c.deltaOf(p)
	switch {
	case q.part == anyPart && tested:
		if q.n > 1 {
			t.store(gs(offGroup+8*int32(p.group)), s2)
		}
	case c.inS2 == key:
	case q.part == anyPart:
		t.load(s2, gs(offGroup+8*int32(p.group)))
	default:
		t.load(s2, delta(q.part))
	}
	c.inS2 = key
}

// deltaOf is what coalescer.inS2 is where s2 holds the delta for an access.
func (c *coalescer) deltaOf(p *accessPlan) int16 {
	if part := c.groups[p.group].part; part != anyPart {
		return deltaInS2(part)
	}
	return p.group
}

// hostBase makes s1 where on the host the base of an access points, for its index to be added.
func (t *translator) hostBase(p *accessPlan, base uint8, tested bool) {
	key := t.co.deltaOf(p)
	if t.held.host == base && t.held.delta == key {
		return
	}
	t.deltaFor(p, tested)
	t.lea(s1, mem{base: t.heldBase(base), index: s2})
	t.hold(s1, noGuest)
	t.held.host, t.held.delta = base, key
}

// byWindow reports whether the next access goes by the window. Off RSP it leaves s1 alone.
func (t *translator) byWindow() bool {
	c := &t.co
	return c.rule == shareWindow && c.plan[c.next].group >= 0
}

// heldBase is the host register of a guest register, or s1 if it has to be loaded.
func (t *translator) heldBase(g uint8) int8 {
	switch h := t.home[g]; {
	case h != noReg:
		return h
	case t.holds(s1, g):
	case t.holds(s0, g):
		t.mov(s1, s0)
	default:
		t.load(s1, slot(g))
	}
	t.hold(s1, g)
	return s1
}

// heldAddress is address for a window: it makes use of what scratch registers hold.
func (t *translator) heldAddress(r *ref) {
	if r.seg != 0 || r.index == noGuest {
		t.address(*r)
		t.held = nothingHeld
		return
	}
	m := mem{base: noReg, index: t.home[r.index], scale: r.scale, disp: int32(r.disp)}
	baseInS1 := r.base != noGuest && t.home[r.base] == noReg
	if m.index == noReg {
		switch {
		case t.holds(s0, r.index):
			m.index = s0
		case t.holds(s1, r.index) && !baseInS1:
			m.index = s1
		default:
			if baseInS1 {
				t.heldBase(r.base) // s0 may hold it
			}
			t.load(s0, slot(r.index))
			t.hold(s0, r.index)
			m.index = s0
		}
	}
	if r.base != noGuest {
		m.base = t.heldBase(r.base)
	}
	t.lea(s1, m)
	t.hold(s1, noGuest)
}

// testIndex leaves where a register is not less than 2^32. It uses s0.
func (t *translator) testIndex(g uint8, live bool) {
	x := t.home[g]
	switch {
	case x != noReg:
	case t.holds(s1, g):
		x = s1
	case t.holds(s0, g):
		x = s0
	default:
		t.load(s0, slot(g))
		x = s0
	}
	t.hold(s0, noGuest)
	var out int
	if live {
		t.pext(s0, x, gs(offWinUpper))
		hit := t.jrcxz()
		out = t.jmp()
		t.here(hit)
	} else {
		if x != s0 {
			t.mov(s0, x)
		}
		t.shrImm(s0, 32)
		out = t.jcc(ccNE)
	}
	id := t.newSite(site{kind: siteOutside, goff: t.goff + t.cur.off, stub: int32(t.cur.off), grouped: true})
	t.leaveFrom(out, id, siteOutside)
}

// delta is what leads from linear addresses in a part to host addresses.
func delta(p windowPart) mem { return gs(offWinDelta + 8*int32(p)) }

// testPart leaves where the address in va, which r says how to find, is not in the
// group's part of the window. For all parts it brings the delta of the one that it is in
// to s2. It uses s0.
func (t *translator) testPart(q *accessGroup, va int8, live bool, r *ref) {
	p := q.part
	t.hold(s0, noGuest)
	switch {
	case p == anyPart && (live || q.like == anyPart):
		t.tableDelta(va)
		return
	case p == anyPart:
		t.likelyPart(q.like, va)
		return
	}
	id := t.newSite(site{kind: siteOutside, goff: t.goff + t.cur.off, stub: int32(q.off), ref: *r})
	var out int // the jump to the site
	switch {
	case live && p == highPart:
		t.pext(s0, va, gs(offWinHigh))
		t.leaveIfZero(id, siteOutside)
		return
	case live:
		t.pext(s0, va, gs(offWinAbove))
		if p == midPart {
			t.load(s2, gs(offWinNeg))
			t.co.inS2 = -1
			t.lea(s0, mem{base: s0, index: s2})
		}
		hit := t.jrcxz()
		out = t.jmp()
		t.here(hit)
	default:
		out = t.branchOutside(p, va)
	}
	t.leaveFrom(out, id, siteOutside)
}

// branchOutside jumps where the address in va is not in a part. It changes flags and, but for the high part, s0.
func (t *translator) branchOutside(p windowPart, va int8) (at int) {
	if p == highPart {
		t.btImm(va, highBit)
		return t.jcc(ccAE)
	}
	t.mov(s0, va)
	t.shrImm(s0, lowBits)
	if p == midPart {
		t.opMem(rexW, false, 0x3b, s0, gs(offWinMid)) // cmp
	}
	return t.jcc(ccNE)
}

// tableDelta brings the delta of the part in which the address in va is to s2, by the table. It uses s0.
func (t *translator) tableDelta(va int8) {
	t.rorx(s0, va, lowBits)
	t.opReg(0, true, 0xb6, s0, s0) // movzx
	t.load(s2, gsx(s0, offWinTable))
}

// likelyPart is tableDelta where the address is likely to be in part p. It changes flags.
func (t *translator) likelyPart(p windowPart, va int8) {
	out := t.branchOutside(p, va)
	if t.co.inS2 != deltaInS2(p) {
		t.load(s2, delta(p))
	}
	back := t.pos()
	t.aside(out, func() {
		t.tableDelta(va)
		t.patchRel32(t.jmp(), back)
	})
}

// maxSeen is how many instructions are remembered by the part of their accesses.
const maxSeen = 1 << 16

// outsideWindow notes that an access at va did not pass its test.
func (e *Engine) outsideWindow(s *site, va uint64) {
	r, w := e.owner(s), e.win
	if r.dead {
		return
	}
	if s.grouped {
		w.learn(r.page, uint32(s.stub), wideIndex)
		e.remake(r)
		return
	}
	p, ok := e.placed(va)
	if !ok {
		e.elsewhere(va)
		e.leftToInterpreter(r)
		return
	}
	w.mixed++
	w.learn(r.page, uint32(s.stub), 1<<p)
	e.remake(r)
}

// manyMixed is from how many accesses that did not pass their test on a program is taken to mix
// parts.
const manyMixed = 40

// beyondWindow deals with a fault of an access by the table, at an address that is not
// in the window: it may be that the middle part is to be there.
func (e *Engine) beyondWindow(r *region, m *instMap) {
	var x decode.Inst
	if decode.Decode(r.page.Bytes()[r.off+uint32(m.off):], decode.Mode64, &x) == nil && x.HasMem() && x.Base < 16 {
		va := e.sh.R[x.Base] + uint64(x.Disp)
		if x.Index < 16 {
			va += e.sh.R[x.Index] << x.Scale
		}
		if _, ok := e.placed(va); ok {
			return
		}
		e.elsewhere(va)
	}
	e.leftToInterpreter(r)
}

// wideIndex is seen of an instruction with an index that is not always small.
const wideIndex = 1 << 7

// learn notes what was seen of an instruction with an access.
func (w *guestWindow) learn(p *interp.CodePage, off uint32, seen uint8) {
	if len(w.seen) >= maxSeen {
		clear(w.seen)
	}
	w.seen[codeKey{p, off}] |= seen
}
