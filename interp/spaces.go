package interp

// Address spaces that are not current.
//
// A TLB entry carries no PCID. Instead, a write to CR3 that changes the PCID takes
// the entries of the old one out of the TLBs and puts them aside, and brings those
// of the new one back, if the write asks to keep them (SDM volume 3, 4.10.4.1).
// That costs a few nanoseconds an entry, where filling one anew costs a page walk,
// and a hit needs no comparison with the PCID.

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
	fetch   []fetchEntry
	ring    []uint8 // of each fetch entry: the index of its TLB
	marks   uint64  // CPU.codeMarks then
	native  any     // what the translator keeps
}

type spaceEntry struct {
	ntag, add uint64
	n         uint32 // as in tlbSet.info
	set       uint8
	shift     uint8
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
	} else if c.tr != nil {
		c.tr.EnterSpace(nil)
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
	*s = space{valid: true, pcid: pcid, used: c.spaceClock, entries: s.entries[:0], fetch: s.fetch[:0], ring: s.ring[:0], marks: c.codeMarks, native: s.native}
	for i := range c.sh.tlbs {
		t := &c.sh.tlbs[i]
		t.code.flush()
		l := &t.filled[0]
		for _, n := range l.n[:l.len] {
			t.info[n].listed &^= 1
			if t.info[n].global {
				continue
			}
			h, k := t.half(n)
			if h.ntag[k] != tlbInvalid(k) {
				s.entries = append(s.entries, spaceEntry{h.ntag[k], h.add[k], n, uint8(i), t.info[n].shift})
				h.ntag[k] = tlbInvalid(k)
			}
		}
		l.len = 0
	}
	for i := range c.its {
		t := &c.its[i]
		if !t.local {
			continue
		}
		t.local = false
		for j := range t.e {
			if e := &t.e[j]; e.tag != 1 && !e.global {
				s.fetch = append(s.fetch, *e)
				s.ring = append(s.ring, uint8(i))
				e.tag = 1
			}
		}
	}
	if c.tr != nil {
		s.native = c.tr.LeaveSpace(s.native)
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
		t.put(e.n, e.ntag, e.add, false, e.shift)
	}
	for i := range s.fetch {
		e := &s.fetch[i]
		if e.page.mode != c.mode {
			continue
		}
		t := &c.its[s.ring[i]]
		t.e[e.tag>>12&(fetchSize-1)] = *e
		t.local = true
		t.large.add(e.tag, e.shift)
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
