package interp

// Near control transfer and the stack instructions.

import (
	"hotblock/x86"
	"hotblock/x86/decode"
)

func init() {
	for i, n := range ccNames {
		h := on("j"+n, opJcc)
		h.cc, h.ends = uint8(i), true
	}
	end("jmp", opJmp)
	stack("call", opCall).ends = true
	stack("ret", opRet).ends = true
	end("loop", opLoop)
	end("loope", opLoop)
	end("loopne", opLoop)
	end("jcxz", opJcxz)
	stack("push", opPush)
	stack("pop", opPop)
	stack("pusha", opPusha)
	stack("popa", opPopa)
	stack("pushf", opPushf)
	stack("popf", opPopf).ends = true
	stack("enter", opEnter)
	stack("leave", opLeave)
}

// branchTo goes to a target that Op.imm gives relative to the page.
func (c *CPU) branchTo(o *Op) *Op {
	if o.tgt != nil {
		return o.tgt
	}
	ip := c.maskIP(c.R[x86.RPage] + o.imm)
	c.checkTarget(o, ip)
	h := c.goTo(ip)
	if h != nil && o.n != noLink && c.linkable(o.imm) {
		o.tgt = h
	}
	return h
}

// checkTarget raises #GP(0) on the branch where the target lies outside of the
// code segment or is not canonical.
func (c *CPU) checkTarget(o *Op, ip uint64) {
	if c.long {
		if !canonical(ip) {
			c.raise(o, x86.ExcGP, 0)
		}
	} else if ip > uint64(c.Seg[x86.CS].Limit) {
		c.raise(o, x86.ExcGP, 0)
	}
}

// fallThrough goes on behind a conditional branch that is not taken.
func fallThrough(o *Op) *Op {
	n := o.next
	if n.tgt != nil {
		return n.tgt
	}
	return n
}

func opJcc(c *CPU, o *Op) *Op {
	if c.cond(o.cc) {
		return c.branchTo(o)
	}
	return fallThrough(o)
}

// opBranch16 is a relative branch with a 16-bit operand size in 32-bit code: the
// target is cut to 16 bits.
func opBranch16(c *CPU, o *Op) *Op {
	ip := (c.R[x86.RPage] + o.imm) & 0xffff
	name := o.x.Op.String()
	taken := true
	switch name {
	case "jmp":
	case "call":
		c.checkTarget(o, ip)
		c.push(o, c.nextIP(o), 2)
	case "jcxz":
		taken = c.R[x86.RCX]&c.amask[o.x.AddrSize] == 0
	case "loop", "loope", "loopne":
		var n uint64
		if taken, n = c.loopTaken(o); taken {
			c.checkTarget(o, ip)
		}
		c.setReg(x86.RCX, o.x.AddrSize, n)
	default:
		taken = c.cond(o.cc)
	}
	if !taken {
		return o.next
	}
	c.checkTarget(o, ip)
	return c.goTo(ip)
}

func opJmp(c *CPU, o *Op) *Op {
	if o.x.Args[0].Kind == decode.Rel {
		return c.branchTo(o)
	}
	ip := c.arg(o, 0)
	c.checkTarget(o, ip)
	return c.goTo(ip)
}

func opCall(c *CPU, o *Op) *Op {
	if o.x.Args[0].Kind == decode.Rel {
		c.checkTarget(o, c.maskIP(c.R[x86.RPage]+o.imm))
		c.push(o, c.nextIP(o), o.size)
		return c.branchTo(o)
	}
	ip := c.arg(o, 0)
	c.checkTarget(o, ip)
	c.push(o, c.nextIP(o), o.size)
	return c.goTo(ip)
}

func opRet(c *CPU, o *Op) *Op {
	ip := c.peek(o, 0, o.size)
	c.checkTarget(o, ip)
	n := uint64(o.size)
	if o.x.NArgs != 0 {
		n += o.imm & 0xffff
	}
	c.setSP(c.R[x86.RSP] + n)
	return c.goTo(ip)
}

// loopTaken says whether a LOOP jumps, and what its count is after it.
func (c *CPU) loopTaken(o *Op) (taken bool, count uint64) {
	n := (c.R[x86.RCX] - 1) & c.amask[o.x.AddrSize]
	switch o.x.Opcode {
	case 0xe0:
		return n != 0 && !c.zf(), n
	case 0xe1:
		return n != 0 && c.zf(), n
	}
	return n != 0, n
}

