package jit

// The stack in the window.
//
// Nearly every region accesses the stack, and each would test again that RSP is in its part of the window
// (windowed.go). So that test comes first in a region, before all else, and behind it is an entry of its own
// (region.known) for who knows already: an edge from a region that accesses the stack itself.
//
// Such an edge knows because of the access, not of the test. An access that has not faulted was in the part, as
// around it nothing is mapped for as far as an access of a group may be from what was tested for the group. If
// RSP is close to where that access was (maxDrift), then RSP is close to the part. The next region may take that for
// a test, as its accesses are not as far from RSP as guards are long, and what it tells the next one
// rests on an access of its own, or on what it was told if RSP has not moved at all. However long the chain, RSP gets no
// farther from the part than maxDrift. Nothing else would do: a region that moves RSP and does not access anything could
// be run again and again.
//
// An edge that knows also has the delta of the part in s2, where the region behind it wants it.

import "hotblock/x86"

// maxDrift is how far from RSP, in bytes, an access may have been that tells where RSP is.
const maxDrift = 1 << 20

// A stackPart is a part of the window that RSP is in, and 1; or 0 where it is not known.
type stackPart uint8

// lastStack is the last access off RSP on the way.
type lastStack struct {
	at   value // its address
	part stackPart
}

// noteStack notes an access that goes by the window. (One of a vector may be masked, and not be made.)
func (t *translator) noteStack(p *accessPlan) {
	c := &t.co
	q := &c.groups[p.group]
	if t.cur.e.Vector || q.part == anyPart || q.safe || q.origin != c.regs[x86.RSP].origin || p.ref.index != noGuest || p.ref.seg != 0 {
		return
	}
	c.stack = lastStack{value{q.origin, p.disp}, stackPart(q.part) + 1}
}

// stackKnown is the part that RSP is in, as it is now.
func (c *coalescer) stackKnown() stackPart {
	sp := c.regs[x86.RSP]
	if d := sp.disp - c.stack.at.disp; sp.origin != c.stack.at.origin || d < -maxDrift || d > maxDrift {
		return 0
	}
	return c.stack.part
}

// enterByStack has the groups off what RSP is when the region is entered tested there, if there are any.
func (c *coalescer) enterByStack() {
	for i := range c.groups {
		q := &c.groups[i]
		if q.origin != x86.RSP || q.n < 0 || q.part == anyPart || q.lo < -maxReach/2 || q.hi >= maxReach/2 {
			continue
		}
		if c.stackAt < 0 {
			c.stackAt = i
		}
		if q.part == c.groups[c.stackAt].part {
			q.hoisted, q.testAt = true, -1
		}
	}
}

// stackEntry writes the test at the region's beginning, and the entry behind it.
func (t *translator) stackEntry() {
	r, c := t.r, &t.co
	r.known, r.stack = 0, 0
	if c.stackAt < 0 {
		return
	}
	t.cur, t.index = &t.insts[0], 0
	q := &c.groups[c.stackAt]
	t.testPart(q, hostRSP, t.cur.live != 0, &ref{base: x86.RSP, index: noGuest, bits: 64})
	t.load(s2, delta(q.part))
	c.inS2 = deltaInS2(q.part)
	r.known, r.stack = t.hostAt(t.pos()), stackPart(q.part)+1
}

// knownHere is what an edge of the current instruction knows of the stack.
func (t *translator) knownHere() stackPart {
	s := t.cur.stack
	if s == 0 && t.cur.spSame {
		s = t.r.stack
	}
	if t.late || s == 0 || !t.r.placed || t.co.inS2 != deltaInS2(windowPart(s-1)) {
		return 0
	}
	return s
}

// entryFor is where an edge enters a region.
func (r *region) entryFor(s *site, own bool) int32 {
	switch {
	case r.known != 0 && s.stack == r.stack:
		return r.known
	case r.known == 0 && own:
		return r.loop
	}
	return r.direct
}
