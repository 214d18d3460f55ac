package interp

// Address spaces that are not current.
//
// A data TLB's entry carries no PCID. Instead, a write to CR3 that changes the PCID
// takes the entries of the old one out of the TLBs and puts them aside, and brings
// those of the new one back, if the write asks to keep them (SDM volume 3,
// 4.10.4.1). That costs a few nanoseconds an entry, where filling one anew costs a page
// walk, and a hit needs no comparison with the PCID.
//
// Two programs that talk by a pipe run for some microseconds at a time, and use
// few of the pages that they have ever used. So an entry is brought back a
// limited number of times: it has a credit. When that is used up it stays away. If
// it is then missed soon, it gets a greater credit than it had, so that what is
// in use all the time is hardly ever missed; else it has cost little.
//
// The TLBs for code are read by the interpreter alone. There a comparison costs less, and an
// entry has the number of its address space. When entries become stale the space
// gets a new number.

import "hotblock/x86"

// maxSpaces is how many address spaces are kept; Linux uses six at a time.
const maxSpaces = 8

// A space is what the TLBs held for an address space when it was left: no global
// pages.
type space struct {
	valid   bool
	pcid    uint64
	used    uint64 // when it was left, by CPU.spaceClock
	entries []spaceEntry
	number  uint64 // of its entries in the TLBs for code, or 0 where there are none any more
	marks   uint64 // CPU.codeMarks then
	native  any    // what the translator keeps
}

type spaceEntry struct {
	ntag, add uint64
	n         uint32 // as in tlbSet.info
	set       uint8
	shift     uint8
	credit    Credit
}

// A Credit says how often something that is kept for an address space is brought back
// when the CPU comes to it. The time now is a count of switches, of which some
// bits are enough.
type Credit struct {
	left  uint16 // how often still; when it is used up: the time when that happened
	grade uint8  // left began as firstCredit<<grade
	spent bool
}

const (
	firstCredit = 4
	topGrade    = 6
	soon        = 64 // switches: a miss before that many says that the credit was too small
)

// Missed gives a new credit to what was not there when it was needed.
func (c *Credit) Missed(now uint16) {
	switch {
	case !c.spent || now-c.left >= soon:
		c.grade = 0
	case c.grade < topGrade:
		c.grade++
	}
	c.left, c.spent = firstCredit<<c.grade, false
}

// Spend takes one from the credit, and reports whether there was one.
func (c *Credit) Spend(now uint16) bool {
	if c.left == 0 {
		c.left, c.spent = now, true
		return false
	}
	c.left--
	return true
}

// Numbers of address spaces: they take the place of an offset in a page.
const (
	firstSpace = 2
	endSpaces  = pageMask + 1
)

// newSpace gives the current address space a new number, so that the TLBs for code
// have no entries of it.
func (c *CPU) newSpace() {
	if c.lastSpace++; c.lastSpace < firstSpace || c.lastSpace == endSpaces {
		c.lastSpace = firstSpace
		for i := range c.its {
			c.its[i].init()
		}
		for i := range c.spaces {
			c.spaces[i].number = 0
		}
	}
	c.numberSpace(c.lastSpace)
}

func (c *CPU) numberSpace(n uint64) {
	for i := range c.its {
		c.its[i].space = n
	}
}

// switchSpace makes the TLBs those of another PCID; keep says that what they held
// for it when it was last current may still be used.
func (c *CPU) switchSpace(old, pcid uint64, keep bool) {
	if old == pcid {
		if !keep {
			c.flushTLB(false)
		}
		return
	}
	c.stats.Flushes++
	c.leaveSpace(old)
	s := c.findSpace(pcid)
	if s != nil && keep {
		c.enterSpace(s)
	} else {
		c.newSpace()
		if c.tr != nil {
			c.tr.EnterSpace(nil)
		}
	}
	if s != nil {
		s.valid = false
	}
}

// findSpace returns what is kept of a PCID, or nil.
func (c *CPU) findSpace(pcid uint64) *space {
	for i := range c.spaces {
		if s := &c.spaces[i]; s.valid && s.pcid == pcid {
			return s
		}
	}
	return nil
}

// dropSpace forgets what is kept of a PCID, and dropSpaces of all.
func (c *CPU) dropSpace(pcid uint64) {
	if s := c.findSpace(pcid); s != nil {
		s.valid = false
	}
}

func (c *CPU) dropSpaces() {
	for i := range c.spaces {
		c.spaces[i].valid = false
	}
}

// leaveSpace moves all entries that are not global out of the TLBs.
func (c *CPU) leaveSpace(pcid uint64) {
	s := &c.spaces[0]
	for i := range c.spaces {
		if k := &c.spaces[i]; !k.valid || s.valid && k.used < s.used {
			s = k
		}
	}
	c.spaceClock++
	now := uint16(c.spaceClock)
	*s = space{valid: true, pcid: pcid, used: c.spaceClock, entries: s.entries[:0], number: c.it.space, marks: c.codeMarks, native: s.native}
	for i := range c.sh.tlbs {
		t := &c.sh.tlbs[i]
		t.clock = now
		t.code.flush()
		l := &t.filled[0]
		for _, n := range l.n[:l.len] {
			info := &t.info[n]
			info.listed &^= 1
			if info.global {
				continue
			}
			h, k := t.half(n)
			if h.ntag[k] == tlbInvalid(k) {
				continue
			}
			if info.credit.Spend(now) {
				s.entries = append(s.entries, spaceEntry{h.ntag[k], h.add[k], n, uint8(i), info.shift, info.credit})
			}
			h.ntag[k] = tlbInvalid(k)
		}
		l.len = 0
	}
	if c.tr != nil {
		s.native = c.tr.LeaveSpace(s.native, now)
	}
}

// enterSpace puts the entries of a space back.
func (c *CPU) enterSpace(s *space) {
	for i := range s.entries {
		e := &s.entries[i]
		if e.n >= tlbSize && s.marks != c.codeMarks {
			continue // the page may have code by now
		}
		t := &c.sh.tlbs[e.set]
		t.info[e.n].credit = e.credit
		t.put(e.n, e.ntag, e.add, false, e.shift)
	}
	if s.number == 0 {
		c.newSpace()
	} else {
		c.numberSpace(s.number)
	}
	if c.tr != nil {
		c.tr.EnterSpace(s.native)
	}
}

// pcid is the current PCID, or 0 where there are none.
func (c *CPU) pcid() uint64 {
	if c.CR4&x86.CR4PCIDE == 0 {
		return 0
	}
	return c.CR3 & 0xfff
}
