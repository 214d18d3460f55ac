package interp

// Specialised handlers for 64-bit mode.
//
// fast chooses a handler by mnemonic, operand size and form for what programs
// are mostly made of; nil leaves the general handler. Register operands are in
// Op.dst and Op.src (an 8-bit register only if it is the low byte of one), an
// immediate in Op.imm, extended to the operand size. Memory operands are flat:
// base + index<<scale + disp + segment base, where parts that are not there read
// R[RZero]. The arithmetic handlers are generated (gen/main.go).
//
// fuse then joins CMP or TEST with the conditional jump that follows, whose
// condition needs no flags that way.

//go:generate go run ./gen

import (
	"math/bits"

	"hotblock/x86"
	"hotblock/x86/decode"
)

// The operand forms, as columns of fastALU.
const (
	formRR = iota
	formRI
	formRM
	formMR
	formMI
	formNone
)

// form sets o's register fields from the operands and says what form they have.
func form(o *Op, x *decode.Inst) int {
	if x.NArgs != 2 {
		return formNone
	}
	a, b := &x.Args[0], &x.Args[1]
	o.dst, o.src = a.Reg, b.Reg
	switch {
	case a.Kind == decode.GPR && b.Kind == decode.GPR:
		return formRR
	case a.Kind == decode.GPR && b.Kind == decode.Imm:
		return formRI
	case a.Kind == decode.GPR && b.Kind == decode.Mem:
		return formRM
	case a.Kind == decode.Mem && b.Kind == decode.GPR:
		return formMR
	case a.Kind == decode.Mem && b.Kind == decode.Imm:
		return formMI
	}
	return formNone
}

// sizeRow maps an operand size to a row of fastALU, or -1.
func sizeRow(size uint8) int {
	switch size {
	case 1:
		return 0
	case 4:
		return 1
	case 8:
		return 2
	}
	return -1
}

// simpleMem reports whether a memory operand is base + displacement.
func simpleMem(o *Op) bool { return o.idx == x86.RZero && o.sreg == x86.RZero }

// A fastOp is what fast knows of a mnemonic.
type fastOp struct {
	alu, jcc *[3][5]opFunc // its rows of fastALU and fastJcc, or nil
	cc       ccUse
}

// ccUse says what a mnemonic does with its condition.
type ccUse uint8

const (
	ccNone ccUse = iota
	ccJump
	ccMove
	ccSet
)

var fastOps = func() []fastOp {
	ops := make([]fastOp, decode.NumOps())
	for name, t := range fastALU {
		ops[decode.MustOp(name)].alu = &t
	}
	for name, t := range fastJcc {
		ops[decode.MustOp(name)].jcc = &t
	}
	for _, cc := range ccNames {
		ops[decode.MustOp("j"+cc)].cc = ccJump
		ops[decode.MustOp("cmov"+cc)].cc = ccMove
		ops[decode.MustOp("set"+cc)].cc = ccSet
	}
	return ops
}()

