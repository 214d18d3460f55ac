package interp

// Exceptions and interrupts: raising them, and delivery through the IDT or the
// real-mode vector table (SDM volume 3, chapter 6).
//
// A handler that finds a fault calls raise, which sets RIP to the instruction
// and panics with the CPU's fault record; the run loop recovers and delivers.
// Delivery may fault itself; deliverFault then applies the double-fault table. In
// every delivery, memory is written first and registers change last.

import (
	"hotblock/mmu"
	"hotblock/x86"
)

func init() {
	end("int", opInt)
	end("int3", opInt3)
	end("int1", opInt1)
	end("into", opInto)
	stack("iret", opIret).ends = true
	end("ud2", opUD)
	end("ud1", opUD)
	end("ud0", opUD)
}

// fault is an exception on its way to delivery.
type fault struct {
	vec  uint8
	code uint32
}

// noCode is written where an exception has no error code.
const noCode = 0

// hasCode says which exceptions push an error code.
func hasCode(vec uint8) bool {
	switch vec {
	case x86.ExcDF, x86.ExcTS, x86.ExcNP, x86.ExcSS, x86.ExcGP, x86.ExcPF, x86.ExcAC:
		return true
	}
	return false
}

// raise abandons the instruction o with an exception. With o nil RIP is right
// already. It does not return.
func (c *CPU) raise(o *Op, vec uint8, code uint32) {
	if o != nil {
		c.RIP = c.ripAt(o.off)
	}
	c.fault = fault{vec, code}
	panic(&c.fault)
}

// raiseAt raises an exception with ip as the instruction.
func (c *CPU) raiseAt(ip uint64, vec uint8, code uint32) {
	c.RIP = ip
	c.raise(nil, vec, code)
}

// raisePF raises a page fault for address va.
func (c *CPU) raisePF(o *Op, va uint64, code uint32) {
	c.CR2 = va
	c.stats.PageFaults++
	c.raise(o, x86.ExcPF, code)
}

// Kinds of event, for delivery.
type eventKind uint8

const (
	evException eventKind = iota
	evExternal
	evSoft // INT n, INT3, INTO
)

func contributory(vec uint8) bool {
	switch vec {
	case x86.ExcDE, x86.ExcTS, x86.ExcNP, x86.ExcSS, x86.ExcGP:
		return true
	}
	return false
}

// maxNested bounds the exceptions that come of delivering one. Benign ones such
// as #AC on the handler's own stack may follow on each other for ever, and hang a
// processor (CVE-2015-5307); here that is a shutdown.
const maxNested = 16

// deliverFault delivers an exception, and what comes of delivering it (SDM
// volume 3, table 6-5).
func (c *CPU) deliverFault(f *fault) {
	cur := *f
	for n := 0; ; n++ {
		c.Log.exception(c, cur.vec, cur.code)
		next, ok := c.tryDeliver(cur)
		if ok {
			return
		}
		switch {
		case cur.vec == x86.ExcDF && (contributory(next.vec) || next.vec == x86.ExcPF), n == maxNested:
			c.Log.tripleFault(c)
			c.shutdown = true
			return
		case contributory(cur.vec) && contributory(next.vec),
			cur.vec == x86.ExcPF && (contributory(next.vec) || next.vec == x86.ExcPF):
			cur = fault{vec: x86.ExcDF}
		default:
			cur = next
		}
	}
}

// tryDeliver delivers one exception; ok is false and next says why if that
// raised another.
func (c *CPU) tryDeliver(f fault) (next fault, ok bool) {
	defer func() {
		if r := recover(); r != nil {
			g, is := r.(*fault)
			if !is {
				panic(r)
			}
			next = *g
			next.setExt()
		}
	}()
	c.event(f.vec, f.code, evException, c.RIP)
	return fault{}, true
}

// setExt marks a fault as raised while an event from outside of the program was
// delivered (SDM volume 3, 6.13).
func (f *fault) setExt() {
	switch f.vec {
	case x86.ExcTS, x86.ExcNP, x86.ExcSS, x86.ExcGP:
		f.code |= 1
	}
}

