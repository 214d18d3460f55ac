package interp

// Segments: descriptor loads, modes that follow from CS, and far transfers
// through code segments, call gates and TSSs (SDM volume 3, chapters 3, 5 and 7).

import (
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

func init() {
	end("jmpf", opJmpf)
	stack("callf", opCallf).ends = true
	stack("retf", opRetf).ends = true
	for i, n := range []string{"les", "", "lss", "lds", "lfs", "lgs"} {
		if n != "" {
			on(n, opLoadFar).cc = uint8(i)
		}
	}
	on("lar", opLar)
	on("lsl", opLsl)
	on("verr", opVerr)
	on("verw", opVerr).cc = 1
	on("arpl", opArpl)
	on("lldt", opLldt)
	on("ltr", opLtr)
	on("sldt", opSldt)
	on("str", opSldt).cc = 1
	on("lgdt", opLgdt)
	on("lidt", opLgdt).cc = 1
	on("sgdt", opSgdt)
	on("sidt", opSgdt).cc = 1
}

// protected reports whether segments come from descriptors.
func (c *CPU) protected() bool { return c.CR0&x86.CR0PE != 0 && c.Flags&x86.FlagVM == 0 }

// lma reports whether the CPU is in IA-32e mode.
func (c *CPU) lma() bool { return c.EFER&x86.EFERLMA != 0 }

// setSeg sets a segment register with its hidden part.
func (c *CPU) setSeg(i uint8, s x86.Segment) {
	c.Seg[i] = s
	base := s.Base
	if c.long && i < x86.FS {
		base = 0
	}
	c.R[x86.RSeg+i] = base
}

// setSegBase sets the base of FS or GS alone.
func (c *CPU) setSegBase(i uint8, base uint64) {
	c.Seg[i].Base = base
	c.R[x86.RSeg+i] = base
}

// updateMode recomputes what depends on CS, CR0.PE and EFER.LMA.
func (c *CPU) updateMode() {
	c.long = c.lma() && c.Seg[x86.CS].Attr&x86.SegL != 0
	old := c.mode
	switch {
	case c.long:
		c.mode = mode64
		c.linMask = ^uint64(0)
	case c.Seg[x86.CS].Attr&x86.SegD != 0:
		c.mode = mode32
		c.linMask = 0xffffffff
	default:
		c.mode = mode16
		c.linMask = 0xffffffff
	}
	if c.mode != old {
		for i := range c.its {
			c.its[i].init()
		}
	}
	limited := c.mode == mode32 && c.Seg[x86.CS].Limit != 0xffffffff || c.mode == mode16 && c.Seg[x86.CS].Limit < 0xffff
	if limited != c.limited {
		c.limited = limited
		c.updatePrivilege()
	}
	for i := range c.Seg {
		c.R[x86.RSeg+i] = c.Seg[i].Base
		if c.long && i < x86.FS {
			c.R[x86.RSeg+i] = 0
		}
	}
	c.updateVec()
}

// nearLimit reports whether code at RIP may run into the limit of CS before it
// is looked up again. Decoded blocks do not check it; they are left at the end of
// each page while CPU.limited is set, because then the fetch TLB stays empty.
func (c *CPU) nearLimit() bool {
	return c.RIP+2*mmu.PageSize > uint64(c.Seg[x86.CS].Limit)
}

func (c *CPU) setCPL(cpl uint8) {
	if c.CPL != cpl {
		c.CPL = cpl
		c.updatePrivilege()
	}
}

// A descriptor as it is in memory; hi2 is the upper half of a 16-byte one.
type descriptor struct {
	lo, hi uint32
	base   uint64
	addr   uint64
}

func (d *descriptor) attr() uint16 { return uint16(d.hi >> 8 & 0xf0ff) }
func (d *descriptor) dpl() uint8   { return uint8(d.hi >> 13 & 3) }
func (d *descriptor) typ() uint8   { return uint8(d.hi >> 8 & 15) }
func (d *descriptor) isSeg() bool  { return d.hi&(1<<12) != 0 }
func (d *descriptor) present() bool {
	return d.hi&(1<<15) != 0
}
func (d *descriptor) isCode() bool       { return d.hi>>11&3 == 3 }
func (d *descriptor) isConforming() bool { return d.hi>>10&7 == 7 }

func (d *descriptor) limit() uint32 {
	l := d.lo&0xffff | d.hi&0xf0000
	if d.hi&(1<<23) != 0 {
		l = l<<12 | 0xfff
	}
	return l
}

func (d *descriptor) segment(sel uint16) x86.Segment {
	return x86.Segment{Base: d.base, Limit: d.limit(), Sel: sel, Attr: d.attr()}
}

// Gates: the fields of a gate descriptor.
func (d *descriptor) gateSel() uint16    { return uint16(d.lo >> 16) }
func (d *descriptor) gateOffset() uint32 { return d.lo&0xffff | d.hi&0xffff0000 }

// readDesc reads the descriptor of a selector. It raises vec with the selector
// as error code where the selector is outside of its table.
func (c *CPU) readDesc(o *Op, sel uint16, vec uint8) descriptor {
	d, ok := c.findDesc(o, sel)
	if !ok {
		c.raise(o, vec, uint32(sel&^3))
	}
	return d
}

func (c *CPU) findDesc(o *Op, sel uint16) (d descriptor, ok bool) {
	base, limit := c.GDTR.Base, uint32(c.GDTR.Limit)
	if sel&4 != 0 {
		if c.LDTR.Attr&x86.SegP == 0 || c.LDTR.Sel&^3 == 0 {
			return d, false
		}
		base, limit = c.LDTR.Base, c.LDTR.Limit
	}
	if uint32(sel|7) > limit {
		return d, false
	}
	d.addr = base + uint64(sel&^7)
	v := c.sysLoad(o, d.addr, 8)
	d.lo, d.hi = uint32(v), uint32(v>>32)
	d.base = uint64(d.lo>>16 | d.hi&0xff<<16 | d.hi&0xff000000)
	return d, true
}

// readUpper adds the upper half of a 16-byte system descriptor of IA-32e mode.
func (c *CPU) readUpper(o *Op, d *descriptor, sel uint16, vec uint8) (upper uint64) {
	limit := uint32(c.GDTR.Limit)
	if sel&4 != 0 {
		limit = c.LDTR.Limit
	}
	if uint32(sel|7)+8 > limit {
		c.raise(o, vec, uint32(sel&^3))
	}
	upper = c.sysLoad(o, d.addr+8, 8)
	if upper>>40&0x1f != 0 {
		c.raise(o, vec, uint32(sel&^3))
	}
	return upper
}

// setAccessed sets the accessed bit of a segment descriptor.
func (c *CPU) setAccessed(o *Op, d *descriptor) {
	if d.hi&(1<<8) == 0 {
		d.hi |= 1 << 8
		c.sysStore(o, d.addr+5, 1, uint64(d.hi>>8&0xff))
	}
}

// loadSeg loads a data segment register or SS (SDM volume 2, MOV; volume 3,
// 5.6 and 5.7).
func (c *CPU) loadSeg(o *Op, seg uint8, sel uint16) {
	if !c.protected() {
		s := &c.Seg[seg]
		s.Sel, s.Base = sel, uint64(sel)<<4
		if c.v86() {
			s.Limit, s.Attr = 0xffff, 0xf3
		}
		c.R[x86.RSeg+seg] = s.Base
		return
	}
	rpl := uint8(sel & 3)
	if sel&^3 == 0 {
		if seg == x86.SS && (!c.long || c.CPL == 3 || rpl != c.CPL) {
			c.raise(o, x86.ExcGP, 0)
		}
		s := x86.Segment{Sel: sel}
		if seg == x86.SS {
			s.Attr = uint16(c.CPL) << 5
		}
		if c.long {
			// The base survives a null selector where 64-bit code cannot see it.
			s.Base = c.Seg[seg].Base
			if seg >= x86.FS {
				s.Base = 0
			}
		}
		c.setSeg(seg, s)
		return
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	code := uint32(sel &^ 3)
	if seg == x86.SS {
		if rpl != c.CPL || !d.isSeg() || d.isCode() || d.typ()&2 == 0 || d.dpl() != c.CPL {
			c.raise(o, x86.ExcGP, code)
		}
		if !d.present() {
			c.raise(o, x86.ExcSS, code)
		}
	} else {
		if !d.isSeg() || d.isCode() && d.typ()&2 == 0 {
			c.raise(o, x86.ExcGP, code)
		}
		if !d.isConforming() && (rpl > d.dpl() || c.CPL > d.dpl()) {
			c.raise(o, x86.ExcGP, code)
		}
		if !d.present() {
			c.raise(o, x86.ExcNP, code)
		}
	}
	c.setAccessed(o, &d)
	c.setSeg(seg, d.segment(sel))
}

func (c *CPU) movToSeg(o *Op) *Op {
	seg := o.x.Args[0].Reg
	if seg == x86.CS {
		return opUndefined(c, o)
	}
	sel := uint16(c.arg(o, 1))
	c.loadSeg(o, seg, sel)
	if seg == x86.SS {
		c.Shadow, c.ShadowSS = true, true
		return c.resyncAfter(o)
	}
	return o.next
}

// opLoadFar is LES, LSS, LDS, LFS and LGS; cc is the segment register.
func opLoadFar(c *CPU, o *Op) *Op {
	va := c.lin(o, uint(o.size)+2, false)
	off := c.ld(o, va, o.size)
	sel := c.ld16(o, (va+uint64(o.size))&c.linMask)
	c.loadSeg(o, o.cc, uint16(sel))
	c.setArg(o, 0, off)
	return c.resyncAfter(o)
}

// farPointer reads the operand of a far jump or call.
func (c *CPU) farPointer(o *Op) (sel uint16, off uint64) {
	if o.x.Args[0].Kind == decode.Far {
		return uint16(o.x.Imm2), o.x.Imm
	}
	va := c.lin(o, uint(o.size)+2, false)
	return uint16(c.ld16(o, (va+uint64(o.size))&c.linMask)), c.ld(o, va, o.size)
}

// loadCS makes a code segment current.
func (c *CPU) loadCS(s x86.Segment, cpl uint8) {
	s.Sel = s.Sel&^3 | uint16(cpl)
	c.Seg[x86.CS] = s
	c.updateMode()
	c.setCPL(cpl)
}

// checkCodeOffset raises #GP(0) where an offset is outside of code segment s.
func (c *CPU) checkCodeOffset(o *Op, s *x86.Segment, off uint64) {
	if c.lma() && s.Attr&x86.SegL != 0 {
		if !canonical(off) {
			c.raise(o, x86.ExcGP, 0)
		}
	} else if off > uint64(s.Limit) {
		c.raise(o, x86.ExcGP, 0)
	}
}

// codeAttrOK refuses L and D both set in IA-32e mode.
func (c *CPU) codeAttrOK(d *descriptor) bool {
	return !c.lma() || d.hi>>21&3 != 3
}

func opJmpf(c *CPU, o *Op) *Op {
	sel, off := c.farPointer(o)
	if !c.protected() {
		if off > uint64(c.Seg[x86.CS].Limit) {
			c.raise(o, x86.ExcGP, 0)
		}
		c.realCS(sel)
		c.RIP = off
		return nil
	}
	if sel&^3 == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	if d.isSeg() {
		c.checkCodeDesc(o, &d, sel)
		s := d.segment(sel)
		c.checkCodeOffset(o, &s, off)
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		c.loadCS(s, c.CPL)
		c.RIP = c.maskIP(off)
		return nil
	}
	c.farSystem(o, sel, &d, switchJump)
	return nil
}

// farSystem is a far jump or call (how: switchJump or switchCall) through a
// system descriptor: a TSS, a task gate or a call gate.
func (c *CPU) farSystem(o *Op, sel uint16, d *descriptor, how int) {
	code := uint32(sel &^ 3)
	if d.dpl() < c.CPL || d.dpl() < uint8(sel&3) {
		c.raise(o, x86.ExcGP, code)
	}
	t := d.typ()
	gate := t == 12 || !c.lma() && t == 4
	task := !c.lma() && (t == 1 || t == 9 || t == 5)
	if !gate && !task {
		c.raise(o, x86.ExcGP, code)
	}
	if task && !d.present() {
		c.raise(o, x86.ExcNP, code) // of a call gate that is looked at later
	}
	switch ret := c.nextIP(o); {
	case task && t == 5:
		c.taskGate(o, d.gateSel(), how, ret)
	case task: // an available TSS
		c.switchTask(o, sel, d, how, ret)
	case how == switchJump:
		c.gateJump(o, sel, d)
	default:
		c.gateCall(o, sel, d, ret)
	}
}

// realCS loads CS in real and virtual-8086 mode.
func (c *CPU) realCS(sel uint16) {
	s := c.Seg[x86.CS]
	s.Sel, s.Base = sel, uint64(sel)<<4
	c.Seg[x86.CS] = s
	c.updateMode()
}

// checkCodeDesc checks a code segment descriptor as the target of a direct far
// jump or call.
func (c *CPU) checkCodeDesc(o *Op, d *descriptor, sel uint16) {
	code := uint32(sel &^ 3)
	rpl := uint8(sel & 3)
	if !d.isCode() || !c.codeAttrOK(d) {
		c.raise(o, x86.ExcGP, code)
	}
	if d.isConforming() {
		if d.dpl() > c.CPL {
			c.raise(o, x86.ExcGP, code)
		}
	} else if rpl > c.CPL || d.dpl() != c.CPL {
		c.raise(o, x86.ExcGP, code)
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, code)
	}
}

// gateTarget reads what a call gate leads to.
func (c *CPU) gateTarget(o *Op, gateSel uint16, g *descriptor) (sel uint16, off uint64, d descriptor) {
	code := uint32(gateSel &^ 3)
	off = uint64(g.gateOffset())
	if c.lma() {
		up := c.readUpper(o, g, gateSel, x86.ExcGP)
		off |= up << 32
	} else if g.typ() == 4 {
		off &= 0xffff
	}
	if !g.present() {
		c.raise(o, x86.ExcNP, code)
	}
	sel = g.gateSel()
	if sel&^3 == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	d = c.readDesc(o, sel, x86.ExcGP)
	code = uint32(sel &^ 3)
	if !d.isSeg() || !d.isCode() || d.dpl() > c.CPL {
		c.raise(o, x86.ExcGP, code)
	}
	if c.lma() && d.hi>>21&3 != 1 { // must be 64-bit code
		c.raise(o, x86.ExcGP, code)
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, code)
	}
	return sel, off, d
}