func fast(o *Op, x *decode.Inst) opFunc {
	def := &fastOps[x.Op]
	f := form(o, x)
	if t := def.alu; t != nil {
		size := x.Args[0].Size
		row := sizeRow(size)
		if row < 0 || f == formNone {
			return nil
		}
		o.imm &= sizeMask(size)
		return t[row][f]
	}
	name := x.Op.String()
	switch name {
	case "mov":
		return fastMov(o, x, f)
	case "lea":
		o.dst = x.Args[0].Reg
		switch {
		case o.size == 8 && o.idx == x86.RZero:
			return leaB64
		case o.size == 8:
			return leaX64
		case o.size == 4:
			return leaX32
		}
	case "movzx":
		if o.size == 2 {
			return nil
		}
		switch {
		case f == formRR && x.Args[1].Size == 1:
			return movzxRR8
		case f == formRR:
			return movzxRR16
		case f == formRM && x.Args[1].Size == 1:
			return movzxRM8
		case f == formRM:
			return movzxRM16
		}
	case "movsx", "movsxd":
		if o.size != 8 || name == "movsx" {
			return nil
		}
		switch f {
		case formRR:
			return movsxdRR
		case formRM:
			return movsxdRM
		}
	case "push":
		if a := &x.Args[0]; o.size == 8 && a.Kind == decode.GPR {
			o.src = a.Reg
			return pushR64
		}
	case "pop":
		if a := &x.Args[0]; o.size == 8 && a.Kind == decode.GPR {
			o.dst = a.Reg
			return popR64
		}
	case "call":
		if x.Args[0].Kind == decode.Rel {
			return callRel64
		}
	case "ret":
		if x.NArgs == 0 {
			return ret64
		}
	case "jmp":
		if x.Args[0].Kind == decode.Rel {
			return jmpRel
		}
	case "inc", "dec":
		if a := &x.Args[0]; a.Kind == decode.GPR && a.Size >= 4 {
			o.dst = a.Reg
			return map[string][2]opFunc{"inc": {incR32, incR64}, "dec": {decR32, decR64}}[name][a.Size/8]
		}
	case "neg":
		if a := &x.Args[0]; a.Kind == decode.GPR && a.Size == 8 {
			o.dst = a.Reg
			return negR64
		}
	case "shl", "shr", "sar":
		a, b := &x.Args[0], &x.Args[1]
		if a.Kind != decode.GPR || b.Kind != decode.Imm && b.Kind != decode.One || a.Size < 4 {
			return nil
		}
		o.dst = a.Reg
		o.imm &= uint64(8*a.Size - 1)
		if o.imm == 0 {
			return nil
		}
		o.imm-- // the handlers shift by imm and then once more
		i := a.Size / 8
		switch name {
		case "shl":
			return [2]opFunc{shlR32, shlR64}[i]
		case "shr":
			return [2]opFunc{shrR32, shrR64}[i]
		}
		return [2]opFunc{sarR32, sarR64}[i]
	case "imul":
		if f == formRR && o.size == 8 {
			return imulRR64
		}
		if f == formRM && o.size == 8 {
			return imulRM64
		}
	case "xchg":
		if o.x.Opcode == 0x90 && x.Args[0].Reg == 0 {
			return opNop
		}
	}
	switch {
	case def.cc == ccJump:
		return opJcc
	case def.cc == ccMove && f == formRR && o.size == 8:
		return cmovRR64
	case def.cc == ccMove && f == formRR && o.size == 4:
		return cmovRR32
	case def.cc == ccSet && x.Args[0].Kind == decode.GPR:
		o.dst = x.Args[0].Reg
		return setR8
	}
	return nil
}

func fastMov(o *Op, x *decode.Inst, f int) opFunc {
	size := x.Args[0].Size
	switch f {
	case formRR:
		switch size {
		case 8:
			return movRR64
		case 4:
			return movRR32
		}
	case formRI:
		if size >= 4 {
			o.imm &= sizeMask(size)
			return movRI
		}
	case formRM:
		b := simpleMem(o)
		switch {
		case size == 8 && b:
			return movRB64
		case size == 8:
			return movRM64
		case size == 4 && b:
			return movRB32
		case size == 4:
			return movRM32
		case size == 1:
			return movRM8
		}
	case formMR:
		b := simpleMem(o)
		switch {
		case size == 8 && b:
			return movBR64
		case size == 8:
			return movMR64
		case size == 4 && b:
			return movBR32
		case size == 4:
			return movMR32
		case size == 2:
			return movMR16
		case size == 1:
			return movMR8
		}
	case formMI:
		o.imm &= sizeMask(size)
		switch size {
		case 8:
			return movMI64
		case 4:
			return movMI32
		case 2:
			return movMI16
		case 1:
			return movMI8
		}
	}
	return nil
}

// mem is the linear address of o's memory operand in 64-bit mode.
func (c *CPU) mem(o *Op) uint64 {
	return c.R[o.base&31] + c.R[o.idx&31]<<(o.scl&3) + o.disp + c.R[o.sreg&31]
}

func movRR64(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.src&31]
	return o.next
}

func movRR32(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.src&31] & 0xffffffff
	return o.next
}

func movRI(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = o.imm
	return o.next
}

func movRB64(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld64(o, c.R[o.base&31]+o.disp)
	return o.next
}

func movRM64(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld64(o, c.mem(o))
	return o.next
}

func movRB32(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld32(o, c.R[o.base&31]+o.disp)
	return o.next
}

func movRM32(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld32(o, c.mem(o))
	return o.next
}

func movRM8(c *CPU, o *Op) *Op {
	v := c.ld8(o, c.mem(o))
	p := &c.R[o.dst&31]
	*p = *p&^0xff | v
	return o.next
}

func movBR64(c *CPU, o *Op) *Op {
	c.st64(o, c.R[o.base&31]+o.disp, c.R[o.src&31])
	return o.next
}

func movMR64(c *CPU, o *Op) *Op {
	c.st64(o, c.mem(o), c.R[o.src&31])
	return o.next
}

func movBR32(c *CPU, o *Op) *Op {
	c.st32(o, c.R[o.base&31]+o.disp, c.R[o.src&31])
	return o.next
}

func movMR32(c *CPU, o *Op) *Op {
	c.st32(o, c.mem(o), c.R[o.src&31])
	return o.next
}

func movMR16(c *CPU, o *Op) *Op {
	c.st16(o, c.mem(o), c.R[o.src&31])
	return o.next
}

