package jit

// One check for many accesses.
//
// Accesses at constant distances from one another, off registers that differ by
// constants, are put into a group: the stack frame of a function, the fields of an
// object. The first of a group checks the span of all of them, from the lowest byte
// to the highest; if it lies in one page that may be accessed as the first one asks,
// all others are in the same page and may be, too. The check leaves the page's
// addend in the context, and an access of the group is that and the access itself.
//
// To find groups, every register is known as an origin, a value that is not known
// further, and a distance from it; a base and an index are an origin of their own. PUSH, POP, LEA, MOV, INC, DEC, and ADD and SUB of a
// constant change the distance; all else makes a new origin.
//
// A span may cross into another page, while none of its accesses does. Then the
// region goes on in its split form, a translation of the same instructions without
// groups, at the instruction of the check. The first few times that this happens in a
// region the interpreter runs the instruction: many regions see it no more often, and
// one that does is soon translated.
//
// A group of reads asks for a readable page and one of writes for a writable one.
// A read joins the writes before it.
//
// With a window there are groups of another kind: see windowed.go.

import (
	"math/bits"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// maxSpan is the greatest span of a group in bytes: the longer, the more often
// it crosses a page.
const maxSpan = 512

// accessPlan is how an access is to be checked.
type accessPlan struct {
	ref   ref
	size  int32
	write bool
	group int16 // or -1
	inst  int16 // the instruction
	first bool  // it checks for the group
	disp  int64 // where the access begins, from the group's origin
	base  bool  // shareWindow: it is the base that is to be tested
	index bool  // and first that the index is small
}

// A sharing says which accesses share a check.
type sharing uint8

const (
	shareNone   sharing = iota
	sharePage           // those that are close to one another
	shareWindow         // those that a window takes for the same
)

// accessGroup is a group of accesses.
type accessGroup struct {
	origin      int32
	write       bool
	lo, hi      int64 // span, from the origin
	n           int   // accesses
	windowGroup       // shareWindow: see windowed.go
}

// value is what is known of a register.
type value struct {
	origin int32
	disp   int64
}

// sum is a base and an index.
type sum struct {
	base, index int32 // origins
	scale       uint8
}

type knownSum struct {
	sum
	origin int32
}

type coalescer struct {
	plan        []accessPlan // of the region's accesses, in order
	next        int          // the access to translate next
	groups      []accessGroup
	rule        sharing
	regs        [numOrigins]value
	sums        []knownSum
	loads       []knownLoad // by rising origin
	stack       lastStack
	stackAt     int // the group that is tested where the region is entered: see stackpart.go; or -1
	fresh       int32
	closed      int               // groups before this one take no more: the TLB is another behind STAC
	open        int               // but for these: they are from before the region's loops
	small       uint32            // registers that are less than 2^32
	before      [numOrigins]value // the registers in front of the region's loops
	head        [numOrigins]value // and where the last path met another
	smallBefore uint32
	looped      uint32 // registers that the loops write
	dead        deadPoint
	early       bool  // there are groups that are tested in advance
	inS2        int16 // the group whose addend is in s2, or -1; see also deltaInS2
}

// Origins behind the registers.
const (
	rbaseOrigin = 16 + iota
	fsOrigin
	gsOrigin
	zeroOrigin // of absolute addresses
	numOrigins
)

// planAccesses looks for groups in the region's instructions.
func (t *translator) planAccesses(split bool) {
	c := &t.co
	c.plan, c.groups, c.sums, c.next, c.closed, c.open, c.inS2, c.small = c.plan[:0], c.groups[:0], c.sums[:0], 0, 0, 0, -1, 0
	c.loads, c.stack, c.stackAt = c.loads[:0], lastStack{}, -1
	for i := range c.regs {
		c.regs[i] = value{origin: int32(i)}
	}
	c.fresh, c.early = numOrigins, false
	c.rule = shareNone
	if !split && t.wide {
		c.rule = t.e.use.memory.sharing(t)
	}
	c.looped = t.loopWrites()
	c.dead.inst = -1
	for i := range t.n {
		g := &t.insts[i]
		t.index = i
		if i == t.loopLo {
			c.open = len(c.groups)
			c.before, c.smallBefore = c.regs, c.small
		}
		if g.meet {
			c.meet()
			c.stack.part = 0
			c.head = c.regs
			c.dead.inst = -1
		} else if g.live == 0 && c.rule == shareWindow {
			c.dead.inst, c.dead.regs = i, c.regs
		}
		t.accesses(g)
		t.step(g)
		g.stack, g.spSame = c.stackKnown(), c.regs[x86.RSP] == value{origin: x86.RSP}
		if j := int(g.target); c.rule == shareWindow && j >= 0 && j <= i && t.straight(j, i) {
			t.hoistSteps(j)
		}
	}
	if c.rule == shareWindow {
		t.hoist()
		c.enterByStack()
		return
	}
	for i := range c.plan {
		if p := &c.plan[i]; p.group >= 0 && c.groups[p.group].n == 1 {
			p.group = -1
		}
	}
}

// accesses lists the accesses of an instruction in the order in which they are
// translated.
func (t *translator) accesses(g *ginst) {
	x, e := &g.x, &g.e
	w := t.word()
	t.cur = g
	switch e.Class {
	case decode.ClassBranch:
		switch {
		case g.jcc:
		case x.Op == opRet:
			t.plan(t.stackRef(0), w, false)
		default:
			if x.Args[0].Kind == decode.Mem {
				t.plan(t.refOf(g), w, false)
			}
			if x.Op == opCall {
				t.plan(t.stackRef(-w), w, true)
			}
		}
	case decode.ClassStack:
		switch x.Op {
		case opPush:
			if x.Args[0].Kind == decode.Mem {
				t.plan(t.refOf(g), w, false)
			}
			t.plan(t.stackRef(-w), w, true)
		case opPushf:
			t.plan(t.stackRef(-w), w, true)
		case opPop, opPopf:
			t.plan(t.stackRef(0), w, false)
		case opLeave:
			r := t.stackRef(0)
			r.base = x86.RBP
			t.plan(r, w, false)
		}
	case decode.ClassPlain:
		if e.Mem&decode.AccessReadWrite != 0 && !e.BitString && !t.skips(x) {
			t.plan(t.refOf(g), int32(e.MemSize), e.Mem&decode.AccessWrite != 0)
		}
	}
}

// plan lists an access and puts it into a group.
func (t *translator) plan(r ref, size int32, write bool) {
	c := &t.co
	c.plan = append(c.plan, accessPlan{})
	p := &c.plan[len(c.plan)-1]
	q := &p.ref
	q.base, q.index, q.scale, q.seg, q.bits, q.bit, q.bitSize, q.disp = r.base, r.index, r.scale, r.seg, r.bits, r.bit, r.bitSize, r.disp
	p.size, p.write, p.group, p.inst = size, write, -1, int16(t.index)
	switch {
	case c.rule == shareNone:
	case c.rule == shareWindow:
		if t.planWindowed(p); p.group >= 0 {
			t.noteStack(p)
		}
	case r.seg == 0 && r.bits == 64 && r.base != noGuest && r.bit == 0:
		c.join(p, c.originOf(p))
	}
}

// originOf returns the origin of an access without a segment, and sets its distance
// from there.
func (c *coalescer) originOf(p *accessPlan) int32 {
	r := &p.ref
	v := c.regs[zeroOrigin]
	switch r.base {
	case noGuest:
	case ripBase:
		v = c.regs[rbaseOrigin]
	default:
		v = c.regs[r.base]
	}
	p.disp = v.disp + r.disp
	if r.index == noGuest {
		return v.origin
	}
	i := c.regs[r.index]
	p.disp += i.disp << r.scale
	return c.sum(sum{v.origin, i.origin, r.scale})
}

// sum is the origin that stands for a sum of two.
func (c *coalescer) sum(s sum) int32 {
	for i := range c.sums {
		if c.sums[i].sum == s {
			return c.sums[i].origin
		}
	}
	c.sums = append(c.sums, knownSum{s, c.fresh})
	c.fresh++
	return c.fresh - 1
}

// join puts an access into a group with room for it, or into a new one.
func (c *coalescer) join(p *accessPlan, origin int32) {
	lo, hi := p.disp, p.disp+int64(p.size)
	for i := len(c.groups) - 1; i >= 0; i-- {
		q := &c.groups[i]
		if !c.takes(i) || q.origin != origin || p.write && !q.write || max(hi, q.hi)-min(lo, q.lo) > maxSpan {
			continue
		}
		q.lo, q.hi = min(lo, q.lo), max(hi, q.hi)
		q.n++
		p.group = int16(i)
		return
	}
	if len(c.groups) < maxGroups {
		p.group, p.first = int16(len(c.groups)), true
		c.groups = append(c.groups, accessGroup{origin: origin, write: p.write, lo: lo, hi: hi, n: 1})
	}
}

// takes reports whether group i takes more accesses.
func (c *coalescer) takes(i int) bool { return i >= c.closed || i < c.open }

// meet forgets, where paths meet in a loop, what is known of the registers that loops
// write.
func (c *coalescer) meet() {
	c.closed = len(c.groups)
	for r := range rbaseOrigin {
		if c.looped>>r&1 != 0 {
			c.regs[r] = value{origin: c.fresh}
			c.fresh++
		}
	}
	c.small = c.smallBefore &^ c.looped
}

// loopWrites is the set of registers that the region's loops write.
func (t *translator) loopWrites() (set uint32) {
	for i := max(t.loopLo, 0); i <= t.loopHi; i++ {
		set |= t.insts[i].e.GPRWritten
		switch g := &t.insts[i]; {
		case g.e.Class == decode.ClassBranch && g.x.Op != opCall && g.x.Op != opRet:
		case g.e.Class != decode.ClassPlain:
			set |= 1 << x86.RSP
		}
	}
	return set
}

// step follows what an instruction does to the registers.
func (t *translator) step(g *ginst) {
	c := &t.co
	x, e := &g.x, &g.e
	written := e.GPRWritten
	w := int64(x.OpSize)
	var keep uint32
	move := func(d uint8, v value) {
		c.regs[d] = v
		keep |= 1 << d
	}
	sp := c.regs[x86.RSP]
	switch x.Op {
	case opStac, opClac:
		c.closed, c.open = len(c.groups), 0
	case opPush, opPushf, opCall:
		move(x86.RSP, value{sp.origin, sp.disp - w})
	case opPop, opPopf:
		move(x86.RSP, value{sp.origin, sp.disp + w})
		if x.Op == opPop && x.Args[0].Reg == x86.RSP {
			keep = 0
		}
	case opRet:
	case opLeave:
		bp := c.regs[x86.RBP]
		move(x86.RSP, value{bp.origin, bp.disp + w})
	case opAdd, opSub:
		if d, s := &x.Args[0], &x.Args[1]; !g.varies && d.Kind == decode.GPR && d.Size == 8 && s.Kind == decode.Imm {
			v := c.regs[d.Reg]
			if x.Op == opAdd {
				v.disp += int64(x.Imm)
			} else {
				v.disp -= int64(x.Imm)
			}
			move(d.Reg, v)
		}
	case opInc, opDec:
		if d := &x.Args[0]; d.Kind == decode.GPR && d.Size == 8 {
			v := c.regs[d.Reg]
			if v.disp++; x.Op == opDec {
				v.disp -= 2
			}
			move(d.Reg, v)
		}
	case opMov:
		if d, s := &x.Args[0], &x.Args[1]; d.Kind == decode.GPR && d.Size == 8 && s.Kind == decode.GPR {
			move(d.Reg, c.regs[s.Reg])
		}
	case opLea:
		if x.OpSize == 8 && x.AddrSize == 8 && x.Index == decode.NoReg && x.Base < 16 {
			v := c.regs[x.Base]
			v.disp += x.Disp
			move(x.Args[0].Reg, v)
		} else if x.OpSize == 8 && x.AddrSize == 8 && x.Base == ripBase {
			move(x.Args[0].Reg, value{rbaseOrigin, x.Disp + t.ripDisp(g)})
		}
	}
	c.stepSmall(g)
	if c.rule == shareWindow {
		t.noteLoad(g)
	}
	for in := written &^ keep & 0xffff; in != 0; in &= in - 1 {
		c.regs[bits.TrailingZeros32(in)] = value{origin: c.fresh}
		c.fresh++
	}
	if e.Class == decode.ClassSystem {
		for _, r := range [...]int{fsOrigin, gsOrigin} {
			c.regs[r] = value{origin: c.fresh}
			c.fresh++
		}
	}
}

// access writes what an access to memory needs in front of it, of size bytes at r,
// and returns the host's memory operand for it. That uses s2 and perhaps s1; s0
// is free. Flags change if they are not live.
func (t *translator) access(r ref, size int32, write, live bool) mem {
	c := &t.co
	p := &c.plan[c.next]
	c.next++
	// Field by field: they were written one by one, and the host waits where they are read together.
	if q := &p.ref; q.base != r.base || q.index != r.index || q.scale != r.scale || q.disp != r.disp || q.seg != r.seg || q.bits != r.bits || q.bit != r.bit || p.size != size || p.write != write {
		panic("jit: access out of plan")
	}
	if r.base == x86.RSP {
		r.disp += int64(t.sp) // as onHost
	}
	switch {
	case p.group < 0:
		c.inS2 = -1
		t.held = nothingHeld
		return t.check(r, size, write, live, 0, size, true)
	case c.rule == shareWindow:
		return t.windowedAccess(p, &r, live)
	}
	q := &c.groups[p.group]
	switch {
	case p.first:
		m := t.check(r, size, q.write, live, int32(q.lo-p.disp), int32(q.hi-q.lo), false)
		t.store(gs(offGroup+8*int32(p.group)), s2)
		c.inS2 = p.group
		return m
	case c.inS2 != p.group:
		t.load(s2, gs(offGroup+8*int32(p.group)))
		c.inS2 = p.group
	}
	if r.index != noGuest {
		t.address(r)
		return mem{base: s1, index: s2}
	}
	m := mem{base: s1, index: s2, disp: int32(r.disp)}
	if r.base == ripBase {
		t.linear(s1, 0)
	} else {
		m.base = t.guest(r.base, s1)
	}
	return m
}

// ungrouped is access for one that is not planned.
func (t *translator) ungrouped(r ref, size int32, write, live bool) mem {
	t.co.inS2 = -1
	return t.check(r, size, write, live, 0, size, true)
}

// wholePage is ungrouped for an access that stands for others anywhere in the page: a store to
// a page with code is not looked at by the byte.
func (t *translator) wholePage(r ref, size int32, write, live bool) mem {
	t.co.inS2 = -1
	t.asked = check{r, size, write, live, 0, size}
	return t.e.use.memory.check(t, &t.asked)
}

// check writes the check of an access at r, as the strategy does it. The span to be
// checked starts at before bytes from r (zero or less) and is span bytes long; alone
// says that no other access relies on it.
func (t *translator) check(r ref, size int32, write, live bool, before, span int32, alone bool) mem {
	t.asked = check{r, size, write, live, before, span}
	if !write {
		return t.e.use.memory.check(t, &t.asked)
	}
	low := r
	low.disp += int64(before)
	s := t.newStoreCheck()
	*s = storeCheck{at: low, span: span, tlb: t.v & interp.VariantTLB, alone: alone, inst: t.cur}
	t.storing = s
	s.m = t.e.use.memory.check(t, &t.asked)
	s.back = t.pos()
	t.storing = nil
	return s.m
}

// missSite makes the site of a check that starts here, at low.
func (t *translator) missSite(c *check, low ref) uint32 {
	return t.newSite(site{kind: siteMiss, write: c.write, size: int16(c.span), grouped: c.span != c.size, goff: t.goff + t.cur.off, retry: t.hostAt(t.pos()), ref: low})
}

// simpleRef reports whether a reference is a base register and a displacement, which
// do without the address in s1.
func (t *translator) simpleRef(r *ref) bool {
	return t.wide && r.bits == 64 && r.seg == 0 && r.index == noGuest && r.bit == 0 && r.base < 16 && t.home[r.base] != noReg
}

// inlineCheck looks into the TLB.
func (t *translator) inlineCheck(c *check) mem {
	r, live, before, span := c.ref, c.live, c.before, c.span
	a := &t.asm
	tlb := interp.TLB(t.v & interp.VariantTLB)
	tag, add := int32(tlb.ReadTag), int32(tlb.ReadAdd)
	if c.write {
		tag, add = int32(tlb.WriteTag), int32(tlb.WriteAdd)
	}
	low := r
	low.disp += int64(before)
	id := t.missSite(c, low)
	simple := t.simpleRef(&r)
	va := s1
	if simple && low.disp == 0 && live {
		va = t.home[r.base]
	} else {
		t.address(low)
	}
	a.rorx(s2, va, 12)
	a.movzx16(s2, s2)
	switch {
	case live:
		a.load(s0, gsx(s2, tag))
		a.lea(s0, mem{base: s0, index: va, disp: span - 1})
		a.pext(s0, s0, gs(offPageMask))
		hit := a.jrcxz()
		t.miss(a.jmp(), id)
		a.here(hit)
	case simple:
		a.add(s1, gsx(s2, tag))
		a.cmpImm(s1, pageSize-span)
		t.miss(a.jcc(ccA), id)
	default:
		a.load(s0, gsx(s2, tag))
		a.addReg(s0, s1)
		a.cmpImm(s0, pageSize-span)
		t.miss(a.jcc(ccA), id)
	}
	a.load(s2, gsx(s2, add))
	if simple {
		return mem{base: t.home[r.base], index: s2, disp: int32(r.disp)}
	}
	return mem{base: s1, index: s2, disp: -before}
}

// splitAfter is how often the interpreter runs an instruction for a region in place of its
// split form, before there is one: about what that costs to make.
const splitAfter = 4

// split goes on in the split form of a site's region, and returns the host offset
// there. The site will go there by itself from now on. It is not ok where the interpreter is
// to run the instruction.
func (e *Engine) split(s *site) (target int32, ok bool) {
	r := e.owner(s)
	if r.dead {
		return 0, false
	}
	if r.split == nil {
		if r.crossed < splitAfter {
			r.crossed++
			return 0, false
		}
		if r.split = e.makeSplit(r); r.split == nil {
			return 0, false
		}
	}
	for _, m := range r.split.insts {
		if r.goff+uint32(m.off) == s.goff && m.sp == s.sp {
			target = r.split.host + m.host
			b := e.arena.Write[s.stub:]
			b[0] = 0xe9
			e.patch(s.stub+1, target)
			return target, true
		}
	}
	return 0, false
}