// interrupt delivers an interrupt that is not an exception of the current
// instruction; RIP is where it returns to.
func (c *CPU) interrupt(vec uint8, kind eventKind) {
	c.Log.interrupt(c, vec)
	defer func() {
		if r := recover(); r != nil {
			if f, ok := r.(*fault); ok {
				f.setExt()
			}
			panic(r)
		}
	}()
	c.event(vec, 0, kind, c.RIP)
}

// deliverTrapDB delivers #DB after an instruction; DR6 is set already.
func (c *CPU) deliverTrapDB() {
	c.DR[7] &^= 1 << 13
	c.updateDebug()
	c.deliverFault(&fault{vec: x86.ExcDB})
}

// event delivers vector vec; retIP is the instruction pointer to save.
func (c *CPU) event(vec uint8, code uint32, kind eventKind, retIP uint64) {
	c.Halted = false
	switch {
	case c.CR0&x86.CR0PE == 0:
		c.realEvent(vec, retIP)
	case c.lma():
		c.longEvent(vec, code, kind, retIP)
	default:
		c.protEvent(vec, code, kind, retIP)
	}
	c.Shadow, c.ShadowSS = false, false
}

// pushedFlags are the flags as an event saves them: a fault sets RF, so that an
// instruction breakpoint does not hit again on return.
func (c *CPU) pushedFlags(vec uint8, kind eventKind) uint64 {
	f := c.RFLAGS()
	if kind == evException && vec != x86.ExcDB && vec != x86.ExcBP && vec != x86.ExcOF && vec != x86.ExcDF && vec != x86.ExcMC {
		f |= x86.FlagRF
	}
	return f
}

func (c *CPU) realEvent(vec uint8, retIP uint64) {
	if uint32(vec)*4+3 > uint32(c.IDTR.Limit) {
		c.raise(nil, x86.ExcGP, 0)
	}
	v := c.sysLoad(nil, (c.IDTR.Base+uint64(vec)*4)&0xffffffff, 4)
	sp := c.R[x86.RSP]
	vals := [3]uint64{c.RFLAGS(), uint64(c.Seg[x86.CS].Sel), retIP}
	for i, x := range vals {
		c.st16(nilOp, c.stackAt(nil, sp-uint64(2*i+2), 2, true), x)
	}
	c.setSP(sp - 6)
	old := c.Flags
	c.Flags &^= x86.FlagIF | x86.FlagTF | x86.FlagAC | x86.FlagRF
	c.flagsChanged(old)
	c.realCS(uint16(v >> 16))
	c.RIP = v & 0xffff
}

// nilOp stands for no instruction where an Op is needed.
var nilOp = &Op{fn: opResync}

// A newStack collects what an event or a gate pushes, so that all of it is
// written before any register changes.
type newStack struct {
	c    *CPU
	seg  x86.Segment
	sp   uint64
	mask uint64
	cpl  uint8
	vals []stackSlot
	buf  [12]stackSlot
}

type stackSlot struct {
	sp, v uint64
	size  uint8
}

func (n *newStack) push(v uint64, size uint8) {
	n.sp = (n.sp - uint64(size)) & n.mask
	n.vals = append(n.vals, stackSlot{n.sp, v, size})
}

// store writes what was pushed. A segment violation is #SS with the selector.
func (n *newStack) store(o *Op) {
	for _, s := range n.vals {
		va := s.sp
		if !n.c.lma() {
			last := s.sp + uint64(s.size) - 1
			bad := last > uint64(n.seg.Limit)
			if n.seg.Attr&x86.SegDown != 0 {
				top := uint64(0xffff)
				if n.seg.Attr&x86.SegD != 0 {
					top = 0xffffffff
				}
				bad = s.sp <= uint64(n.seg.Limit) || last > top
			}
			if bad {
				code := uint32(0)
				if n.cpl != n.c.CPL {
					code = uint32(n.seg.Sel &^ 3)
				}
				n.c.raise(o, x86.ExcSS, code)
			}
			va = (s.sp + n.seg.Base) & 0xffffffff
		} else if !canonical(va) {
			n.c.raise(o, x86.ExcSS, 0)
		}
		if n.cpl < 3 {
			n.c.sysStore(o, va, uint(s.size), s.v)
		} else {
			n.c.st(orNil(o), va, s.size, s.v)
		}
	}
}

