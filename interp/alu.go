package interp

// General-purpose integer instructions in their general form: any operands, any
// mode. The common 64-bit forms have handlers of their own in fast.go.

import (
	"math/bits"

	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/simd"
)

// Numbers of the eight classic operations, as in the opcode.
const (
	aluAdd = iota
	aluOr
	aluAdc
	aluSbb
	aluAnd
	aluSub
	aluXor
	aluCmp
)

func init() {
	for i, n := range []string{"add", "or", "adc", "sbb", "and", "sub", "xor"} {
		on(n, opALU).cc = uint8(i)
	}
	on("cmp", opCmp)
	on("test", opTest)
	on("mov", opMov)
	on("lea", opLea)
	on("movzx", opMovzx)
	on("movsx", opMovsx)
	on("movsxd", opMovsx)
	on("xchg", opXchg)
	on("inc", opInc)
	on("dec", opDec)
	on("not", opNot)
	on("neg", opNeg)
	on("mul", opMul)
	on("imul", opImul)
	on("div", opDiv)
	on("idiv", opIdiv)
	for i, n := range []string{"rol", "ror", "rcl", "rcr", "shl", "shr", "", "sar"} {
		if n != "" {
			on(n, opShift).cc = uint8(i)
		}
	}
	on("shld", opShld)
	on("shrd", opShld).cc = 1
	on("bt", opBt)
	on("bts", opBt).cc = 1
	on("btr", opBt).cc = 2
	on("btc", opBt).cc = 3
	on("bsf", opBsf)
	on("bsr", opBsr)
	h := on("tzcnt", opTzcnt)
	h.feat = ""
	on("lzcnt", opLzcnt)
	on("popcnt", opPopcnt).feat = "popcnt"
	on("bswap", opBswap)
	on("cmpxchg", opCmpxchg)
	on("cmpxchg8b", opCmpxchg8b)
	on("xadd", opXadd)
	on("movbe", opMovbe).feat = "movbe"
	on("movnti", opMov).feat = "sse2"
	on("crc32", opCrc32).feat = "sse4.2"
	on("adcx", opAdcx).feat = "adx"
	on("adox", opAdox).feat = "adx"
	on("andn", opAndn).feat = "bmi1"
	on("blsr", opBls).feat = "bmi1"
	on("blsmsk", opBls).feat = "bmi1"
	on("blsi", opBls).feat = "bmi1"
	on("bextr", opBextr).feat = "bmi1"
	on("bzhi", opBzhi).feat = "bmi2"
	on("pdep", opPdep).feat = "bmi2"
	on("pext", opPext).feat = "bmi2"
	on("mulx", opMulx).feat = "bmi2"
	on("shlx", opShiftx).feat = "bmi2"
	on("shrx", opShiftx).feat = "bmi2"
	on("sarx", opShiftx).feat = "bmi2"
	on("rorx", opRorx).feat = "bmi2"
	on("cbw", opCbw)
	on("cwd", opCwd)
	on("lahf", opLahf)
	on("sahf", opSahf)
	on("clc", opClc)
	on("stc", opStc)
	on("cmc", opCmc)
	on("cld", opCld)
	on("std", opStd)
	on("salc", opSalc)
	on("xlat", opXlat)
	on("aaa", opAaa)
	on("aas", opAas)
	on("daa", opDaa)
	on("das", opDas)
	on("aam", opAam)
	on("aad", opAad)
	on("bound", opBound)
	for i, n := range ccNames {
		on("cmov"+n, opCmov).cc = uint8(i)
		on("set"+n, opSet).cc = uint8(i)
	}
	for _, n := range []string{"nop", "pause", "endbr64", "endbr32", "prefetch", "prefetchw", "prefetchnta", "prefetcht0", "prefetcht1", "prefetcht2",
		"lfence", "mfence", "sfence"} {
		on(n, opNop)
	}
	on("clflush", opClflush).feat = "clflush"
	on("clflushopt", opClflush).feat = "clflushopt"
	on("clwb", opClflush).feat = "clwb"
}

func opNop(c *CPU, o *Op) *Op { return o.next }

// opClflush flushes a cache line that is not there to flush, after the checks
// of a load.
func opClflush(c *CPU, o *Op) *Op {
	c.ld8(o, c.lin(o, 1, false))
	return o.next
}

// aluResult computes a op b, before truncation.
func (c *CPU) aluResult(kind uint8, a, b uint64) uint64 {
	switch kind {
	case aluAdd:
		return a + b
	case aluOr:
		return a | b
	case aluAdc:
		return a + b + c.cf()
	case aluSbb:
		return a - b - c.cf()
	case aluAnd:
		return a & b
	case aluXor:
		return a ^ b
	}
	return a - b
}

