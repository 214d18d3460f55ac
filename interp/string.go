package interp

// String instructions.
//
// With REP, whole runs are done at once where source and destination lie in
// plain memory: one host copy or fill for each stretch that stays in a page on
// both sides. Everything else goes element by element. Registers are up to date
// after every element or stretch, so a fault leaves the instruction restartable,
// and so does a request from the machine, which is looked for between stretches
// (SDM volume 2, REP).

import (
	"bytes"

	"hotblock/x86"
)

func init() {
	on("movs", opMovs)
	on("stos", opStos)
	on("lods", opLods)
	on("cmps", opCmps)
	on("scas", opScas)
	on("ins", opIns)
	on("outs", opOuts)
}

// A string instruction's state while it runs.
type stringOp struct {
	o     *Op
	mask  uint64 // of the address size
	asize uint8
	step  uint64 // size or -size
	rep   bool
}

func (c *CPU) stringOp(o *Op) stringOp {
	s := stringOp{o: o, asize: o.x.AddrSize, mask: c.amask[o.x.AddrSize], step: uint64(o.size), rep: o.x.Rep != 0}
	if c.Flags&x86.FlagDF != 0 {
		s.step = -s.step
	}
	return s
}

// left is how many elements remain.
func (s *stringOp) left(c *CPU) uint64 {
	if !s.rep {
		return 1
	}
	return c.R[x86.RCX] & s.mask
}

// advance moves an index register by n elements.
func (s *stringOp) advance(c *CPU, reg uint8, n uint64) {
	c.setReg(reg, s.asize, (c.R[reg]+n*s.step)&s.mask)
}

// count takes n elements off RCX.
func (s *stringOp) count(c *CPU, n uint64) {
	if s.rep {
		c.setReg(x86.RCX, s.asize, (c.R[x86.RCX]-n)&s.mask)
	}
}

func (s *stringOp) src(c *CPU) uint64 {
	return c.segLin(s.o, s.o.seg, c.R[x86.RSI]&s.mask, uint(s.o.size), false)
}

func (s *stringOp) dst(c *CPU, write bool) uint64 {
	return c.segLin(s.o, x86.ES, c.R[x86.RDI]&s.mask, uint(s.o.size), write)
}

// pause reports whether the instruction has to stop between elements, and in
// that case makes it the next to run.
func (s *stringOp) pause(c *CPU) bool {
	if c.pending.Load() == 0 && !c.stepping || c.rehearsal != nil {
		return false
	}
	c.RIP = c.ripAt(s.o.off)
	return true
}

// span is how many bytes a segment holds from an index on, before its limit or
// the end of the address size; 0 where that is not simply told.
func (s *stringOp) span(c *CPU, seg, reg uint8) uint64 {
	index := c.R[reg] & s.mask
	end := s.mask
	if !c.long {
		d := &c.Seg[seg]
		if d.Attr&(x86.SegCode|x86.SegDown) == x86.SegDown {
			return 0
		}
		end = min(end, uint64(d.Limit))
	}
	if index >= end {
		return 0
	}
	return end - index // one less than there are, so that it cannot overflow
}

// bulk is the number of elements, of at most left, that fit into each of the
// sizes.
func (s *stringOp) bulk(left uint64, sizes ...uint64) uint64 {
	for _, n := range sizes {
		left = min(left, n/uint64(s.o.size))
	}
	return left
}