func orNil(o *Op) *Op {
	if o == nil {
		return nilOp
	}
	return o
}

// commit makes the stack current; CPL has been set.
func (n *newStack) commit() {
	n.c.setSeg(x86.SS, n.seg)
	n.c.R[x86.RSP] = n.c.R[x86.RSP]&^n.mask | n.sp
	if n.mask == 0xffffffff {
		n.c.R[x86.RSP] &= n.mask
	}
}

// sameStack continues on the current stack.
func (c *CPU) sameStack() *newStack {
	n := &newStack{c: c, seg: c.Seg[x86.SS], mask: c.stackMask(), cpl: c.CPL}
	if c.lma() {
		n.mask = ^uint64(0)
	}
	n.sp = c.R[x86.RSP] & n.mask
	n.vals = n.buf[:0]
	return n
}

// innerStack is the stack for privilege level cpl from the TSS; in IA-32e mode
// ist, if not 0, is the number of an interrupt stack.
func (c *CPU) innerStack(o *Op, cpl, ist uint8) *newStack {
	n := &newStack{c: c, cpl: cpl}
	n.vals = n.buf[:0]
	tr := &c.TR
	bad := func() { c.raise(o, x86.ExcTS, uint32(tr.Sel&^3)) }
	if c.lma() {
		off := uint64(4 + 8*uint64(cpl))
		if ist != 0 {
			off = 36 + 8*uint64(ist-1)
		}
		if off+7 > uint64(tr.Limit) {
			bad()
		}
		n.sp = c.sysLoad(o, tr.Base+off, 8)
		n.mask = ^uint64(0)
		if !canonical(n.sp) {
			c.raise(o, x86.ExcSS, 0)
		}
		n.seg = x86.Segment{Sel: uint16(cpl), Attr: uint16(cpl) << 5}
		return n
	}
	var sel uint16
	if tr.Attr&8 != 0 { // 32-bit TSS
		off := uint64(4 + 8*uint64(cpl))
		if off+5 > uint64(tr.Limit) {
			bad()
		}
		n.sp = c.sysLoad(o, tr.Base+off, 4)
		sel = uint16(c.sysLoad(o, tr.Base+off+4, 2))
	} else {
		off := uint64(2 + 4*uint64(cpl))
		if off+3 > uint64(tr.Limit) {
			bad()
		}
		n.sp = c.sysLoad(o, tr.Base+off, 2)
		sel = uint16(c.sysLoad(o, tr.Base+off+2, 2))
	}
	code := uint32(sel &^ 3)
	if sel&^3 == 0 {
		c.raise(o, x86.ExcTS, 0)
	}
	d := c.readDesc(o, sel, x86.ExcTS)
	if uint8(sel&3) != cpl || d.dpl() != cpl || !d.isSeg() || d.isCode() || d.typ()&2 == 0 {
		c.raise(o, x86.ExcTS, code)
	}
	if !d.present() {
		c.raise(o, x86.ExcSS, code)
	}
	c.setAccessed(o, &d)
	n.seg = d.segment(sel)
	n.mask = 0xffff
	if n.seg.Attr&x86.SegD != 0 {
		n.mask = 0xffffffff
	}
	n.sp &= n.mask
	return n
}

// eventCode is an error code that names an IDT entry.
func idtCode(vec uint8, kind eventKind) uint32 {
	code := uint32(vec)<<3 | 2
	if kind != evSoft {
		code |= 1
	}
	return code
}

func ext(kind eventKind) uint32 {
	if kind == evSoft {
		return 0
	}
	return 1
}