// aluFlags records the flags of a op b = r, truncated to size bytes. It must
// run before anything else changes the carry flag.
func (c *CPU) aluFlags(kind, size uint8, r, b uint64) {
	switch kind {
	case aluAdd:
		c.setCC(ccAdd, size, r, b)
	case aluAdc:
		c.CCAux = c.cf()
		c.setCC(ccAdc, size, r, b)
	case aluSbb:
		c.CCAux = c.cf()
		c.setCC(ccSbb, size, r, b)
	case aluSub, aluCmp:
		c.setCC(ccSub, size, r, b)
	default:
		c.setCC(ccLogic, size, r, 0)
	}
}

func opALU(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	b := c.arg(o, 1)
	a, va := c.update(o)
	r := c.aluResult(o.cc, a, b) & sizeMask(size)
	c.finish(o, va, r)
	c.aluFlags(o.cc, size, r, b)
	return o.next
}

func opCmp(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, b := c.arg(o, 0), c.arg(o, 1)
	c.setCC(ccSub, size, (a-b)&sizeMask(size), b)
	return o.next
}

func opTest(c *CPU, o *Op) *Op {
	c.setCC(ccLogic, o.x.Args[0].Size, c.arg(o, 0)&c.arg(o, 1), 0)
	return o.next
}

// lockedHandler is the handler of an instruction with LOCK.
func lockedHandler(x *decode.Inst, plain opFunc) opFunc {
	switch x.Op.String() {
	case "add", "or", "adc", "sbb", "and", "sub", "xor":
		return opLockALU
	case "inc", "dec", "not", "neg":
		return opLockUnary
	case "bts", "btr", "btc":
		return opLockBt
	}
	return plain // XCHG, XADD and CMPXCHG are atomic anyway
}

func opLockALU(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	b := c.arg(o, 1)
	var r uint64
	c.atomic(o, size, func(a uint64) uint64 {
		r = c.aluResult(o.cc, a, b) & sizeMask(size)
		return r
	})
	c.aluFlags(o.cc, size, r, b)
	return o.next
}

func opLockUnary(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	name := o.x.Op
	var old, r uint64
	f := func(a uint64) uint64 { return ^a }
	switch name {
	case opIDInc:
		f = func(a uint64) uint64 { return a + 1 }
	case opIDDec:
		f = func(a uint64) uint64 { return a - 1 }
	case opIDNeg:
		f = func(a uint64) uint64 { return -a }
	}
	old = c.atomic(o, size, f)
	r = f(old) & sizeMask(size)
	switch name {
	case opIDInc:
		c.setCC(ccInc, size, r, c.cf())
	case opIDDec:
		c.setCC(ccDec, size, r, c.cf())
	case opIDNeg:
		c.setCC(ccSub, size, r, old)
	}
	return o.next
}

var (
	opIDInc = decode.MustOp("inc")
	opIDDec = decode.MustOp("dec")
	opIDNeg = decode.MustOp("neg")
)

func opMov(c *CPU, o *Op) *Op {
	switch o.x.Args[0].Kind {
	case decode.Seg:
		return c.movToSeg(o)
	case decode.CR:
		return c.movToCR(o)
	case decode.DR:
		return c.movToDR(o)
	}
	switch o.x.Args[1].Kind {
	case decode.CR:
		return c.movFromCR(o)
	case decode.DR:
		return c.movFromDR(o)
	}
	c.setArg(o, 0, c.arg(o, 1))
	return o.next
}

func opLea(c *CPU, o *Op) *Op {
	c.setReg(o.x.Args[0].Reg, o.size, c.ea(o))
	return o.next
}

func opMovzx(c *CPU, o *Op) *Op {
	c.setArg(o, 0, c.arg(o, 1))
	return o.next
}

func signExtend(v uint64, size uint8) uint64 {
	sh := 64 - 8*uint(size)
	return uint64(int64(v<<sh) >> sh)
}

func opMovsx(c *CPU, o *Op) *Op {
	c.setArg(o, 0, signExtend(c.arg(o, 1), o.x.Args[1].Size))
	return o.next
}

func opXchg(c *CPU, o *Op) *Op {
	b := c.arg(o, 1)
	if o.x.Args[0].Kind != decode.Mem {
		a := c.arg(o, 0)
		if o.x.Opcode == 0x90 && o.x.Args[0].Reg == 0 {
			return o.next // NOP: does not clear the upper half of RAX
		}
		c.setArg(o, 0, b)
		c.setArg(o, 1, a)
		return o.next
	}
	old := c.atomic(o, o.x.Args[0].Size, func(uint64) uint64 { return b })
	c.setArg(o, 1, old)
	return o.next
}