func (c *CPU) gateJump(o *Op, gateSel uint16, g *descriptor) {
	sel, off, d := c.gateTarget(o, gateSel, g)
	if !d.isConforming() && d.dpl() != c.CPL {
		c.raise(o, x86.ExcGP, uint32(sel&^3))
	}
	s := d.segment(sel)
	c.checkCodeOffset(o, &s, off)
	c.setAccessed(o, &d)
	s.Attr = d.attr()
	c.loadCS(s, c.CPL)
	c.RIP = c.maskIP(off)
}

func opCallf(c *CPU, o *Op) *Op {
	sel, off := c.farPointer(o)
	size := uint64(o.size)
	ret := c.nextIP(o)
	// The two slots that are pushed onto the same stack.
	pushBoth := func() {
		sp := c.R[x86.RSP]
		a := c.stackAt(o, sp-size, uint(size), true)
		b := c.stackAt(o, sp-2*size, uint(size), true)
		so := c.stackOp(o)
		c.probeWrite(so, a, uint(size))
		c.st(so, b, o.size, ret)
		c.st(so, a, o.size, uint64(c.Seg[x86.CS].Sel))
	}
	if !c.protected() {
		if off > uint64(c.Seg[x86.CS].Limit) {
			c.raise(o, x86.ExcGP, 0)
		}
		pushBoth()
		c.setSP(c.R[x86.RSP] - 2*size)
		c.realCS(sel)
		c.RIP = off
		return nil
	}
	if sel&^3 == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	if d.isSeg() {
		c.checkCodeDesc(o, &d, sel)
		s := d.segment(sel)
		c.checkCodeOffset(o, &s, off)
		pushBoth()
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		c.setSP(c.R[x86.RSP] - 2*size)
		c.loadCS(s, c.CPL)
		c.RIP = c.maskIP(off)
		return nil
	}
	c.farSystem(o, sel, &d, switchCall)
	return nil
}