func (c *CPU) longEvent(vec uint8, code uint32, kind eventKind, retIP uint64) {
	if uint32(vec)*16+15 > uint32(c.IDTR.Limit) {
		c.raise(nil, x86.ExcGP, idtCode(vec, kind))
	}
	lo := c.sysLoad(nil, c.IDTR.Base+uint64(vec)*16, 8)
	hi := c.sysLoad(nil, c.IDTR.Base+uint64(vec)*16+8, 8)
	typ := lo >> 40 & 0x1f
	if typ != 14 && typ != 15 || kind == evSoft && uint8(lo>>45&3) < c.CPL {
		c.raise(nil, x86.ExcGP, idtCode(vec, kind))
	}
	if lo>>47&1 == 0 {
		c.raise(nil, x86.ExcNP, idtCode(vec, kind))
	}
	sel := uint16(lo >> 16)
	off := lo&0xffff | lo>>32&0xffff0000 | hi<<32
	if sel&^3 == 0 {
		c.raise(nil, x86.ExcGP, ext(kind))
	}
	d, ok := c.findDesc(nil, sel)
	sc := uint32(sel&^3) | ext(kind)
	if !ok || !d.isSeg() || !d.isCode() || d.dpl() > c.CPL || d.hi>>21&3 != 1 {
		c.raise(nil, x86.ExcGP, sc)
	}
	if !d.present() {
		c.raise(nil, x86.ExcNP, sc)
	}
	cpl := c.CPL
	if !d.isConforming() {
		cpl = d.dpl()
	}
	ist := uint8(lo >> 32 & 7)
	var n *newStack
	if ist != 0 || cpl < c.CPL {
		n = c.innerStack(nil, cpl, ist)
		if cpl == c.CPL {
			n.seg = c.Seg[x86.SS] // an interrupt stack alone does not change SS
		}
	} else {
		n = c.sameStack()
	}
	if !canonical(off) {
		c.raise(nil, x86.ExcGP, ext(kind))
	}
	n.sp &^= 15
	n.push(uint64(c.Seg[x86.SS].Sel), 8)
	n.push(c.R[x86.RSP], 8)
	n.push(c.pushedFlags(vec, kind), 8)
	n.push(uint64(c.Seg[x86.CS].Sel), 8)
	n.push(retIP, 8)
	if kind == evException && hasCode(vec) {
		n.push(uint64(code), 8)
	}
	n.store(nil)
	c.setAccessed(nil, &d)
	old := c.Flags
	c.Flags &^= x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagVM
	if typ == 14 {
		c.Flags &^= x86.FlagIF
	}
	s := d.segment(sel)
	s.Attr = d.attr()
	c.loadCS(s, cpl)
	n.commit()
	c.flagsChanged(old)
	c.RIP = off
}