func opInc(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, va := c.update(o)
	r := (a + 1) & sizeMask(size)
	c.finish(o, va, r)
	c.setCC(ccInc, size, r, c.cf())
	return o.next
}

func opDec(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, va := c.update(o)
	r := (a - 1) & sizeMask(size)
	c.finish(o, va, r)
	c.setCC(ccDec, size, r, c.cf())
	return o.next
}

func opNot(c *CPU, o *Op) *Op {
	a, va := c.update(o)
	c.finish(o, va, ^a)
	return o.next
}

func opNeg(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, va := c.update(o)
	r := -a & sizeMask(size)
	c.finish(o, va, r)
	c.setCC(ccSub, size, r, a)
	return o.next
}

// mulFlags sets CF and OF; the others, which are undefined, follow the low half
// of the product (AMD leaves them, Intel sets SF and PF so).
func (c *CPU) mulFlags(overflow bool, low uint64, size uint8) {
	c.setCC(ccMul, size, low&sizeMask(size), b2u(overflow))
}

func opMul(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	b := c.arg(o, 0)
	switch size {
	case 1:
		p := c.R[x86.RAX] & 0xff * b
		c.setReg(x86.RAX, 2, p)
		c.mulFlags(p>>8 != 0, p, 1)
	case 8:
		hi, lo := bits.Mul64(c.R[x86.RAX], b)
		c.R[x86.RAX], c.R[x86.RDX] = lo, hi
		c.mulFlags(hi != 0, lo, 8)
	default:
		p := c.reg(x86.RAX, size) * b
		hi := p >> (8 * size)
		c.setReg(x86.RAX, size, p)
		c.setReg(x86.RDX, size, hi)
		c.mulFlags(hi != 0, p, size)
	}
	return o.next
}

// mul128 is the signed 128-bit product.
func mul128(a, b int64) (hi int64, lo uint64) {
	h, l := bits.Mul64(uint64(a), uint64(b))
	h -= uint64(a>>63)&uint64(b) + uint64(b>>63)&uint64(a)
	return int64(h), l
}

func opImul(c *CPU, o *Op) *Op {
	if o.x.NArgs == 1 {
		size := o.x.Args[0].Size
		b := int64(signExtend(c.arg(o, 0), size))
		switch size {
		case 1:
			p := int64(int8(c.R[x86.RAX])) * b
			c.setReg(x86.RAX, 2, uint64(p))
			c.mulFlags(p != int64(int8(p)), uint64(p), 1)
		case 8:
			hi, lo := mul128(int64(c.R[x86.RAX]), b)
			c.R[x86.RAX], c.R[x86.RDX] = lo, uint64(hi)
			c.mulFlags(hi != int64(lo)>>63, lo, 8)
		default:
			p := int64(signExtend(c.R[x86.RAX], size)) * b
			c.setReg(x86.RAX, size, uint64(p))
			c.setReg(x86.RDX, size, uint64(p)>>(8*size))
			c.mulFlags(p != int64(signExtend(uint64(p), size)), uint64(p), size)
		}
		return o.next
	}
	size := o.x.Args[0].Size
	n := int(o.x.NArgs)
	a := int64(signExtend(c.arg(o, n-2), size))
	b := int64(signExtend(c.arg(o, n-1), size))
	hi, lo := mul128(a, b)
	c.setArg(o, 0, lo)
	if size == 8 {
		c.mulFlags(hi != int64(lo)>>63, lo, 8)
	} else {
		c.mulFlags(int64(lo) != int64(signExtend(lo, size)), lo, size)
	}
	return o.next
}

func opDiv(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	d := c.arg(o, 0)
	if d == 0 {
		c.raise(o, x86.ExcDE, noCode)
	}
	switch size {
	case 1:
		n := c.R[x86.RAX] & 0xffff
		q := n / d
		if q > 0xff {
			c.raise(o, x86.ExcDE, noCode)
		}
		c.setReg(x86.RAX, 2, n%d<<8|q)
	case 8:
		if c.R[x86.RDX] >= d {
			c.raise(o, x86.ExcDE, noCode)
		}
		c.R[x86.RAX], c.R[x86.RDX] = bits.Div64(c.R[x86.RDX], c.R[x86.RAX], d)
	default:
		n := c.reg(x86.RDX, size)<<(8*size) | c.reg(x86.RAX, size)
		q := n / d
		if q > sizeMask(size) {
			c.raise(o, x86.ExcDE, noCode)
		}
		c.setReg(x86.RAX, size, q)
		c.setReg(x86.RDX, size, n%d)
	}
	return o.next
}

