package interp

// Hardware task switching (SDM volume 3, 7.3).

import "hotblock/x86"

// Ways a task switch comes about.
const (
	switchJump = iota
	switchCall
	switchIret
	switchGate // interrupt or exception through a task gate
)

// taskGate switches to the task whose TSS a task gate names.
func (c *CPU) taskGate(o *Op, sel uint16, how int, next uint64) {
	if sel&4 != 0 {
		c.raise(o, x86.ExcGP, uint32(sel&^3))
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	if d.isSeg() || d.typ() != 1 && d.typ() != 9 {
		c.raise(o, x86.ExcGP, uint32(sel&^3))
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, uint32(sel&^3))
	}
	c.switchTask(o, sel, &d, how, next)
}

// switchTask leaves the current task, whose next instruction is at next, for the
// one whose TSS descriptor is d. Faults before the commit point are of the old
// task; those of loading the new state are of the new.
func (c *CPU) switchTask(o *Op, sel uint16, d *descriptor, how int, next uint64) {
	code := uint32(sel &^ 3)
	new32 := d.typ()&8 != 0
	minLimit := uint32(43)
	if new32 {
		minLimit = 103
	}
	if d.limit() < minLimit {
		c.raise(o, x86.ExcTS, code)
	}
	base := d.base
	ld := func(off uint64, size uint) uint64 { return c.sysLoad(o, (base+off)&0xffffffff, size) }

	// The new state is read before the old is saved, so that faults come first.
	var regs [8]uint64
	var segs [6]uint16
	var ip, flags, cr3, ldt uint64
	trap := false
	if new32 {
		cr3, ip, flags = ld(28, 4), ld(32, 4), ld(36, 4)
		for i := range regs {
			regs[i] = ld(uint64(40+4*i), 4)
		}
		for i := range segs {
			segs[i] = uint16(ld(uint64(72+4*i), 2))
		}
		ldt = ld(96, 2)
		trap = ld(100, 2)&1 != 0
	} else {
		ip, flags = ld(14, 2), ld(16, 2)
		for i := range regs {
			regs[i] = ld(uint64(18+2*i), 2) | 0xffff0000
		}
		for i := range 4 {
			segs[i] = uint16(ld(uint64(34+2*i), 2))
		}
		ldt = ld(42, 2)
	}

	// Save the old state.
	old := &c.TR
	st := func(off uint64, size uint, v uint64) { c.sysStore(o, (old.Base+off)&0xffffffff, size, v) }
	oldFlags := c.RFLAGS()
	if how == switchIret {
		oldFlags &^= x86.FlagNT
	}
	if old.Attr&8 != 0 {
		st(32, 4, next)
		st(36, 4, oldFlags)
		for i := range regs {
			st(uint64(40+4*i), 4, c.R[i])
		}
		for i := range segs {
			st(uint64(72+4*i), 2, uint64(c.Seg[i].Sel))
		}
	} else {
		st(14, 2, next)
		st(16, 2, oldFlags)
		for i := range regs {
			st(uint64(18+2*i), 2, c.R[i])
		}
		for i := range 4 {
			st(uint64(34+2*i), 2, uint64(c.Seg[i].Sel))
		}
	}
	busy := func(addr uint64, on bool) {
		v := c.sysLoad(o, addr+5, 1) &^ 2
		if on {
			v |= 2
		}
		c.sysStore(o, addr+5, 1, v)
	}
	if how == switchJump || how == switchIret {
		if cur, ok := c.findDesc(o, old.Sel); ok {
			busy(cur.addr, false)
		}
	}
	if how == switchCall || how == switchGate {
		c.sysStore(o, base, 2, uint64(old.Sel))
		flags |= x86.FlagNT
	}
	if how != switchIret {
		busy(d.addr, true)
		d.hi |= 2 << 8
	}

	// From here on the new task is current.
	c.TR = d.segment(sel)
	c.TR.Attr |= 2
	c.CR0 |= x86.CR0TS
	c.updateVec()
	if new32 && c.CR0&x86.CR0PG != 0 {
		c.setCR3(o, cr3)
	}
	c.setFlags(flags)
	oldF := c.Flags
	c.Flags = flags &^ (x86.FlagsArith | x86.Flag1) & 0x3f7fd5
	copy(c.R[:8], regs[:])
	for i := range regs {
		c.R[i] &= 0xffffffff
	}
	c.DR[7] &^= 0x155 // local breakpoints
	c.R[x86.RPage], c.RIP = ip, ip
	c.flagsChanged(oldF)
	c.updateDebug()
	c.RIP = ip

	c.LDTR = x86.Segment{Sel: uint16(ldt)}
	if c.v86() {
		c.loadTaskLDT(uint16(ldt))
		for i, s := range segs {
			attr := uint16(0xf3)
			if i == x86.CS {
				attr = 0xfb
			}
			c.setSeg(uint8(i), x86.Segment{Sel: s, Base: uint64(s) << 4, Limit: 0xffff, Attr: attr})
		}
		c.updateMode()
		c.setCPL(3)
		c.updatePrivilege()
	} else {
		c.loadTaskSegs(segs, uint16(ldt))
	}
	if trap {
		c.dbTrap |= 1 << 15
		c.recheck = true
	}
	if ip > uint64(c.Seg[x86.CS].Limit) {
		c.raise(nil, x86.ExcGP, 0)
	}
}

