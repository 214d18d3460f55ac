package interp

// Operands as the decoded instruction names them, in any mode. These serve the
// handlers that are not specialised.

import (
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// ea is the effective address of the memory operand: an offset in its segment.
func (c *CPU) ea(o *Op) uint64 {
	return (c.R[o.base&31] + c.R[o.idx&31]<<(o.scl&3) + o.disp) & c.amask[o.x.AddrSize]
}

// lin is the linear address of the memory operand, for an access of size bytes,
// checked against its segment.
func (c *CPU) lin(o *Op, size uint, write bool) uint64 {
	return c.segLin(o, o.seg, c.ea(o), size, write)
}

// segLin turns an offset in a segment into a linear address (SDM volume 3, 5.3
// and 3.2.4). It raises #GP(0), or #SS(0) for SS, where the segment does not
// allow the access.
func (c *CPU) segLin(o *Op, seg uint8, ea uint64, size uint, write bool) uint64 {
	if c.long {
		if seg >= x86.FS {
			ea += c.R[x86.RSeg+seg]
		}
		return ea
	}
	s := &c.Seg[seg]
	last := ea + uint64(size) - 1
	if size == 0 {
		last = ea
	}
	ok := true
	if c.CR0&x86.CR0PE != 0 && c.Flags&x86.FlagVM == 0 {
		switch {
		case s.Attr&x86.SegP == 0: // null
			ok = false
		case write:
			ok = s.Attr&(x86.SegCode|x86.SegWritable) == x86.SegWritable
		default:
			ok = s.Attr&(x86.SegCode|x86.SegWritable) != x86.SegCode
		}
	}
	if s.Attr&(x86.SegCode|x86.SegDown) == x86.SegDown {
		top := uint64(0xffff)
		if s.Attr&x86.SegD != 0 {
			top = 0xffffffff
		}
		ok = ok && ea > uint64(s.Limit) && last <= top
	} else {
		ok = ok && last <= uint64(s.Limit)
	}
	if !ok {
		if seg == x86.SS {
			c.raise(o, x86.ExcSS, 0)
		}
		c.raise(o, x86.ExcGP, 0)
	}
	return (ea + s.Base) & 0xffffffff
}

// reg reads the low size bytes of a general register.
func (c *CPU) reg(r, size uint8) uint64 { return c.R[r&31] & sizeMask(size) }

// setReg writes a general register as an instruction of that operand size does:
// 32-bit results clear the upper half, smaller ones leave the rest.
func (c *CPU) setReg(r, size uint8, v uint64) {
	p := &c.R[r&31]
	switch size {
	case 8:
		*p = v
	case 4:
		*p = v & 0xffffffff
	case 2:
		*p = *p&^0xffff | v&0xffff
	default:
		*p = *p&^0xff | v&0xff
	}
}

// arg reads operand i, zero-extended.
func (c *CPU) arg(o *Op, i int) uint64 {
	a := &o.x.Args[i&3]
	switch a.Kind {
	case decode.GPR:
		return c.R[a.Reg&31] & sizeMask(a.Size)
	case decode.GPRHi:
		return c.R[a.Reg&31] >> 8 & 0xff
	case decode.Mem:
		return c.ld(o, c.lin(o, uint(a.Size), false), a.Size)
	case decode.Imm, decode.One:
		return o.imm & sizeMask(a.Size)
	case decode.Imm2:
		return o.x.Imm2
	case decode.Seg:
		return uint64(c.Seg[a.Reg].Sel)
	}
	panic("interp: operand kind without a value")
}

// setArg writes operand i.
func (c *CPU) setArg(o *Op, i int, v uint64) {
	a := &o.x.Args[i&3]
	switch a.Kind {
	case decode.GPR:
		c.setReg(a.Reg, a.Size, v)
	case decode.GPRHi:
		p := &c.R[a.Reg&31]
		*p = *p&^0xff00 | v&0xff<<8
	case decode.Mem:
		c.st(o, c.lin(o, uint(a.Size), true), a.Size, v)
	}
}

// update reads operand 0 with the intent to write it; done with va it is stored
// by finish.
func (c *CPU) update(o *Op) (v, va uint64) {
	a := &o.x.Args[0]
	if a.Kind != decode.Mem {
		return c.arg(o, 0), 0
	}
	va = c.lin(o, uint(a.Size), true)
	return c.ldw(o, va, a.Size), va
}

// finish stores operand 0 after update.
func (c *CPU) finish(o *Op, va, v uint64) {
	a := &o.x.Args[0]
	if a.Kind != decode.Mem {
		c.setArg(o, 0, v)
		return
	}
	c.st(o, va, a.Size, v)
}

// atomic replaces the memory operand by f of it, atomically, and returns the
// old value. f may run more than once.
func (c *CPU) atomic(o *Op, size uint8, f func(old uint64) uint64) uint64 {
	return c.atomicAt(o, c.lin(o, uint(size), true), size, f)
}

func (c *CPU) atomicAt(o *Op, va uint64, size uint8, f func(old uint64) uint64) uint64 {
	va &= c.linMask
	if va&pageMask+uint64(size) > mmu.PageSize {
		c.probeWrite(o, va, uint(size))
		splitLock.Lock()
		defer splitLock.Unlock()
		old := c.ldw(o, va, size)
		c.st(o, va, size, f(old))
		return old
	}
	p := c.resolve(o, va, uint(size), mmu.Write)
	if p.host == nil || p.rgn.Kind != mmu.RAM {
		old := c.readPlace(p, uint(size))
		c.writePlace(p, uint(size), f(old)&sizeMask(size))
		return old
	}
	old := atomicUpdate(p.host, size, f)
	off := p.rgn.Off + p.pa - p.rgn.Base
	if p.rgn.Blk.Flags(off)&mmu.PageCode != 0 {
		c.wroteCode(p.rgn.Blk, off, uint64(size))
	}
	return old
}

// stackMask is the width of the stack pointer.
func (c *CPU) stackMask() uint64 {
	switch {
	case c.long:
		return ^uint64(0)
	case c.Seg[x86.SS].Attr&x86.SegD != 0:
		return 0xffffffff
	}
	return 0xffff
}

// setSP writes the stack pointer in the stack's width.
func (c *CPU) setSP(v uint64) {
	switch m := c.stackMask(); m {
	case 0xffff:
		c.R[x86.RSP] = c.R[x86.RSP]&^m | v&m
	default:
		c.R[x86.RSP] = v & m
	}
}

// stackAt is the linear address of a stack slot at sp.
func (c *CPU) stackAt(o *Op, sp uint64, size uint, write bool) uint64 {
	return c.segLin(o, x86.SS, sp&c.stackMask(), size, write)
}

// push stores v below the stack pointer and moves it.
func (c *CPU) push(o *Op, v uint64, size uint8) {
	sp := c.R[x86.RSP] - uint64(size)
	c.stackStore(o, c.stackAt(o, sp, uint(size), true), size, v)
	c.setSP(sp)
}

// pop loads the top of the stack and moves the pointer.
func (c *CPU) pop(o *Op, size uint8) uint64 {
	v := c.peek(o, 0, size)
	c.setSP(c.R[x86.RSP] + uint64(size))
	return v
}

// peek loads from the stack, off bytes above the pointer.
func (c *CPU) peek(o *Op, off uint64, size uint8) uint64 {
	return c.ld(c.stackOp(o), c.stackAt(o, c.R[x86.RSP]+off, uint(size), false), size)
}

func (c *CPU) stackStore(o *Op, va uint64, size uint8, v uint64) {
	c.st(c.stackOp(o), va, size, v)
}

// stackOp is o as an access through SS, for the choice of exception where an
// address is not canonical.
func (c *CPU) stackOp(o *Op) *Op {
	if o == nil || o.seg == x86.SS || !c.long {
		return o
	}
	s := *o
	s.seg = x86.SS
	c.ssOp = s
	return &c.ssOp
}