func opIdiv(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	d := int64(signExtend(c.arg(o, 0), size))
	if d == 0 {
		c.raise(o, x86.ExcDE, noCode)
	}
	if size == 8 {
		hi, lo := c.R[x86.RDX], c.R[x86.RAX]
		neg := int64(hi) < 0
		if neg {
			lo = -lo
			hi = ^hi
			if lo == 0 {
				hi++
			}
		}
		ud := uint64(d)
		if d < 0 {
			ud = -ud
		}
		if hi >= ud {
			c.raise(o, x86.ExcDE, noCode)
		}
		q, r := bits.Div64(hi, lo, ud)
		if neg != (d < 0) {
			if q > 1<<63 {
				c.raise(o, x86.ExcDE, noCode)
			}
			q = -q
		} else if q>>63 != 0 {
			c.raise(o, x86.ExcDE, noCode)
		}
		if neg {
			r = -r
		}
		c.R[x86.RAX], c.R[x86.RDX] = q, r
		return o.next
	}
	var n int64
	if size == 1 {
		n = int64(int16(c.R[x86.RAX]))
	} else {
		n = int64(signExtend(c.reg(x86.RDX, size)<<(8*size)|c.reg(x86.RAX, size), 2*size))
	}
	if n == -1<<63 && d == -1 {
		c.raise(o, x86.ExcDE, noCode)
	}
	q, r := n/d, n%d
	if q != int64(signExtend(uint64(q), size)) {
		c.raise(o, x86.ExcDE, noCode)
	}
	if size == 1 {
		c.setReg(x86.RAX, 2, uint64(r)&0xff<<8|uint64(q)&0xff)
	} else {
		c.setReg(x86.RAX, size, uint64(q))
		c.setReg(x86.RDX, size, uint64(r))
	}
	return o.next
}

// opShift is the shift and rotate group; cc is the operation's number in ModRM.
func opShift(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	width := 8 * uint(size)
	n := uint(c.arg(o, 1)) & 31
	if size == 8 {
		n = uint(c.arg(o, 1)) & 63
	}
	a, va := c.update(o)
	mask := sizeMask(size)
	if n == 0 {
		c.finish(o, va, a) // a 32-bit register's upper half is cleared all the same
		return o.next
	}
	var r uint64
	switch o.cc {
	case 0, 1: // ROL, ROR
		k := n % width
		if o.cc == 1 {
			k = (width - k) % width
		}
		r = (a<<k | a>>(width-k)) & mask
		c.finish(o, va, r)
		f := c.flags() &^ (x86.FlagCF | x86.FlagOF)
		top := r >> (width - 1) & 1
		if o.cc == 0 {
			f |= r&1 | (r&1^top)<<11
		} else {
			f |= top | (top^r>>(width-2)&1)<<11
		}
		c.setFlags(f)
	case 2: // RCL
		n %= width + 1
		cf := c.cf()
		r = a
		for range n {
			out := r >> (width - 1) & 1
			r = (r<<1 | cf) & mask
			cf = out
		}
		c.finish(o, va, r)
		if n != 0 {
			c.setFlags(c.flags()&^(x86.FlagCF|x86.FlagOF) | cf | (r>>(width-1)&1^cf)<<11)
		}
	case 3: // RCR
		n %= width + 1
		cf := c.cf()
		r = a
		for range n {
			out := r & 1
			r = r>>1 | cf<<(width-1)
			cf = out
		}
		c.finish(o, va, r)
		if n != 0 {
			c.setFlags(c.flags()&^(x86.FlagCF|x86.FlagOF) | cf | (r>>(width-1)^r>>(width-2))&1<<11)
		}
	case 4: // SHL
		last := a << (n - 1) & mask
		r = last << 1 & mask
		c.finish(o, va, r)
		c.setCC(ccShl, size, r, last)
	case 5: // SHR
		last := a >> (n - 1)
		r = last >> 1
		c.finish(o, va, r)
		c.setCC(ccShr, size, r, last)
	default: // SAR
		last := uint64(int64(signExtend(a, size))>>(n-1)) & mask
		r = uint64(int64(signExtend(a, size))>>n) & mask
		c.finish(o, va, r)
		c.setCC(ccShr, size, r, last)
	}
	return o.next
}

// opShld is SHLD, and with cc 1 SHRD.
func opShld(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	width := 8 * uint(size)
	n := uint(c.arg(o, 2)) & 31
	if size == 8 {
		n = uint(c.arg(o, 2)) & 63
	}
	b := c.arg(o, 1)
	a, va := c.update(o)
	if n == 0 {
		c.finish(o, va, a)
		return o.next
	}
	right := o.cc == 1
	step := func(k uint) uint64 {
		a, b := a, b
		if k > width { // 16-bit, count over 16: undefined
			a, b, k = b, a, k-width
		}
		if right {
			return (a>>k | b<<(width-k)) & sizeMask(size)
		}
		return (a<<k | b>>(width-k)) & sizeMask(size)
	}
	r, last := step(n), step(n-1)
	c.finish(o, va, r)
	kind := uint8(ccShl)
	if right {
		kind = ccShr
	}
	c.setCC(kind, size, r, last)
	return o.next
}