func opLoop(c *CPU, o *Op) *Op {
	taken, n := c.loopTaken(o)
	if taken && o.tgt == nil {
		// A target outside of the segment faults before RCX changes.
		c.checkTarget(o, c.maskIP(c.R[x86.RPage]+o.imm))
	}
	c.setReg(x86.RCX, o.x.AddrSize, n)
	if taken {
		return c.branchTo(o)
	}
	return fallThrough(o)
}

func opJcxz(c *CPU, o *Op) *Op {
	if c.R[x86.RCX]&c.amask[o.x.AddrSize] == 0 {
		return c.branchTo(o)
	}
	return fallThrough(o)
}

func opPush(c *CPU, o *Op) *Op {
	a := &o.x.Args[0]
	v := c.arg(o, 0)
	if a.Kind == decode.Seg && o.size == 4 {
		// Only the low half is written.
		sp := c.R[x86.RSP] - 4
		c.stackStore(o, c.stackAt(o, sp, 2, true), 2, v)
		c.setSP(sp)
		return o.next
	}
	c.push(o, v, o.size)
	return o.next
}

func opPop(c *CPU, o *Op) *Op {
	a := &o.x.Args[0]
	switch a.Kind {
	case decode.Seg:
		v := c.peek(o, 0, 2)
		c.stackAt(o, c.R[x86.RSP], uint(o.size), false) // all of the slot has to be in the segment
		c.loadSeg(o, a.Reg, uint16(v))
		c.setSP(c.R[x86.RSP] + uint64(o.size))
		if a.Reg == x86.SS {
			c.Shadow, c.ShadowSS = true, true
		}
		return c.resyncAfter(o)
	case decode.Mem:
		// The address is computed with the stack pointer as it is after the pop
		// (SDM volume 2, POP).
		v := c.peek(o, 0, o.size)
		old := c.R[x86.RSP]
		c.setSP(old + uint64(o.size))
		ea := c.ea(o)
		c.R[x86.RSP] = old
		va := c.segLin(o, o.seg, ea, uint(o.size), true)
		c.st(o, va, o.size, v)
		c.setSP(old + uint64(o.size))
		return o.next
	}
	v := c.pop(o, o.size)
	c.setReg(a.Reg, o.size, v)
	return o.next
}

func opPusha(c *CPU, o *Op) *Op {
	size := uint64(o.size)
	sp := c.R[x86.RSP]
	// All of it is checked first; the slots may wrap around a 16-bit stack.
	for i := uint64(1); i <= 8; i++ {
		c.probeWrite(c.stackOp(o), c.stackAt(o, sp-i*size, uint(size), true), uint(size))
	}
	for i := range uint64(8) {
		c.stackStore(o, c.stackAt(o, sp-(i+1)*size, uint(size), true), o.size, c.reg(uint8(i), o.size))
	}
	c.setSP(sp - 8*size)
	return o.next
}

func opPopa(c *CPU, o *Op) *Op {
	var v [8]uint64
	for i := range v {
		v[i] = c.peek(o, uint64(i)*uint64(o.size), o.size)
	}
	for i := range v {
		if r := uint8(7 - i); r != x86.RSP {
			c.setReg(r, o.size, v[i])
		}
	}
	c.setSP(c.R[x86.RSP] + 8*uint64(o.size))
	return o.next
}

func (c *CPU) iopl() uint8 { return uint8(c.Flags >> 12 & 3) }

func (c *CPU) v86() bool { return c.Flags&x86.FlagVM != 0 }

func opPushf(c *CPU, o *Op) *Op {
	f := c.RFLAGS() &^ (x86.FlagVM | x86.FlagRF)
	if c.v86() && c.iopl() < 3 {
		if c.CR4&x86.CR4VME == 0 || o.size != 2 {
			c.raise(o, x86.ExcGP, 0)
		}
		// IF as pushed is VIF, and IOPL reads as 3 (SDM volume 3, 21.3).
		f = f&^x86.FlagIF | x86.FlagIOPL
		if c.Flags&x86.FlagVIF != 0 {
			f |= x86.FlagIF
		}
	}
	c.push(o, f, o.size)
	return o.next
}