func (c *CPU) protEvent(vec uint8, code uint32, kind eventKind, retIP uint64) {
	if uint32(vec)*8+7 > uint32(c.IDTR.Limit) {
		c.raise(nil, x86.ExcGP, idtCode(vec, kind))
	}
	v := c.sysLoad(nil, (c.IDTR.Base+uint64(vec)*8)&0xffffffff, 8)
	g := descriptor{lo: uint32(v), hi: uint32(v >> 32)}
	typ := g.typ()
	if g.isSeg() || typ != 5 && typ != 6 && typ != 7 && typ != 14 && typ != 15 || kind == evSoft && g.dpl() < c.CPL {
		c.raise(nil, x86.ExcGP, idtCode(vec, kind))
	}
	if !g.present() {
		c.raise(nil, x86.ExcNP, idtCode(vec, kind))
	}
	if typ == 5 {
		c.taskGate(nil, g.gateSel(), switchGate, retIP)
		if kind == evException && hasCode(vec) {
			size := uint8(4)
			if c.TR.Attr&8 == 0 {
				size = 2
			}
			c.push(nil2(c), uint64(code), size)
		}
		return
	}
	sel := g.gateSel()
	off := uint64(g.gateOffset())
	size := uint8(4)
	if typ < 14 {
		size = 2
		off &= 0xffff
	}
	if sel&^3 == 0 {
		c.raise(nil, x86.ExcGP, ext(kind))
	}
	d, ok := c.findDesc(nil, sel)
	sc := uint32(sel&^3) | ext(kind)
	if !ok || !d.isSeg() || !d.isCode() || d.dpl() > c.CPL {
		c.raise(nil, x86.ExcGP, sc)
	}
	if !d.present() {
		c.raise(nil, x86.ExcNP, sc)
	}
	vm := c.v86()
	cpl := c.CPL
	if !d.isConforming() {
		cpl = d.dpl()
	}
	if vm && cpl != 0 {
		c.raise(nil, x86.ExcGP, sc)
	}
	flags := c.pushedFlags(vec, kind)
	var n *newStack
	if cpl < c.CPL {
		n = c.innerStack(nil, cpl, 0)
		if vm {
			for _, i := range []int{x86.GS, x86.FS, x86.DS, x86.ES} {
				n.push(uint64(c.Seg[i].Sel), size)
			}
		}
		n.push(uint64(c.Seg[x86.SS].Sel), size)
		n.push(c.R[x86.RSP], size)
	} else {
		n = c.sameStack()
	}
	s := d.segment(sel)
	if off > uint64(s.Limit) {
		c.raise(nil, x86.ExcGP, ext(kind))
	}
	n.push(flags, size)
	n.push(uint64(c.Seg[x86.CS].Sel), size)
	n.push(retIP, size)
	if kind == evException && hasCode(vec) {
		n.push(uint64(code), size)
	}
	n.store(nil)
	c.setAccessed(nil, &d)
	s.Attr = d.attr()
	old := c.Flags
	c.Flags &^= x86.FlagTF | x86.FlagNT | x86.FlagRF | x86.FlagVM
	if typ&1 == 0 {
		c.Flags &^= x86.FlagIF
	}
	if vm {
		for _, i := range []uint8{x86.GS, x86.FS, x86.DS, x86.ES} {
			c.setSeg(i, x86.Segment{})
		}
	}
	c.loadCS(s, cpl)
	n.commit()
	c.flagsChanged(old)
	c.RIP = c.maskIP(off)
}

// nil2 is an Op for stack accesses outside of any instruction; RIP is right.
func nil2(c *CPU) *Op {
	c.R[x86.RPage] = c.RIP
	return &Op{fn: opResync, seg: x86.SS}
}

func opUD(c *CPU, o *Op) *Op {
	c.raise(o, x86.ExcUD, 0)
	return nil
}

// softInt is a software interrupt: a trap whose gate's DPL counts.
func (c *CPU) softInt(o *Op, vec uint8) *Op {
	c.RIP = c.ripAt(o.off)
	ret := c.nextIP(o)
	c.Log.interrupt(c, vec)
	if c.v86() && o.x.Op == opIDInt {
		if c.v86SoftInt(o, vec, ret) {
			return nil
		}
	}
	c.event(vec, 0, evSoft, ret)
	return nil
}

func opInt(c *CPU, o *Op) *Op { return c.softInt(o, uint8(o.imm)) }

func opInt3(c *CPU, o *Op) *Op { return c.softInt(o, x86.ExcBP) }

func opInto(c *CPU, o *Op) *Op {
	if c.of() == 0 {
		return o.next
	}
	return c.softInt(o, x86.ExcOF)
}

// opInt1 is ICEBP: #DB as a trap, without the DPL check.
func opInt1(c *CPU, o *Op) *Op {
	c.RIP = c.ripAt(o.off)
	c.DR[7] &^= 1 << 13
	c.event(x86.ExcDB, 0, evException, c.nextIP(o))
	return nil
}