// bitOperand finds the operand that holds the bit: with a register as bit
// number the memory operand reaches beyond its size (SDM volume 2, BT).
func (c *CPU) bitOperand(o *Op) (n uint, ea uint64) {
	size := o.x.Args[0].Size
	b := c.arg(o, 1)
	n = uint(b) & (8*uint(size) - 1)
	if o.x.Args[0].Kind == decode.Mem {
		ea = c.ea(o)
		if o.x.Args[1].Kind == decode.GPR {
			ea += uint64(int64(signExtend(b, size))>>(3+log2[size])) << log2[size]
			ea &= c.amask[o.x.AddrSize]
		}
	}
	return n, ea
}

func bitOp(kind uint8, a uint64, n uint) uint64 {
	switch kind {
	case 1:
		return a | 1<<n
	case 2:
		return a &^ (1 << n)
	}
	return a ^ 1<<n
}

func opBt(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	n, ea := c.bitOperand(o)
	var a uint64
	if o.x.Args[0].Kind != decode.Mem {
		a = c.arg(o, 0)
		if o.cc != 0 {
			c.setArg(o, 0, bitOp(o.cc, a, n))
		}
	} else if o.cc == 0 {
		a = c.ld(o, c.segLin(o, o.seg, ea, uint(size), false), size)
	} else {
		va := c.segLin(o, o.seg, ea, uint(size), true)
		a = c.ldw(o, va, size)
		c.st(o, va, size, bitOp(o.cc, a, n))
	}
	c.setFlags(c.flags()&^x86.FlagCF | a>>n&1)
	return o.next
}

func opLockBt(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	n, ea := c.bitOperand(o)
	a := c.atomicAt(o, c.segLin(o, o.seg, ea, uint(size), true), size, func(a uint64) uint64 { return bitOp(o.cc, a, n) })
	c.setFlags(c.flags()&^x86.FlagCF | a>>n&1)
	return o.next
}

func opBsf(c *CPU, o *Op) *Op {
	size := o.x.Args[1].Size
	b := c.arg(o, 1)
	if b == 0 {
		// The destination is unchanged, but a 32-bit one is zero-extended on some
		// parts; this follows those that leave it alone.
		c.setCC(ccLogic, size, 0, 0)
		return o.next
	}
	c.setArg(o, 0, uint64(bits.TrailingZeros64(b)))
	c.setFlags(c.flags() &^ x86.FlagZF)
	return o.next
}

func opBsr(c *CPU, o *Op) *Op {
	size := o.x.Args[1].Size
	b := c.arg(o, 1)
	if b == 0 {
		c.setCC(ccLogic, size, 0, 0)
		return o.next
	}
	c.setArg(o, 0, uint64(63-bits.LeadingZeros64(b)))
	c.setFlags(c.flags() &^ x86.FlagZF)
	return o.next
}

// countFlags are the flags of LZCNT and TZCNT: CF for a zero source, ZF for a
// zero result.
func (c *CPU) countFlags(src, r uint64) {
	c.setFlags(c.flags()&^(x86.FlagCF|x86.FlagZF) | b2u(src == 0) | b2u(r == 0)<<6)
}

func opTzcnt(c *CPU, o *Op) *Op {
	if !c.Model.Has("bmi1") {
		return opBsf(c, o)
	}
	b := c.arg(o, 1)
	r := uint64(min(bits.TrailingZeros64(b), 8*int(o.x.Args[1].Size)))
	c.setArg(o, 0, r)
	c.countFlags(b, r)
	return o.next
}

func opLzcnt(c *CPU, o *Op) *Op {
	if !c.Model.Has("abm") {
		return opBsr(c, o)
	}
	b := c.arg(o, 1)
	r := uint64(bits.LeadingZeros64(b) - (64 - 8*int(o.x.Args[1].Size)))
	c.setArg(o, 0, r)
	c.countFlags(b, r)
	return o.next
}

func opPopcnt(c *CPU, o *Op) *Op {
	b := c.arg(o, 1)
	c.setArg(o, 0, uint64(bits.OnesCount64(b)))
	c.setFlags(b2u(b == 0) << 6)
	return o.next
}

func opBswap(c *CPU, o *Op) *Op {
	r := o.x.Args[0].Reg
	switch o.size {
	case 8:
		c.R[r&31] = bits.ReverseBytes64(c.R[r&31])
	case 4:
		c.R[r&31] = uint64(bits.ReverseBytes32(uint32(c.R[r&31])))
	default:
		c.setReg(r, 2, 0) // undefined; silicon gives zero
	}
	return o.next
}