// gateCall is a far call through a call gate.
func (c *CPU) gateCall(o *Op, gateSel uint16, g *descriptor, ret uint64) {
	sel, off, d := c.gateTarget(o, gateSel, g)
	s := d.segment(sel)
	size := uint8(4)
	switch {
	case c.lma():
		size = 8
	case g.typ() == 4:
		size = 2
	}
	oldCS := uint64(c.Seg[x86.CS].Sel)
	if d.isConforming() || d.dpl() == c.CPL {
		c.checkCodeOffset(o, &s, off)
		sp := c.R[x86.RSP]
		n := uint64(size)
		c.stackStore(o, c.stackAt(o, sp-n, uint(n), true), size, oldCS)
		c.stackStore(o, c.stackAt(o, sp-2*n, uint(n), true), size, ret)
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		c.setSP(sp - 2*n)
		c.loadCS(s, c.CPL)
		c.RIP = c.maskIP(off)
		return
	}
	// To an inner level: a new stack from the TSS, with parameters copied.
	cpl := d.dpl()
	ns := c.innerStack(o, cpl, 0)
	c.checkCodeOffset(o, &s, off)
	params := g.hi & 31
	if c.lma() {
		params = 0
	}
	args := make([]uint64, params)
	for i := range args {
		args[i] = c.peek(o, uint64(i)*uint64(size), size)
	}
	ns.push(uint64(c.Seg[x86.SS].Sel), size)
	ns.push(c.R[x86.RSP], size)
	for i := range args {
		ns.push(args[len(args)-1-i], size)
	}
	ns.push(oldCS, size)
	ns.push(ret, size)
	ns.store(o)
	c.setAccessed(o, &d)
	s.Attr = d.attr()
	c.loadCS(s, cpl)
	ns.commit()
	c.RIP = c.maskIP(off)
}