// v86SoftInt handles INT n in virtual-8086 mode: with VME and a clear bit in the
// TSS's redirection map the interrupt goes through the real-mode table; otherwise
// it needs IOPL 3 (SDM volume 3, 21.3.3). It reports whether it did all there is
// to do.
func (c *CPU) v86SoftInt(o *Op, vec uint8, ret uint64) bool {
	if c.CR4&x86.CR4VME != 0 && c.TR.Attr&8 != 0 {
		mapBase := c.sysLoad(o, c.TR.Base+102, 2)
		at := mapBase - 32 + uint64(vec/8)
		if mapBase >= 32 && at <= uint64(c.TR.Limit) && c.sysLoad(o, c.TR.Base+at, 1)>>(vec&7)&1 == 0 {
			v := c.ld32(o, uint64(vec)*4)
			f := c.RFLAGS()
			if c.iopl() < 3 {
				f = f&^x86.FlagIF | x86.FlagIOPL | (c.Flags & x86.FlagVIF >> 10)
			}
			sp := c.R[x86.RSP]
			for i, x := range [3]uint64{f, uint64(c.Seg[x86.CS].Sel), ret} {
				c.st16(o, c.stackAt(o, sp-uint64(2*i+2), 2, true), x)
			}
			c.setSP(sp - 6)
			old := c.Flags
			if c.iopl() < 3 {
				c.Flags &^= x86.FlagVIF
			} else {
				c.Flags &^= x86.FlagIF
			}
			c.Flags &^= x86.FlagTF
			c.flagsChanged(old)
			c.realCS(uint16(v >> 16))
			c.RIP = v & 0xffff
			return true
		}
	}
	if c.iopl() < 3 {
		c.raise(o, x86.ExcGP, 0)
	}
	return false
}

// opIret is IRET in all modes (SDM volume 2, IRET).
func opIret(c *CPU, o *Op) *Op {
	size := o.size
	n := uint64(size)
	if c.CR0&x86.CR0PE == 0 || c.v86() {
		return c.iretReal(o)
	}
	if c.Flags&x86.FlagNT != 0 {
		if c.lma() {
			c.raise(o, x86.ExcGP, 0)
		}
		link := uint16(c.sysLoad(o, c.TR.Base, 2))
		if link&4 != 0 {
			c.raise(o, x86.ExcTS, uint32(link&^3))
		}
		d := c.readDesc(o, link, x86.ExcTS)
		if d.isSeg() || d.typ() != 3 && d.typ() != 11 {
			c.raise(o, x86.ExcTS, uint32(link&^3))
		}
		if !d.present() {
			c.raise(o, x86.ExcNP, uint32(link&^3))
		}
		c.unmaskNMI()
		c.switchTask(o, link, &d, switchIret, c.nextIP(o))
		return nil
	}
	ip := c.peek(o, 0, size)
	sel := uint16(c.peek(o, n, size))
	f := c.peek(o, 2*n, size)
	if f&x86.FlagVM != 0 && c.CPL == 0 && !c.lma() && size == 4 {
		return c.iretV86(o, ip, sel, f)
	}
	s, d := c.returnCS(o, sel)
	cpl := uint8(sel & 3)
	mask := uint64(x86.FlagsArith | x86.FlagTF | x86.FlagDF | x86.FlagNT)
	if size != 2 {
		mask |= x86.FlagRF | x86.FlagAC | x86.FlagID
	}
	if c.CPL <= c.iopl() {
		mask |= x86.FlagIF
	}
	if c.CPL == 0 {
		mask |= x86.FlagIOPL
		if size != 2 {
			mask |= x86.FlagVIF | x86.FlagVIP
		}
	}
	c.checkCodeOffset(o, &s, ip)
	if cpl == c.CPL && !c.long {
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		c.setSP(c.R[x86.RSP] + 3*n)
		c.loadCS(s, cpl)
	} else {
		sp := c.peek(o, 3*n, size)
		ss := uint16(c.peek(o, 4*n, size))
		nss := c.returnSS(o, ss, cpl, &s)
		c.setAccessed(o, &d)
		s.Attr = d.attr()
		outer := cpl != c.CPL
		c.loadCS(s, cpl)
		c.setSeg(x86.SS, nss)
		if size == 8 && !c.long && nss.Attr&x86.SegD == 0 {
			c.R[x86.RSP] = c.R[x86.RSP]&^0xffff | sp&0xffff
		} else {
			c.setSP(sp)
		}
		if outer {
			c.dropInnerSegs()
		}
	}
	c.writeFlags(f, mask)
	c.dropRF()
	c.RIP = c.maskIP(ip)
	c.unmaskNMI()
	return c.goTo2(c.RIP)
}