func opCmpxchg(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	want := c.reg(x86.RAX, size)
	src := c.arg(o, 1)
	var old uint64
	if o.x.Args[0].Kind != decode.Mem {
		old = c.arg(o, 0)
		if old == want {
			c.setArg(o, 0, src)
		} else {
			c.setReg(x86.RAX, size, old)
		}
	} else {
		old = c.atomic(o, size, func(a uint64) uint64 {
			if a == want {
				return src
			}
			return a
		})
		if old != want {
			c.setReg(x86.RAX, size, old)
		}
	}
	c.setCC(ccSub, size, (want-old)&sizeMask(size), old)
	return o.next
}

func opCmpxchg8b(c *CPU, o *Op) *Op {
	f := c.flags() &^ x86.FlagZF
	if o.size == 8 {
		if !c.Model.Has("cx16") {
			return opUndefined(c, o)
		}
		va := c.lin(o, 16, true)
		if va&15 != 0 {
			c.raise(o, x86.ExcGP, 0)
		}
		lo, hi := c.cmpxchg16(o, va)
		if lo == c.R[x86.RAX] && hi == c.R[x86.RDX] {
			f |= x86.FlagZF
		} else {
			c.R[x86.RAX], c.R[x86.RDX] = lo, hi
		}
		c.setFlags(f)
		return o.next
	}
	want := c.reg(x86.RDX, 4)<<32 | c.reg(x86.RAX, 4)
	src := c.reg(x86.RCX, 4)<<32 | c.reg(x86.RBX, 4)
	old := c.atomic(o, 8, func(a uint64) uint64 {
		if a == want {
			return src
		}
		return a
	})
	if old == want {
		f |= x86.FlagZF
	} else {
		c.setReg(x86.RAX, 4, old)
		c.setReg(x86.RDX, 4, old>>32)
	}
	c.setFlags(f)
	return o.next
}

// cmpxchg16 is the memory side of CMPXCHG16B at an aligned address; it returns
// what was there.
func (c *CPU) cmpxchg16(o *Op, va uint64) (lo, hi uint64) {
	a, d, b, x := c.R[x86.RAX], c.R[x86.RDX], c.R[x86.RBX], c.R[x86.RCX]
	p := c.resolve(o, va, 16, mmu.Write)
	if p.host != nil && p.rgn.Kind == mmu.RAM {
		lo, hi = cas128(p.host, a, d, b, x)
		off := p.rgn.Off + p.pa - p.rgn.Base
		if p.rgn.Blk.Flags(off)&mmu.PageCode != 0 {
			c.wroteCode(p.rgn.Blk, off, 16)
		}
		return lo, hi
	}
	// A device or ROM, where nothing can be atomic.
	lo, hi = c.readPlace(p, 8), c.readPlace(p.plus(8), 8)
	if lo == a && hi == d {
		c.writePlace(p, 8, b)
		c.writePlace(p.plus(8), 8, x)
	}
	return lo, hi
}

func opXadd(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	b := c.arg(o, 1)
	var a uint64
	if o.x.Args[0].Kind != decode.Mem {
		a = c.arg(o, 0)
		c.setArg(o, 1, a)
		c.setArg(o, 0, (a+b)&sizeMask(size))
	} else {
		a = c.atomic(o, size, func(a uint64) uint64 { return a + b })
		c.setArg(o, 1, a)
	}
	c.setCC(ccAdd, size, (a+b)&sizeMask(size), b)
	return o.next
}

func opMovbe(c *CPU, o *Op) *Op {
	v := c.arg(o, 1)
	c.setArg(o, 0, bits.ReverseBytes64(v)>>(64-8*uint(o.size)))
	return o.next
}

func opAdcx(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, b := c.arg(o, 0), c.arg(o, 1)
	f := c.flags()
	r, carry := addCarry(a, b, f&1, size)
	c.setArg(o, 0, r)
	c.setFlags(f&^x86.FlagCF | carry)
	return o.next
}

func opAdox(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, b := c.arg(o, 0), c.arg(o, 1)
	f := c.flags()
	r, carry := addCarry(a, b, f>>11&1, size)
	c.setArg(o, 0, r)
	c.setFlags(f&^x86.FlagOF | carry<<11)
	return o.next
}

func addCarry(a, b, in uint64, size uint8) (r, out uint64) {
	if size == 8 {
		return bits.Add64(a, b, in)
	}
	r = a + b + in
	return r & sizeMask(size), r >> (8 * size) & 1
}