func movMR8(c *CPU, o *Op) *Op {
	c.st8(o, c.mem(o), c.R[o.src&31])
	return o.next
}

func movMI64(c *CPU, o *Op) *Op {
	c.st64(o, c.mem(o), o.imm)
	return o.next
}

func movMI32(c *CPU, o *Op) *Op {
	c.st32(o, c.mem(o), o.imm)
	return o.next
}

func movMI16(c *CPU, o *Op) *Op {
	c.st16(o, c.mem(o), o.imm)
	return o.next
}

func movMI8(c *CPU, o *Op) *Op {
	c.st8(o, c.mem(o), o.imm)
	return o.next
}

func leaB64(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.base&31] + o.disp
	return o.next
}

func leaX64(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.base&31] + c.R[o.idx&31]<<(o.scl&3) + o.disp
	return o.next
}

func leaX32(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = (c.R[o.base&31] + c.R[o.idx&31]<<(o.scl&3) + o.disp) & 0xffffffff
	return o.next
}

func movzxRR8(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.src&31] & 0xff
	return o.next
}

func movzxRR16(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.R[o.src&31] & 0xffff
	return o.next
}

func movzxRM8(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld8(o, c.mem(o))
	return o.next
}

func movzxRM16(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = c.ld16(o, c.mem(o))
	return o.next
}

func movsxdRR(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = uint64(int32(c.R[o.src&31]))
	return o.next
}

func movsxdRM(c *CPU, o *Op) *Op {
	c.R[o.dst&31] = uint64(int32(c.ld32(o, c.mem(o))))
	return o.next
}

func pushR64(c *CPU, o *Op) *Op {
	sp := c.R[x86.RSP] - 8
	c.st64(o, sp, c.R[o.src&31])
	c.R[x86.RSP] = sp
	return o.next
}

func popR64(c *CPU, o *Op) *Op {
	sp := c.R[x86.RSP]
	v := c.ld64(o, sp)
	c.R[x86.RSP] = sp + 8
	c.R[o.dst&31] = v
	return o.next
}

func callRel64(c *CPU, o *Op) *Op {
	page := c.R[x86.RPage]
	if ip := page + o.imm; !canonical(ip) {
		c.raise(o, x86.ExcGP, 0)
	}
	sp := c.R[x86.RSP] - 8
	c.st64(o, sp, page+uint64(o.off)+uint64(o.len))
	c.R[x86.RSP] = sp
	if t := o.tgt; t != nil {
		return t
	}
	return c.branchTo(o)
}

func ret64(c *CPU, o *Op) *Op {
	sp := c.R[x86.RSP]
	ip := c.ld64(o, sp)
	if !canonical(ip) {
		c.raise(o, x86.ExcGP, 0)
	}
	c.R[x86.RSP] = sp + 8
	return c.goTo(ip)
}

func jmpRel(c *CPU, o *Op) *Op {
	if t := o.tgt; t != nil {
		return t
	}
	return c.branchTo(o)
}

func incR64(c *CPU, o *Op) *Op {
	cf := c.cf()
	r := c.R[o.dst&31] + 1
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccInc|3, r, cf
	return o.next
}

func incR32(c *CPU, o *Op) *Op {
	cf := c.cf()
	r := (c.R[o.dst&31] + 1) & 0xffffffff
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccInc|2, r, cf
	return o.next
}

func decR64(c *CPU, o *Op) *Op {
	cf := c.cf()
	r := c.R[o.dst&31] - 1
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccDec|3, r, cf
	return o.next
}

func decR32(c *CPU, o *Op) *Op {
	cf := c.cf()
	r := (c.R[o.dst&31] - 1) & 0xffffffff
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccDec|2, r, cf
	return o.next
}

func negR64(c *CPU, o *Op) *Op {
	a := c.R[o.dst&31]
	c.R[o.dst&31] = -a
	c.CCKind, c.CCDst, c.CCSrc = ccSub|3, -a, a
	return o.next
}

func shlR64(c *CPU, o *Op) *Op {
	last := c.R[o.dst&31] << (o.imm & 63)
	c.R[o.dst&31] = last << 1
	c.CCKind, c.CCDst, c.CCSrc = ccShl|3, last<<1, last
	return o.next
}

func shlR32(c *CPU, o *Op) *Op {
	last := c.R[o.dst&31] << (o.imm & 63) & 0xffffffff
	r := last << 1 & 0xffffffff
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccShl|2, r, last
	return o.next
}

func shrR64(c *CPU, o *Op) *Op {
	last := c.R[o.dst&31] >> (o.imm & 63)
	c.R[o.dst&31] = last >> 1
	c.CCKind, c.CCDst, c.CCSrc = ccShr|3, last>>1, last
	return o.next
}