// loadTaskLDT loads LDTR for a new task. A bad selector is #TS in the new task.
func (c *CPU) loadTaskLDT(ldt uint16) {
	if ldt&^3 != 0 {
		code := uint32(ldt &^ 3)
		if ldt&4 != 0 {
			c.raise(nil, x86.ExcTS, code)
		}
		d := c.readDesc(nil, ldt, x86.ExcTS)
		if d.isSeg() || d.typ() != 2 || !d.present() {
			c.raise(nil, x86.ExcTS, code)
		}
		c.LDTR = d.segment(ldt)
	}
}

// loadTaskSegs loads LDTR and the segment registers of a new task, as
// loadTaskLDT does.
func (c *CPU) loadTaskSegs(segs [6]uint16, ldt uint16) {
	c.loadTaskLDT(ldt)
	// Until they are checked, the registers hold selectors without segments.
	for i, s := range segs {
		if i != x86.CS {
			c.setSeg(uint8(i), x86.Segment{Sel: s})
		}
	}
	cs := segs[x86.CS]
	code := uint32(cs &^ 3)
	if cs&^3 == 0 {
		c.raise(nil, x86.ExcTS, code)
	}
	d := c.readDesc(nil, cs, x86.ExcTS)
	rpl := uint8(cs & 3)
	if !d.isCode() || !d.isSeg() || !d.isConforming() && d.dpl() != rpl || d.isConforming() && d.dpl() > rpl {
		c.raise(nil, x86.ExcTS, code)
	}
	if !d.present() {
		c.raise(nil, x86.ExcNP, code)
	}
	c.setAccessed(nil, &d)
	s := d.segment(cs)
	s.Attr = d.attr()
	c.loadCS(s, rpl)

	ss := segs[x86.SS]
	code = uint32(ss &^ 3)
	if ss&^3 == 0 {
		c.raise(nil, x86.ExcTS, code)
	}
	d = c.readDesc(nil, ss, x86.ExcTS)
	if !d.isSeg() || d.isCode() || d.typ()&2 == 0 || d.dpl() != rpl || uint8(ss&3) != rpl {
		c.raise(nil, x86.ExcTS, code)
	}
	if !d.present() {
		c.raise(nil, x86.ExcSS, code)
	}
	c.setAccessed(nil, &d)
	c.setSeg(x86.SS, d.segment(ss))

	for _, i := range []uint8{x86.ES, x86.DS, x86.FS, x86.GS} {
		sel := segs[i]
		if sel&^3 == 0 {
			continue
		}
		code := uint32(sel &^ 3)
		d := c.readDesc(nil, sel, x86.ExcTS)
		if !d.isSeg() || d.isCode() && d.typ()&2 == 0 || !d.isConforming() && (uint8(sel&3) > d.dpl() || c.CPL > d.dpl()) {
			c.raise(nil, x86.ExcTS, code)
		}
		if !d.present() {
			c.raise(nil, x86.ExcNP, code)
		}
		c.setAccessed(nil, &d)
		c.setSeg(i, d.segment(sel))
	}
}