// goTo2 is goTo after a change of privilege or mode: the loop is left where
// interrupts or debug state must be looked at first.
func (c *CPU) goTo2(ip uint64) *Op {
	if c.recheck || c.dbActive || c.stepping {
		c.RIP = ip
		return nil
	}
	return c.goTo(ip)
}

func (c *CPU) iretReal(o *Op) *Op {
	if c.v86() && c.iopl() < 3 && (c.CR4&x86.CR4VME == 0 || o.size != 2) {
		c.raise(o, x86.ExcGP, 0)
	}
	n := uint64(o.size)
	ip := c.peek(o, 0, o.size)
	sel := uint16(c.peek(o, n, o.size))
	f := c.peek(o, 2*n, o.size)
	if ip > uint64(c.Seg[x86.CS].Limit) {
		c.raise(o, x86.ExcGP, 0)
	}
	mask := uint64(x86.FlagsArith | x86.FlagTF | x86.FlagDF | x86.FlagNT | x86.FlagIF | x86.FlagIOPL)
	if o.size != 2 {
		mask |= x86.FlagRF | x86.FlagAC | x86.FlagID
	}
	if c.v86() {
		mask &^= x86.FlagIOPL
		if c.iopl() < 3 {
			if f&x86.FlagTF != 0 || f&x86.FlagIF != 0 && c.Flags&x86.FlagVIP != 0 {
				c.raise(o, x86.ExcGP, 0)
			}
			mask &^= x86.FlagIF
			c.Flags = c.Flags&^x86.FlagVIF | f&x86.FlagIF<<10
		}
	}
	c.setSP(c.R[x86.RSP] + 3*n)
	c.realCS(sel)
	c.writeFlags(f, mask)
	c.dropRF()
	c.RIP = ip
	c.unmaskNMI()
	return nil
}

// dropRF clears EFLAGS.RF after IRET set it, unless instruction breakpoints are
// about. The next instruction would clear it, and only breakpoints can tell.
func (c *CPU) dropRF() {
	if !c.dbActive {
		c.Flags &^= x86.FlagRF
	}
}

// iretV86 returns to virtual-8086 mode.
func (c *CPU) iretV86(o *Op, ip uint64, sel uint16, f uint64) *Op {
	var v [6]uint64 // ESP SS ES DS FS GS
	for i := range v {
		v[i] = c.peek(o, uint64(12+4*i), 4)
	}
	mask := uint64(x86.FlagsArith | 0x3f7f00)
	c.writeFlags(f, mask)
	c.dropRF()
	seg := func(i uint8, s uint64) {
		c.setSeg(i, x86.Segment{Sel: uint16(s), Base: s & 0xffff << 4, Limit: 0xffff, Attr: 0xf3})
	}
	seg(x86.SS, v[1])
	seg(x86.ES, v[2])
	seg(x86.DS, v[3])
	seg(x86.FS, v[4])
	seg(x86.GS, v[5])
	c.Seg[x86.CS] = x86.Segment{Sel: sel, Base: uint64(sel) << 4, Limit: 0xffff, Attr: 0xfb}
	c.updateMode()
	c.setCPL(3)
	c.updatePrivilege()
	c.R[x86.RSP] = v[0]
	c.RIP = ip & 0xffff
	c.unmaskNMI()
	return nil
}

// Debug registers (SDM volume 3, chapter 17).