func opAndn(c *CPU, o *Op) *Op {
	r := ^c.arg(o, 1) & c.arg(o, 2)
	c.setArg(o, 0, r)
	c.setCC(ccLogic, o.x.Args[0].Size, r&sizeMask(o.x.Args[0].Size), 0)
	return o.next
}

// opBls is BLSR, BLSMSK and BLSI, numbered by ModRM.reg.
func opBls(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a := c.arg(o, 1)
	var r, cf uint64
	switch o.x.ModRM >> 3 & 7 {
	case 1:
		r, cf = a&(a-1), b2u(a == 0)
	case 2:
		r, cf = a^(a-1), b2u(a == 0)
	default:
		r, cf = a&-a, b2u(a != 0)
	}
	r &= sizeMask(size)
	c.setArg(o, 0, r)
	c.setCC(ccBlsr, size, r, cf)
	return o.next
}

func opBextr(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, ctl := c.arg(o, 1), c.arg(o, 2)
	start, n := ctl&0xff, ctl>>8&0xff
	r := a >> start
	if n < 64 {
		r &= 1<<n - 1
	}
	c.setArg(o, 0, r)
	c.setCC(ccLogic, size, r&sizeMask(size), 0)
	return o.next
}

func opBzhi(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, n := c.arg(o, 1), c.arg(o, 2)&0xff
	r := a
	if n < 8*uint64(size) {
		r &= 1<<n - 1
	}
	c.setArg(o, 0, r)
	c.setCC(ccBlsr, size, r, b2u(n >= 8*uint64(size)))
	return o.next
}

func opPdep(c *CPU, o *Op) *Op {
	c.setArg(o, 0, simd.PDEP(c.arg(o, 1), c.arg(o, 2)))
	return o.next
}

func opPext(c *CPU, o *Op) *Op {
	c.setArg(o, 0, simd.PEXT(c.arg(o, 1), c.arg(o, 2)))
	return o.next
}

func opMulx(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a, b := c.reg(x86.RDX, size), c.arg(o, 2)
	hi, lo := bits.Mul64(a, b)
	if size == 4 {
		hi = lo >> 32
	}
	c.setArg(o, 1, lo)
	c.setArg(o, 0, hi)
	return o.next
}

func opShiftx(c *CPU, o *Op) *Op {
	size := o.x.Args[0].Size
	a := c.arg(o, 1)
	n := c.arg(o, 2) & (8*uint64(size) - 1)
	switch o.x.Op {
	case opIDShlx:
		a <<= n
	case opIDShrx:
		a >>= n
	default:
		a = uint64(int64(signExtend(a, size)) >> n)
	}
	c.setArg(o, 0, a)
	return o.next
}

var (
	opIDShlx = decode.MustOp("shlx")
	opIDShrx = decode.MustOp("shrx")
)

func opRorx(c *CPU, o *Op) *Op {
	a := c.arg(o, 1)
	if o.x.Args[0].Size == 4 {
		a = uint64(bits.RotateLeft32(uint32(a), -int(o.imm&31)))
	} else {
		a = bits.RotateLeft64(a, -int(o.imm&63))
	}
	c.setArg(o, 0, a)
	return o.next
}

// opCbw is CBW, CWDE, CDQE; opCwd CWD, CDQ, CQO.
func opCbw(c *CPU, o *Op) *Op {
	c.setReg(x86.RAX, o.size, signExtend(c.R[x86.RAX], o.size/2))
	return o.next
}

func opCwd(c *CPU, o *Op) *Op {
	c.setReg(x86.RDX, o.size, uint64(int64(signExtend(c.R[x86.RAX], o.size))>>63))
	return o.next
}

func opLahf(c *CPU, o *Op) *Op {
	if c.long && !c.Model.Has("lahf-lm") {
		return opUndefined(c, o)
	}
	c.R[x86.RAX] = c.R[x86.RAX]&^0xff00 | (c.flags()&0xff|x86.Flag1)<<8
	return o.next
}

func opSahf(c *CPU, o *Op) *Op {
	if c.long && !c.Model.Has("lahf-lm") {
		return opUndefined(c, o)
	}
	c.setFlags(c.flags()&x86.FlagOF | c.R[x86.RAX]>>8&(x86.FlagsArith&^x86.FlagOF))
	return o.next
}

func opClc(c *CPU, o *Op) *Op {
	c.setFlags(c.flags() &^ x86.FlagCF)
	return o.next
}

func opStc(c *CPU, o *Op) *Op {
	c.setFlags(c.flags() | x86.FlagCF)
	return o.next
}

func opCmc(c *CPU, o *Op) *Op {
	c.setFlags(c.flags() ^ x86.FlagCF)
	return o.next
}

func opCld(c *CPU, o *Op) *Op {
	c.Flags &^= x86.FlagDF
	return o.next
}