func opMovs(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	for left := s.left(c); left > 0; left = s.left(c) {
		n := uint64(1)
		if s.rep && !c.stepping && s.step == uint64(o.size) {
			if k := s.movsBulk(c, left); k > 0 {
				s.advance(c, x86.RSI, k)
				s.advance(c, x86.RDI, k)
				s.count(c, k)
				if k < left && s.pause(c) {
					return nil
				}
				continue
			}
		}
		v := c.ld(o, s.src(c), o.size)
		c.st(o, s.dst(c, true), o.size, v)
		s.advance(c, x86.RSI, n)
		s.advance(c, x86.RDI, n)
		s.count(c, n)
		if !s.rep {
			return o.next
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return o.next
}

// movsBulk copies as many elements as lie in one page on both sides.
func (s *stringOp) movsBulk(c *CPU, left uint64) uint64 {
	from, to := s.src(c), s.dst(c, true)
	src := c.hostRead(s.o, from)
	if src == nil {
		return 0
	}
	dst := c.hostWrite(s.o, to)
	if dst == nil {
		return 0
	}
	k := s.bulk(left, uint64(len(src)), uint64(len(dst)), s.span(c, s.o.seg, x86.RSI), s.span(c, x86.ES, x86.RDI))
	n := k * uint64(s.o.size)
	if d := distance(src, dst); d < n && d > 0 {
		// The stretches overlap so that the copy repeats what it wrote. Their
		// linear addresses need not show it.
		if d < uint64(s.o.size) {
			return 0
		}
		k = d / uint64(s.o.size)
		n = k * uint64(s.o.size)
	}
	copy(dst[:n], src[:n])
	return k
}

func opStos(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	v := c.R[x86.RAX]
	for left := s.left(c); left > 0; left = s.left(c) {
		if s.rep && !c.stepping && s.step == uint64(o.size) {
			if dst := c.hostWrite(o, s.dst(c, true)); dst != nil {
				if k := s.bulk(left, uint64(len(dst)), s.span(c, x86.ES, x86.RDI)); k > 0 {
					fill(dst[:k*uint64(o.size)], v, int(o.size))
					s.advance(c, x86.RDI, k)
					s.count(c, k)
					if k < left && s.pause(c) {
						return nil
					}
					continue
				}
			}
		}
		c.st(o, s.dst(c, true), o.size, v)
		s.advance(c, x86.RDI, 1)
		s.count(c, 1)
		if !s.rep {
			return o.next
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return o.next
}

// fill sets b to copies of the low size bytes of v.
func fill(b []byte, v uint64, size int) {
	if v == 0 || size == 1 && v&0xff == 0 {
		clear(b)
		return
	}
	for i := range size {
		b[i] = byte(v >> (8 * i))
	}
	for n := size; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

func opLods(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	for left := s.left(c); left > 0; left = s.left(c) {
		v := c.ld(o, s.src(c), o.size)
		c.setReg(x86.RAX, o.size, v)
		s.advance(c, x86.RSI, 1)
		s.count(c, 1)
		if !s.rep {
			return o.next
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return o.next
}

// opCmps and opScas set flags from the last comparison; REPE (F3) stops at a
// difference and REPNE (F2) at a match.
func opCmps(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	for left := s.left(c); left > 0; left = s.left(c) {
		if s.rep && o.x.Rep == 0xf3 && !c.stepping && left > 16 && s.step == uint64(o.size) {
			a, b := c.hostRead(o, s.src(c)), c.hostRead(o, s.dst(c, false))
			if k := s.bulk(left-1, uint64(len(a)), uint64(len(b)), s.span(c, o.seg, x86.RSI), s.span(c, x86.ES, x86.RDI)); k > 0 {
				// Skip what is equal; the element that decides goes the slow way.
				if n := k * uint64(o.size); bytes.Equal(a[:n], b[:n]) {
					s.advance(c, x86.RSI, k)
					s.advance(c, x86.RDI, k)
					s.count(c, k)
					c.setCC(ccSub, o.size, 0, 0)
					if s.pause(c) {
						return nil
					}
					continue
				}
			}
		}
		a := c.ld(o, s.src(c), o.size)
		b := c.ld(o, s.dst(c, false), o.size)
		s.advance(c, x86.RSI, 1)
		s.advance(c, x86.RDI, 1)
		s.count(c, 1)
		c.setCC(ccSub, o.size, (a-b)&sizeMask(o.size), b)
		if !s.rep || (a == b) != (o.x.Rep == 0xf3) {
			return o.next
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return o.next
}

func opScas(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	a := c.reg(x86.RAX, o.size)
	for left := s.left(c); left > 0; left = s.left(c) {
		b := c.ld(o, s.dst(c, false), o.size)
		s.advance(c, x86.RDI, 1)
		s.count(c, 1)
		c.setCC(ccSub, o.size, (a-b)&sizeMask(o.size), b)
		if !s.rep || (a == b) != (o.x.Rep == 0xf3) {
			return o.next
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return o.next
}

func opIns(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	size := min(o.size, 4)
	s.fixStep(size)
	port := uint16(c.R[x86.RDX])
	c.checkIO(o, port, size)
	for left := s.left(c); left > 0; left = s.left(c) {
		va := c.segLin(o, x86.ES, c.R[x86.RDI]&s.mask, uint(size), true)
		c.probeWrite(o, va, uint(size)) // before the device is touched
		c.st(o, va, size, uint64(c.Ports.In(port, int(size))))
		s.advance(c, x86.RDI, 1)
		s.count(c, 1)
		if !s.rep {
			break
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return c.afterIO(o)
}

func opOuts(c *CPU, o *Op) *Op {
	s := c.stringOp(o)
	size := min(o.size, 4)
	s.fixStep(size)
	port := uint16(c.R[x86.RDX])
	c.checkIO(o, port, size)
	for left := s.left(c); left > 0; left = s.left(c) {
		v := c.ld(o, c.segLin(o, o.seg, c.R[x86.RSI]&s.mask, uint(size), false), size)
		c.Ports.Out(port, int(size), uint32(v))
		s.advance(c, x86.RSI, 1)
		s.count(c, 1)
		if !s.rep {
			break
		}
		if left > 1 && s.pause(c) {
			return nil
		}
	}
	return c.afterIO(o)
}

// fixStep corrects the step for I/O, which knows no 64-bit size.
func (s *stringOp) fixStep(size uint8) {
	if int64(s.step) < 0 {
		s.step = -uint64(size)
	} else {
		s.step = uint64(size)
	}
}