// updateDebug decides whether the CPU has to run instruction by instruction.
func (c *CPU) updateDebug() {
	was := c.dbActive
	c.dbActive = c.Flags&x86.FlagTF != 0 || c.DR[7]&0xff != 0
	if c.dbActive && !was {
		// Pages with data breakpoints must leave the TLBs.
		for i := range c.sh.tlbs {
			c.sh.tlbs[i].flush(true)
		}
		c.recheck = true
	}
}

// breakpoint returns the address range of breakpoint i and its type; ok is
// false if it is not enabled.
func (c *CPU) breakpoint(i int) (addr, size uint64, typ uint8, ok bool) {
	if c.DR[7]>>(2*i)&3 == 0 {
		return
	}
	typ = uint8(c.DR[7] >> (16 + 4*i) & 3)
	size = [4]uint64{1, 2, 8, 4}[c.DR[7]>>(18+4*i)&3]
	return c.DR[i] &^ (size - 1), size, typ, true
}

// checkExecBreakpoint raises #DB as a fault at an instruction breakpoint.
func (c *CPU) checkExecBreakpoint() {
	if c.DR[7]&0xff == 0 || c.Flags&x86.FlagRF != 0 {
		return
	}
	lin := (c.RIP + c.R[x86.RSeg+x86.CS]) & c.linMask
	hit := uint64(0)
	for i := range 4 {
		if a, _, t, ok := c.breakpoint(i); ok && t == 0 && a == lin {
			hit |= 1 << i
		}
	}
	if hit != 0 {
		c.DR[6] = c.DR[6]&^15 | hit
		c.DR[7] &^= 1 << 13
		c.raise(nil, x86.ExcDB, 0)
	}
}

// checkDataBreakpoint notes data breakpoints that an access hits, and reports
// whether the page holds any.
func (c *CPU) checkDataBreakpoint(va uint64, size uint, acc mmu.Access) bool {
	watched := false
	for i := range 4 {
		a, n, t, ok := c.breakpoint(i)
		if !ok || t != 1 && t != 3 {
			continue
		}
		watched = watched || a&^pageMask == va&^pageMask
		if (t == 3 || acc&mmu.Write != 0) && va < a+n && a < va+uint64(size) {
			c.dbTrap |= 1 << i
		}
	}
	return watched
}

// checkIOBreakpoint notes I/O breakpoints that an access hits.
func (c *CPU) checkIOBreakpoint(port uint16, size uint8) {
	if c.DR[7]&0xff == 0 || c.CR4&x86.CR4DE == 0 {
		return
	}
	for i := range 4 {
		if a, n, t, ok := c.breakpoint(i); ok && t == 2 && uint64(port) < a+n && a < uint64(port)+uint64(size) {
			c.dbTrap |= 1 << i
		}
	}
}

func (c *CPU) checkDR(o *Op, reg uint8) (uint8, bool) {
	if reg == 4 || reg == 5 {
		if c.CR4&x86.CR4DE != 0 {
			return 0, false
		}
		reg += 2
	}
	c.needCPL0(o)
	if c.DR[7]&(1<<13) != 0 { // general detect
		c.DR[7] &^= 1 << 13
		c.DR[6] |= 1 << 13
		c.raise(o, x86.ExcDB, 0)
	}
	return reg, true
}

func (c *CPU) movFromDR(o *Op) *Op {
	r, ok := c.checkDR(o, o.x.Args[1].Reg)
	if !ok {
		return opUndefined(c, o)
	}
	c.setArg(o, 0, c.DR[r])
	return o.next
}

func (c *CPU) movToDR(o *Op) *Op {
	r, ok := c.checkDR(o, o.x.Args[0].Reg)
	if !ok {
		return opUndefined(c, o)
	}
	v := c.arg(o, 1)
	switch r {
	case 6:
		if v>>32 != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		v = v&0xe00f | 0xffff0ff0
	case 7:
		if v>>32 != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		v = v&0xffff23ff | 0x400
	}
	c.DR[r] = v
	c.updateDebug()
	if c.dbActive {
		for i := range c.sh.tlbs {
			c.sh.tlbs[i].flush(true)
		}
	}
	return c.resyncAfter(o)
}