func shrR32(c *CPU, o *Op) *Op {
	last := c.R[o.dst&31] & 0xffffffff >> (o.imm & 63)
	c.R[o.dst&31] = last >> 1
	c.CCKind, c.CCDst, c.CCSrc = ccShr|2, last>>1, last
	return o.next
}

func sarR64(c *CPU, o *Op) *Op {
	last := int64(c.R[o.dst&31]) >> (o.imm & 63)
	c.R[o.dst&31] = uint64(last >> 1)
	c.CCKind, c.CCDst, c.CCSrc = ccShr|3, uint64(last>>1), uint64(last)
	return o.next
}

func sarR32(c *CPU, o *Op) *Op {
	last := int32(c.R[o.dst&31]) >> (o.imm & 31)
	r := uint64(uint32(last >> 1))
	c.R[o.dst&31] = r
	c.CCKind, c.CCDst, c.CCSrc = ccShr|2, r, uint64(uint32(last))
	return o.next
}

// imul64 is the two-operand multiplication: the flags are those of ccMul.
func (c *CPU) imul64(o *Op, a, b uint64) {
	hi, lo := bits.Mul64(a, b)
	hi -= uint64(int64(a)>>63)&b + uint64(int64(b)>>63)&a
	c.R[o.dst&31] = lo
	c.CCKind, c.CCDst, c.CCSrc = ccMul|3, lo, b2u(hi != uint64(int64(lo)>>63))
}

func imulRR64(c *CPU, o *Op) *Op {
	c.imul64(o, c.R[o.dst&31], c.R[o.src&31])
	return o.next
}

func imulRM64(c *CPU, o *Op) *Op {
	b := c.ld64(o, c.mem(o))
	c.imul64(o, c.R[o.dst&31], b)
	return o.next
}

func cmovRR64(c *CPU, o *Op) *Op {
	if c.cond(o.cc) {
		c.R[o.dst&31] = c.R[o.src&31]
	}
	return o.next
}

func cmovRR32(c *CPU, o *Op) *Op {
	if c.cond(o.cc) {
		c.R[o.dst&31] = c.R[o.src&31]
	}
	c.R[o.dst&31] &= 0xffffffff
	return o.next
}

func setR8(c *CPU, o *Op) *Op {
	p := &c.R[o.dst&31]
	*p = *p&^0xff | b2u(c.cond(o.cc))
	return o.next
}

// jumpSub takes the conditional jump j after a comparison of a and b, both
// shifted so that their sign is bit 63.
func (c *CPU) jumpSub(j *Op, a, b uint64) *Op {
	var taken bool
	switch j.cc {
	case 2:
		taken = a < b
	case 3:
		taken = a >= b
	case 4:
		taken = a == b
	case 5:
		taken = a != b
	case 6:
		taken = a <= b
	case 7:
		taken = a > b
	case 8:
		taken = int64(a-b) < 0
	case 9:
		taken = int64(a-b) >= 0
	case 12:
		taken = int64(a) < int64(b)
	case 13:
		taken = int64(a) >= int64(b)
	case 14:
		taken = int64(a) <= int64(b)
	case 15:
		taken = int64(a) > int64(b)
	default:
		taken = c.cond(j.cc)
	}
	return c.jump(j, taken)
}

// jumpLogic takes the conditional jump j after a TEST with result r, shifted so
// that its sign is bit 63.
func (c *CPU) jumpLogic(j *Op, r uint64) *Op {
	var taken bool
	switch j.cc {
	case 4, 6:
		taken = r == 0
	case 5, 7:
		taken = r != 0
	case 8, 12:
		taken = int64(r) < 0
	case 9, 13:
		taken = int64(r) >= 0
	case 14:
		taken = int64(r) <= 0
	case 15:
		taken = int64(r) > 0
	default:
		taken = c.cond(j.cc)
	}
	return c.jump(j, taken)
}

func (c *CPU) jump(j *Op, taken bool) *Op {
	if taken {
		if t := j.tgt; t != nil {
			return t
		}
		return c.branchTo(j)
	}
	return fallThrough(j)
}

// fuse joins pairs at the end of a block.
func fuse(blk []Op) {
	n := len(blk)
	if n < 4 {
		return
	}
	// head, ..., compare, jump, page end
	o, j := &blk[n-3], &blk[n-2]
	if o.n != 0 || j.x == nil || o.x == nil || o.x.Mode != decode.Mode64 || o.x.AddrSize != 8 || fastOps[j.x.Op].cc != ccJump {
		return
	}
	t := fastOps[o.x.Op].jcc
	if t == nil {
		return
	}
	f := form(o, o.x)
	if row := sizeRow(o.x.Args[0].Size); row >= 0 && f != formNone {
		o.fn = t[row][f]
	}
}