// opRetf is RET FAR (SDM volume 2, RET).
func opRetf(c *CPU, o *Op) *Op {
	size := uint64(o.size)
	extra := uint64(0)
	if o.x.NArgs != 0 {
		extra = o.imm & 0xffff
	}
	ip := c.peek(o, 0, o.size)
	sel := uint16(c.peek(o, size, o.size))
	if !c.protected() {
		if ip > uint64(c.Seg[x86.CS].Limit) {
			c.raise(o, x86.ExcGP, 0)
		}
		c.setSP(c.R[x86.RSP] + 2*size + extra)
		c.realCS(sel)
		c.RIP = ip
		return nil
	}
	s, d := c.returnCS(o, sel)
	c.checkCodeOffset(o, &s, ip)
	cpl := uint8(sel & 3)
	if cpl == c.CPL {
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		c.setSP(c.R[x86.RSP] + 2*size + extra)
		c.loadCS(s, cpl)
		c.RIP = c.maskIP(ip)
		return nil
	}
	sp := c.peek(o, 2*size+extra, o.size)
	ss := uint16(c.peek(o, 3*size+extra, o.size))
	nss := c.returnSS(o, ss, cpl, &s)
	c.setAccessed(o, &d)
	s.Attr = d.attr()
	c.loadCS(s, cpl)
	c.setSeg(x86.SS, nss)
	c.setSP(sp + extra)
	c.RIP = c.maskIP(ip)
	c.dropInnerSegs()
	return nil
}