func opPopf(c *CPU, o *Op) *Op {
	f := c.peek(o, 0, o.size)
	// What may change (SDM volume 2, POPF).
	mask := uint64(x86.FlagsArith | x86.FlagTF | x86.FlagDF | x86.FlagNT)
	if o.size != 2 {
		mask |= x86.FlagAC | x86.FlagID
	}
	if c.v86() {
		if c.iopl() < 3 {
			if c.CR4&x86.CR4VME == 0 || o.size != 2 ||
				f&x86.FlagTF != 0 || f&x86.FlagIF != 0 && c.Flags&x86.FlagVIP != 0 {
				c.raise(o, x86.ExcGP, 0)
			}
			c.pop(o, o.size)
			vif := f & x86.FlagIF << 10
			c.writeFlags(f, mask)
			c.Flags = c.Flags&^x86.FlagVIF | vif
			return c.resyncAfter(o)
		}
		mask |= x86.FlagIF
	} else {
		if c.CPL == 0 {
			mask |= x86.FlagIOPL
		}
		if c.CPL <= c.iopl() {
			mask |= x86.FlagIF
		}
	}
	c.setSP(c.R[x86.RSP] + uint64(o.size))
	c.writeFlags(f, mask)
	if o.size != 2 {
		c.Flags &^= x86.FlagRF
	}
	return c.resyncAfter(o)
}

// writeFlags sets the flags in mask to those of f.
func (c *CPU) writeFlags(f, mask uint64) {
	c.setFlags(c.flags()&^mask | f&mask)
	old := c.Flags
	mask &^= x86.FlagsArith
	c.Flags = c.Flags&^mask | f&mask
	c.flagsChanged(old)
}

// flagsChanged updates what depends on Flags, which was old before.
func (c *CPU) flagsChanged(old uint64) {
	d := old ^ c.Flags
	if d&x86.FlagAC != 0 {
		c.updatePrivilege()
	}
	if d&x86.FlagTF != 0 {
		c.updateDebug()
	}
	if d&c.Flags&x86.FlagIF != 0 && c.Int != nil && c.Int.HasInterrupt() {
		c.recheck = true
	}
}

func opEnter(c *CPU, o *Op) *Op {
	size := uint64(o.size)
	alloc, level := o.imm&0xffff, o.x.Imm2&31
	m := c.stackMask()
	sp, bp := c.R[x86.RSP]&m, c.R[x86.RBP]&m
	total := size*(level+1) + alloc
	// The whole frame is checked before anything is written.
	if end := (sp - total) & m; level == 0 {
		c.probeWrite(c.stackOp(o), c.stackAt(o, sp-size, uint(size), true), uint(size))
		c.probeWrite(c.stackOp(o), c.stackAt(o, end, uint(size), true), uint(size))
	} else {
		for i := uint64(1); i <= level+1; i++ {
			c.probeWrite(c.stackOp(o), c.stackAt(o, sp-i*size, uint(size), true), uint(size))
		}
		c.probeWrite(c.stackOp(o), c.stackAt(o, end, uint(size), true), uint(size))
	}
	var display [32]uint64
	for i := uint64(1); i < level; i++ {
		display[i] = c.ld(c.stackOp(o), c.stackAt(o, bp-i*size, uint(size), false), o.size)
	}
	frame := sp - size
	fp := c.R[x86.RSP] - size // all of it, of a 16-bit stack too
	c.stackStore(o, c.stackAt(o, frame, uint(size), true), o.size, c.R[x86.RBP])
	if level > 0 {
		for i := uint64(1); i < level; i++ {
			c.stackStore(o, c.stackAt(o, frame-i*size, uint(size), true), o.size, display[i])
		}
		c.stackStore(o, c.stackAt(o, frame-level*size, uint(size), true), o.size, fp)
	}
	c.setReg(x86.RBP, o.size, fp)
	c.setSP(sp - total)
	return o.next
}

func opLeave(c *CPU, o *Op) *Op {
	m := c.stackMask()
	bp := c.R[x86.RBP] & m
	v := c.ld(c.stackOp(o), c.stackAt(o, bp, uint(o.size), false), o.size)
	c.setSP(bp + uint64(o.size))
	c.setReg(x86.RBP, o.size, v)
	return o.next
}

// resyncAfter leaves the loop with RIP behind o, for instructions after which
// modes, translations or interrupts have to be looked at.
func (c *CPU) resyncAfter(o *Op) *Op {
	c.RIP = c.nextIP(o)
	return nil
}