func opStd(c *CPU, o *Op) *Op {
	c.Flags |= x86.FlagDF
	return o.next
}

func opSalc(c *CPU, o *Op) *Op {
	c.setReg(x86.RAX, 1, -c.cf())
	return o.next
}

func opXlat(c *CPU, o *Op) *Op {
	ea := (c.R[x86.RBX] + c.R[x86.RAX]&0xff) & c.amask[o.x.AddrSize]
	c.setReg(x86.RAX, 1, c.ld8(o, c.segLin(o, o.seg, ea, 1, false)))
	return o.next
}

func opCmov(c *CPU, o *Op) *Op {
	b := c.arg(o, 1) // read, and may fault, whatever the condition
	if c.cond(o.cc) {
		c.setArg(o, 0, b)
	} else if o.size == 4 {
		c.R[o.x.Args[0].Reg&31] &= 0xffffffff
	}
	return o.next
}

func opSet(c *CPU, o *Op) *Op {
	c.setArg(o, 0, b2u(c.cond(o.cc)))
	return o.next
}

// Decimal adjustment (SDM volume 2).

func opAaa(c *CPU, o *Op) *Op {
	f := c.flags()
	ax := c.R[x86.RAX]
	if ax&15 > 9 || f&x86.FlagAF != 0 {
		ax += 0x106
		f |= x86.FlagAF | x86.FlagCF
	} else {
		f &^= x86.FlagAF | x86.FlagCF
	}
	c.setReg(x86.RAX, 2, ax&0xff0f)
	c.setFlags(f)
	return o.next
}

func opAas(c *CPU, o *Op) *Op {
	f := c.flags()
	ax := c.R[x86.RAX]
	if ax&15 > 9 || f&x86.FlagAF != 0 {
		ax -= 0x106
		f |= x86.FlagAF | x86.FlagCF
	} else {
		f &^= x86.FlagAF | x86.FlagCF
	}
	c.setReg(x86.RAX, 2, ax&0xff0f)
	c.setFlags(f)
	return o.next
}

func opDaa(c *CPU, o *Op) *Op {
	f := c.flags()
	al := c.R[x86.RAX] & 0xff
	r, nf := al, uint64(0)
	if al&15 > 9 || f&x86.FlagAF != 0 {
		r += 6
		nf |= x86.FlagAF
	}
	if al > 0x99 || f&x86.FlagCF != 0 {
		r += 0x60
		nf |= x86.FlagCF
	}
	c.adjusted(r, nf)
	return o.next
}

func opDas(c *CPU, o *Op) *Op {
	f := c.flags()
	al := c.R[x86.RAX] & 0xff
	r, nf := al, uint64(0)
	if al&15 > 9 || f&x86.FlagAF != 0 {
		r -= 6
		nf |= x86.FlagAF | b2u(al < 6)
	}
	if al > 0x99 || f&x86.FlagCF != 0 {
		r -= 0x60
		nf |= x86.FlagCF
	}
	c.adjusted(r, nf)
	return o.next
}

// adjusted stores AL and sets SF, ZF and PF from it beside the flags nf.
func (c *CPU) adjusted(r, nf uint64) {
	c.setReg(x86.RAX, 1, r)
	c.setCC(ccLogic, 1, r&0xff, 0)
	c.setFlags(c.flags() | nf)
}

func opAam(c *CPU, o *Op) *Op {
	d := o.imm & 0xff
	if d == 0 {
		c.raise(o, x86.ExcDE, noCode)
	}
	al := c.R[x86.RAX] & 0xff
	c.setReg(x86.RAX, 2, al/d<<8|al%d)
	c.setCC(ccLogic, 1, al%d, 0)
	return o.next
}

func opAad(c *CPU, o *Op) *Op {
	al := (c.R[x86.RAX] + c.R[x86.RAX]>>8&0xff*(o.imm&0xff)) & 0xff
	c.setReg(x86.RAX, 2, al)
	c.setCC(ccLogic, 1, al, 0)
	return o.next
}

func opBound(c *CPU, o *Op) *Op {
	va := c.lin(o, 2*uint(o.size), false)
	i := int64(signExtend(c.arg(o, 0), o.size))
	lo := int64(signExtend(c.ld(o, va, o.size), o.size))
	hi := int64(signExtend(c.ld(o, (va+uint64(o.size))&0xffffffff, o.size), o.size))
	if i < lo || i > hi {
		c.raise(o, x86.ExcBR, noCode)
	}
	return o.next
}

func opCrc32(c *CPU, o *Op) *Op {
	c.setArg(o, 0, uint64(simd.CRC32(uint32(c.arg(o, 0)), c.arg(o, 1), int(o.x.Args[1].Size))))
	return o.next
}