// returnCS checks the code segment that a far return or IRET goes to.
func (c *CPU) returnCS(o *Op, sel uint16) (x86.Segment, descriptor) {
	if sel&^3 == 0 {
		c.raise(o, x86.ExcGP, 0)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	code := uint32(sel &^ 3)
	rpl := uint8(sel & 3)
	if !d.isSeg() || !d.isCode() || rpl < c.CPL || !c.codeAttrOK(&d) {
		c.raise(o, x86.ExcGP, code)
	}
	if d.isConforming() && d.dpl() > rpl || !d.isConforming() && d.dpl() != rpl {
		c.raise(o, x86.ExcGP, code)
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, code)
	}
	return d.segment(sel), d
}

// returnSS checks the stack segment that a return to outer level cpl, into code
// segment cs, goes to.
func (c *CPU) returnSS(o *Op, sel uint16, cpl uint8, cs *x86.Segment) x86.Segment {
	if sel&^3 == 0 {
		if c.lma() && cs.Attr&x86.SegL != 0 && cpl != 3 && uint8(sel&3) == cpl {
			return x86.Segment{Sel: sel, Attr: uint16(cpl) << 5}
		}
		c.raise(o, x86.ExcGP, 0)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	code := uint32(sel &^ 3)
	if uint8(sel&3) != cpl || !d.isSeg() || d.isCode() || d.typ()&2 == 0 || d.dpl() != cpl {
		c.raise(o, x86.ExcGP, code)
	}
	if !d.present() {
		c.raise(o, x86.ExcSS, code)
	}
	c.setAccessed(o, &d)
	return d.segment(sel)
}

// dropInnerSegs makes data segments null that the new, outer level may not use.
func (c *CPU) dropInnerSegs() {
	for _, i := range []uint8{x86.ES, x86.DS, x86.FS, x86.GS} {
		s := &c.Seg[i]
		conforming := s.Attr&(x86.SegCode|x86.SegDown) == x86.SegCode|x86.SegDown
		if s.Attr&x86.SegP != 0 && !conforming && s.DPL() < c.CPL {
			n := x86.Segment{}
			if i >= x86.FS && c.lma() {
				n.Base = s.Base
			}
			c.setSeg(i, n)
		}
	}
}

// System descriptors.

func opLldt(c *CPU, o *Op) *Op {
	c.needProtected(o)
	c.needCPL0(o)
	sel := uint16(c.arg(o, 0))
	if sel&^3 == 0 {
		c.LDTR = x86.Segment{Sel: sel}
		return o.next
	}
	code := uint32(sel &^ 3)
	if sel&4 != 0 {
		c.raise(o, x86.ExcGP, code)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	if d.isSeg() || d.typ() != 2 {
		c.raise(o, x86.ExcGP, code)
	}
	s := d.segment(sel)
	if c.lma() {
		s.Base |= c.readUpper(o, &d, sel, x86.ExcGP) << 32
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, code)
	}
	if !canonical(s.Base) {
		c.raise(o, x86.ExcGP, 0)
	}
	c.LDTR = s
	return o.next
}

func opLtr(c *CPU, o *Op) *Op {
	c.needProtected(o)
	c.needCPL0(o)
	sel := uint16(c.arg(o, 0))
	code := uint32(sel &^ 3)
	if sel&^3 == 0 || sel&4 != 0 {
		c.raise(o, x86.ExcGP, code)
	}
	d := c.readDesc(o, sel, x86.ExcGP)
	if d.isSeg() || d.typ() != 9 && (d.typ() != 1 || c.lma()) {
		c.raise(o, x86.ExcGP, code)
	}
	s := d.segment(sel)
	if c.lma() {
		s.Base |= c.readUpper(o, &d, sel, x86.ExcGP) << 32
	}
	if !d.present() {
		c.raise(o, x86.ExcNP, code)
	}
	if !canonical(s.Base) {
		c.raise(o, x86.ExcGP, 0)
	}
	c.sysStore(o, d.addr+5, 1, uint64(d.hi>>8&0xff|2))
	s.Attr |= 2
	c.TR = s
	return o.next
}

func opSldt(c *CPU, o *Op) *Op {
	c.needProtected(o)
	c.checkUMIP(o)
	v := uint64(c.LDTR.Sel)
	if o.cc == 1 {
		v = uint64(c.TR.Sel)
	}
	c.setArg(o, 0, v)
	return o.next
}

func (c *CPU) needProtected(o *Op) {
	if !c.protected() {
		c.raise(o, x86.ExcUD, 0)
	}
}

func (c *CPU) needCPL0(o *Op) {
	if c.CPL != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
}

func (c *CPU) checkUMIP(o *Op) {
	if c.CPL != 0 && c.CR4&x86.CR4UMIP != 0 {
		c.raise(o, x86.ExcGP, 0)
	}
}

func opLgdt(c *CPU, o *Op) *Op {
	c.needCPL0(o)
	size := uint(6)
	if c.long {
		size = 10
	}
	va := c.lin(o, size, false)
	limit := c.ld16(o, va)
	var base uint64
	if c.long {
		base = c.ld64(o, va+2)
		if !canonical(base) {
			c.raise(o, x86.ExcGP, 0)
		}
	} else {
		base = c.ld32(o, (va+2)&0xffffffff)
		if o.size == 2 {
			base &= 0xffffff
		}
	}
	t := x86.Table{Base: base, Limit: uint16(limit)}
	if o.cc == 0 {
		c.GDTR = t
	} else {
		c.IDTR = t
	}
	return o.next
}

func opSgdt(c *CPU, o *Op) *Op {
	c.checkUMIP(o)
	t := c.GDTR
	if o.cc == 1 {
		t = c.IDTR
	}
	size := uint(6)
	if c.long {
		size = 10
	}
	va := c.lin(o, size, true)
	c.probeWrite(o, va, size)
	c.st16(o, va, uint64(t.Limit))
	if c.long {
		c.st64(o, va+2, t.Base)
	} else {
		c.st32(o, (va+2)&0xffffffff, t.Base)
	}
	return o.next
}

// accessible finds a descriptor for LAR, LSL, VERR and VERW, which never raise
// for a bad selector.
func (c *CPU) accessible(o *Op, sel uint16) (d descriptor, ok bool) {
	if sel&^3 == 0 {
		return d, false
	}
	d, ok = c.findDesc(o, sel)
	if !ok {
		return d, false
	}
	if d.isConforming() {
		return d, true
	}
	rpl := uint8(sel & 3)
	return d, c.CPL <= d.dpl() && rpl <= d.dpl()
}

func (c *CPU) setZF(z bool) {
	c.setFlags(c.flags()&^x86.FlagZF | b2u(z)<<6)
}

func opLar(c *CPU, o *Op) *Op {
	c.needProtected(o)
	sel := uint16(c.arg(o, 1))
	d, ok := c.accessible(o, sel)
	if ok && !d.isSeg() {
		switch d.typ() {
		case 1, 3, 4, 5:
			ok = !c.lma()
		case 2, 9, 11, 12:
		default:
			ok = false
		}
	}
	if ok {
		c.setReg(o.x.Args[0].Reg, o.size, uint64(d.hi&0x00ffff00))
	}
	c.setZF(ok)
	return o.next
}

func opLsl(c *CPU, o *Op) *Op {
	c.needProtected(o)
	sel := uint16(c.arg(o, 1))
	d, ok := c.accessible(o, sel)
	if ok && !d.isSeg() {
		switch d.typ() {
		case 1, 3:
			ok = !c.lma()
		case 2, 9, 11:
		default:
			ok = false
		}
	}
	if ok {
		c.setReg(o.x.Args[0].Reg, o.size, uint64(d.limit()))
	}
	c.setZF(ok)
	return o.next
}

func opVerr(c *CPU, o *Op) *Op {
	c.needProtected(o)
	d, ok := c.accessible(o, uint16(c.arg(o, 0)))
	ok = ok && d.isSeg()
	if o.cc == 1 {
		ok = ok && !d.isCode() && d.typ()&2 != 0
	} else {
		ok = ok && (!d.isCode() || d.typ()&2 != 0)
	}
	c.setZF(ok)
	return o.next
}

func opArpl(c *CPU, o *Op) *Op {
	c.needProtected(o)
	a, va := c.update(o)
	b := c.arg(o, 1)
	z := a&3 < b&3
	if z {
		a = a&^3 | b&3
	}
	c.finish(o, va, a)
	c.setZF(z)
	return o.next
}
