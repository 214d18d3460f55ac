package interp

// The x87 FPU (SDM volume 1, chapter 8).
//
// Arithmetic is softfp's; here are the register stack, its faults, exceptions,
// and the environment. Registers are kept by physical number; ST(i) is number
// (TOP+i)&7. An exception that is not masked is only recorded: it is raised as
// #MF by the next waiting instruction, which is what fpWait looks for.

import (
	"strings"

	"hotblock/x86"
	"hotblock/x86/decode"
	"hotblock/x86/softfp"
)

// Bits of the status word.
const (
	fpIE     = 1 << 0
	fpDE     = 1 << 1
	fpZE     = 1 << 2
	fpSF     = 1 << 6 // stack fault
	fpES     = 1 << 7
	fpC0     = 1 << 8
	fpC1     = 1 << 9
	fpC2     = 1 << 10
	fpC3     = 1 << 14
	fpB      = 1 << 15
	fpCC     = fpC0 | fpC1 | fpC2 | fpC3
	fpFlags  = 0x3f
	fpEnable = 0x3f // masks in the control word
)

func init() {
	// Waiting instructions that compute.
	for i, n := range []string{"add", "mul", "", "", "sub", "subr", "div", "divr"} {
		if n != "" {
			fp("f"+n, opFarith).cc = uint8(i)
			fp("f"+n+"p", opFarith).cc = uint8(i)
			fp("fi"+n, opFarith).cc = uint8(i)
		}
	}
	for _, n := range []string{"fcom", "fcomp", "fcompp", "fucom", "fucomp", "fucompp", "ficom", "ficomp", "ftst"} {
		fp(n, opFcom)
	}
	for _, n := range []string{"fcomi", "fcomip", "fucomi", "fucomip"} {
		fp(n, opFcomi)
	}
	for i, n := range []string{"b", "e", "be", "u", "nb", "ne", "nbe", "nu"} {
		fp("fcmov"+n, opFcmov).cc = uint8(i)
	}
	for i, n := range []string{"fld1", "fldl2t", "fldl2e", "fldpi", "fldlg2", "fldln2", "fldz"} {
		fp(n, opFconst).cc = uint8(i)
	}
	fp("fld", opFld)
	fp("fild", opFld)
	fp("fbld", opFld)
	for _, n := range []string{"fst", "fstp", "fist", "fistp", "fisttp", "fbstp"} {
		fp(n, opFst)
	}
	fp("fxch", opFxch)
	fp("fchs", opFchs)
	fp("fabs", opFchs).cc = 1
	fp("fxam", opFxam)
	for _, n := range []string{"fsqrt", "frndint", "f2xm1", "fsin", "fcos"} {
		fp(n, opFunary)
	}
	for _, n := range []string{"fsincos", "fptan", "fxtract"} {
		fp(n, opFpush)
	}
	for _, n := range []string{"fyl2x", "fyl2xp1", "fpatan", "fscale", "fprem", "fprem1"} {
		fp(n, opFbinary)
	}
	fp("fincstp", opFincstp)
	fp("fdecstp", opFincstp).cc = 1
	fp("ffree", opFfree)
	fp("ffreep", opFfree).cc = 1
	fp("fnop", func(c *CPU, o *Op) *Op { c.fpWait(o); return o.next })
	fp("fldcw", opFldcw)
	fp("fldenv", opFldenv)
	fp("frstor", opFrstor)
	on("fwait", opFwait)

	// Those that do not wait.
	fp("fninit", func(c *CPU, o *Op) *Op { c.fpUsable(o); c.initX87(); return o.next })
	fp("fnclex", func(c *CPU, o *Op) *Op { c.fpUsable(o); c.FSW &= 0x7f00; return o.next })
	fp("fnstsw", func(c *CPU, o *Op) *Op { c.fpUsable(o); c.setArg(o, 0, uint64(c.FSW)); return o.next })
	fp("fnstcw", func(c *CPU, o *Op) *Op { c.fpUsable(o); c.setArg(o, 0, uint64(c.FCW)); return o.next })
	fp("fnstenv", opFnstenv)
	fp("fnsave", opFnsave)
	for _, n := range []string{"feni8087", "fdisi8087", "fsetpm287"} {
		fp(n, func(c *CPU, o *Op) *Op { c.fpUsable(o); return o.next })
	}
}

func fp(name string, fn opFunc) *handlerDef {
	h := on(name, fn)
	h.feat = "fpu"
	return h
}

// fpUsable raises #NM where the FPU may not be used.
func (c *CPU) fpUsable(o *Op) {
	if c.CR0&(x86.CR0EM|x86.CR0TS) != 0 {
		c.raise(o, x86.ExcNM, 0)
	}
}

// fpWait begins a waiting instruction: it raises a pending exception.
func (c *CPU) fpWait(o *Op) {
	c.fpUsable(o)
	if c.FSW&fpES != 0 {
		c.raiseMF(o)
	}
}

// raiseMF raises #MF, or without CR0.NE tells the outside through FERR#.
func (c *CPU) raiseMF(o *Op) {
	if c.CR0&x86.CR0NE == 0 && c.FERR != nil {
		c.FERR()
		return
	}
	c.raise(o, x86.ExcMF, 0)
}

func opFwait(c *CPU, o *Op) *Op {
	if c.CR0&(x86.CR0MP|x86.CR0TS) == x86.CR0MP|x86.CR0TS {
		c.raise(o, x86.ExcNM, 0)
	}
	if c.FSW&fpES != 0 {
		c.raiseMF(o)
	}
	return o.next
}

// fpBegin is fpWait for an instruction that the environment's pointers follow.
func (c *CPU) fpBegin(o *Op) {
	c.fpWait(o)
	c.FIP = c.ripAt(o.off)
	c.FCS = c.Seg[x86.CS].Sel
	c.FOP = uint16(o.x.Opcode&7)<<8 | uint16(o.x.ModRM)
	if o.x.ModRM < 0xc0 {
		c.FDP = c.ea(o)
		c.FDS = c.Seg[o.seg].Sel
	}
}

func (c *CPU) top() int { return int(c.FSW >> 11 & 7) }

func (c *CPU) setTop(t int) { c.FSW = c.FSW&^(7<<11) | uint16(t&7)<<11 }

func (c *CPU) fpEmpty(i int) bool { return c.FTW>>((c.top()+i)&7)&1 == 0 }

func (c *CPU) st80(i int) softfp.F80 {
	r := (c.top() + i) & 7
	return softfp.F80{Frac: c.FPFrac[r], SE: c.FPExp[r]}
}

func (c *CPU) setST(i int, v softfp.F80) {
	r := (c.top() + i) & 7
	c.FPFrac[r], c.FPExp[r] = v.Frac, v.SE
	c.FTW |= 1 << r
}

func (c *CPU) fpPop() {
	c.FTW &^= 1 << c.top()
	c.setTop(c.top() + 1)
}

// fpStatus records what an operation returned: flags are sticky, C1 is copied,
// other condition codes only where cc names them.
func (c *CPU) fpStatus(sw uint32, cc uint16) {
	cc |= fpC1
	c.FSW = c.FSW&^cc | uint16(sw)&(cc|fpFlags|fpSF)
	if c.FSW&^c.FCW&fpFlags != 0 {
		c.FSW |= fpES | fpB
	}
}

// fpUnderflow is a stack underflow. It reports whether the exception is masked,
// so that the instruction goes on with the indefinite value.
func (c *CPU) fpUnderflow() bool {
	c.fpStatus(fpIE|fpSF, 0)
	return c.FCW&fpIE != 0
}

// fpPush pushes a value with the status sw of its making. A stack overflow pushes
// the indefinite value instead, if it is masked.
func (c *CPU) fpPush(v softfp.F80, sw uint32) {
	if !c.fpEmpty(7) {
		c.fpStatus(fpIE|fpSF|fpC1, 0)
		if c.FCW&fpIE == 0 {
			return
		}
		c.setTop(c.top() - 1)
		c.setST(0, softfp.Indefinite80)
		return
	}
	c.fpStatus(sw, 0)
	// A denormal is loaded even where that exception is not masked.
	if sw&^uint32(c.FCW)&fpIE != 0 {
		return
	}
	c.setTop(c.top() - 1)
	c.setST(0, v)
}

// fpMem reads a memory operand: a float32 or float64, an integer for the FI
// group and FILD, an 80-bit or packed decimal number.
func (c *CPU) fpMem(o *Op) (softfp.F80, uint32) {
	a := &o.x.Args[0]
	integer := o.x.Op.String()[1] == 'i'
	switch {
	case a.Size == 10:
		va := c.lin(o, 10, false)
		lo := c.ld64(o, va)
		hi := c.ld16(o, (va+8)&c.linMask)
		if o.x.Op == opIDFbld {
			var b softfp.BCD
			for i := range 8 {
				b[i] = byte(lo >> (8 * i))
			}
			b[8], b[9] = byte(hi), byte(hi>>8)
			return softfp.FromBCD(b), 0
		}
		return softfp.F80{Frac: lo, SE: uint16(hi)}, 0
	case integer:
		return softfp.FromInt80(int64(signExtend(c.arg(o, 0), a.Size))), 0
	case a.Size == 4:
		return softfp.From32(uint32(c.arg(o, 0)), c.FCW)
	}
	return softfp.From64(c.arg(o, 0), c.FCW)
}

// signalling gives a signalling NaN that was widened its nature back: an
// operation on it has to see which of two NaNs was quiet.
func signalling(v softfp.F80, sw uint32) (softfp.F80, uint32) {
	if sw&fpIE != 0 {
		v.Frac &^= 1 << 62
		sw &^= fpIE
	}
	return v, sw
}

var (
	opIDFbld  = decode.MustOp("fbld")
	opIDFtst  = decode.MustOp("ftst")
	opIDFprem = decode.MustOp("fprem")
)

func opFarith(c *CPU, o *Op) *Op {
	c.fpWait(o)
	dst, src := 0, 0
	var b softfp.F80
	var sw uint32
	empty := false
	if o.x.Args[0].Kind == decode.Mem {
		b, sw = signalling(c.fpMem(o))
	} else {
		dst, src = int(o.x.Args[0].Reg), int(o.x.Args[1].Reg)
		b, empty = c.st80(src), c.fpEmpty(src)
	}
	c.fpBegin(o)
	pop := strings.HasSuffix(o.x.Op.String(), "p")
	if empty || c.fpEmpty(dst) {
		if c.fpUnderflow() {
			c.setST(dst, softfp.Indefinite80)
			if pop {
				c.fpPop()
			}
		}
		return o.next
	}
	a := c.st80(dst)
	var r softfp.F80
	var s uint32
	switch o.cc {
	case 0:
		r, s = softfp.Add80(a, b, c.FCW)
	case 1:
		r, s = softfp.Mul80(a, b, c.FCW)
	case 4:
		r, s = softfp.Sub80(a, b, c.FCW)
	case 5:
		r, s = softfp.Sub80(b, a, c.FCW)
	case 6:
		r, s = softfp.Div80(a, b, c.FCW)
	default:
		r, s = softfp.Div80(b, a, c.FCW)
	}
	if unsupported80(a) {
		r = softfp.Indefinite80
	}
	sw = c.joinDenormal(sw, s, a)
	c.fpStatus(sw, 0)
	if softfp.NotStored(sw, c.FCW) {
		return o.next
	}
	c.setST(dst, r)
	if pop {
		c.fpPop()
	}
	return o.next
}

// joinDenormal joins the status of widening a memory operand with that of the
// operation on it and register a. A denormal operand counts only where neither a
// NaN nor an invalid operation nor a division by zero comes first (SDM volume 1,
// 8.6).
func (c *CPU) joinDenormal(widen, op uint32, a softfp.F80) uint32 {
	if widen&fpDE != 0 {
		nan := a.SE&0x7fff == 0x7fff && a.Frac != 1<<63
		switch {
		case nan || unsupported80(a) || op&(fpIE|fpZE) != 0:
			widen &^= fpDE
		case c.FCW&fpDE == 0:
			// Not masked: there is no operation that could signal more.
			return widen | op&(softfp.C0|softfp.C2|softfp.C3)
		}
	}
	return widen | op
}

// unsupported80 reports whether a register holds none of the formats that the
// FPU operates on (SDM volume 1, table 8-3).
func unsupported80(a softfp.F80) bool { return a.SE&0x7fff != 0 && a.Frac>>63 == 0 }

// opFcom is the comparisons that set the condition codes.
func opFcom(c *CPU, o *Op) *Op {
	c.fpWait(o)
	name := o.x.Op.String()
	b := softfp.Zero80
	var sw uint32
	empty := c.fpEmpty(0)
	switch {
	case o.x.Op == opIDFtst:
	case o.x.NArgs == 0: // FCOMPP and FUCOMPP
		b, empty = c.st80(1), empty || c.fpEmpty(1)
	case o.x.Args[0].Kind == decode.Mem:
		b, sw = signalling(c.fpMem(o))
	default:
		i := int(o.x.Args[0].Reg)
		b, empty = c.st80(i), empty || c.fpEmpty(i)
	}
	c.fpBegin(o)
	if empty {
		sw = softfp.C0 | softfp.C2 | softfp.C3 | fpIE | fpSF
	} else {
		a := c.st80(0)
		sw = c.joinDenormal(sw, softfp.Compare80(a, b, name[1] != 'u', c.FCW), a)
	}
	c.fpStatus(sw, fpCC)
	if softfp.NotStored(sw, c.FCW) {
		return o.next
	}
	for range strings.Count(strings.TrimPrefix(name, "f"), "p") {
		c.fpPop()
	}
	return o.next
}

// opFcomi is the comparisons that set EFLAGS.
func opFcomi(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	name := o.x.Op.String()
	i := int(o.x.Args[1].Reg)
	var sw uint32
	if c.fpEmpty(0) || c.fpEmpty(i) {
		sw = softfp.C0 | softfp.C2 | softfp.C3 | fpIE | fpSF
	} else {
		// C1 is left as it is.
		sw = softfp.Compare80(c.st80(0), c.st80(i), name[1] != 'u', c.FCW) | uint32(c.FSW&fpC1)
	}
	c.fpStatus(sw, 0)
	// EFLAGS are set even by an exception that is not masked (AMD; Intel leaves
	// them).
	c.setFlags(uint64(softfp.CompareFlags(sw)))
	if softfp.NotStored(sw, c.FCW) {
		return o.next
	}
	if strings.HasSuffix(name, "p") {
		c.fpPop()
	}
	return o.next
}

func opFcmov(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	i := int(o.x.Args[1].Reg)
	f := c.flags()
	var v bool
	switch o.cc & 3 {
	case 0:
		v = f&x86.FlagCF != 0
	case 1:
		v = f&x86.FlagZF != 0
	case 2:
		v = f&(x86.FlagCF|x86.FlagZF) != 0
	default:
		v = f&x86.FlagPF != 0
	}
	if c.fpEmpty(0) || c.fpEmpty(i) {
		if c.fpUnderflow() {
			c.setST(0, softfp.Indefinite80)
		}
		return o.next
	}
	if v != (o.cc&4 != 0) {
		c.setST(0, c.st80(i))
	}
	return o.next
}

func opFconst(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	c.fpPush(softfp.Const80(int(o.cc), c.FCW), 0)
	return o.next
}

func opFld(c *CPU, o *Op) *Op {
	c.fpWait(o)
	if a := &o.x.Args[0]; a.Kind == decode.ST {
		c.fpBegin(o)
		i := int(a.Reg)
		if c.fpEmpty(i) {
			if c.fpUnderflow() {
				c.setTop(c.top() - 1)
				c.setST(0, softfp.Indefinite80)
			}
			return o.next
		}
		c.fpPush(c.st80(i), 0)
		return o.next
	}
	v, sw := c.fpMem(o)
	c.fpBegin(o)
	c.fpPush(v, sw)
	return o.next
}

// opFst is the stores: to a register, or to memory with a conversion.
func opFst(c *CPU, o *Op) *Op {
	c.fpWait(o)
	name := o.x.Op.String()
	pop := strings.HasSuffix(name, "p")
	a := &o.x.Args[0]
	if a.Kind == decode.ST {
		c.fpBegin(o)
		i := int(a.Reg)
		if c.fpEmpty(0) {
			if c.fpUnderflow() {
				c.setST(i, softfp.Indefinite80)
				if pop {
					c.fpPop()
				}
			}
			return o.next
		}
		c.fpStatus(0, 0)
		c.setST(i, c.st80(0))
		if pop {
			c.fpPop()
		}
		return o.next
	}
	v := c.st80(0)
	empty := c.fpEmpty(0)
	if empty {
		v = softfp.Indefinite80
	}
	var sw uint32
	var lo uint64
	var hi uint16
	switch {
	case name == "fbstp":
		var b softfp.BCD
		b, sw = softfp.ToBCD(v, c.FCW)
		for i := range 8 {
			lo |= uint64(b[i]) << (8 * i)
		}
		hi = uint16(b[8]) | uint16(b[9])<<8
	case name[1] == 'i':
		lo, sw = softfp.ToInt80(v, 8*uint(a.Size), name == "fisttp", c.FCW)
	case a.Size == 4:
		var r uint32
		r, sw = softfp.To32(v, c.FCW)
		lo = uint64(r)
	case a.Size == 8:
		lo, sw = softfp.To64(v, c.FCW)
	default:
		lo, hi = v.Frac, v.SE
	}
	if empty {
		sw = fpIE | fpSF
	}
	// Memory has to be writable even where nothing is stored.
	va := c.lin(o, uint(a.Size), true)
	c.probeWrite(o, va, uint(a.Size))
	if !softfp.NotStoredMem(sw, c.FCW) {
		if a.Size == 10 {
			c.st64(o, va, lo)
			c.st16(o, (va+8)&c.linMask, uint64(hi))
		} else {
			c.st(o, va, a.Size, lo)
		}
	}
	c.fpBegin(o)
	c.fpStatus(sw, 0)
	if pop && !softfp.NotStoredMem(sw, c.FCW) {
		c.fpPop()
	}
	return o.next
}

func opFxch(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	i := int(o.x.Args[0].Reg)
	a, b := c.st80(0), c.st80(i)
	if c.fpEmpty(0) || c.fpEmpty(i) {
		if !c.fpUnderflow() {
			return o.next
		}
		if c.fpEmpty(0) {
			a = softfp.Indefinite80
		}
		if c.fpEmpty(i) {
			b = softfp.Indefinite80
		}
	} else {
		c.fpStatus(0, 0)
	}
	c.setST(0, b)
	c.setST(i, a)
	return o.next
}

// opFchs is FCHS and FABS.
func opFchs(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	if c.fpEmpty(0) {
		if c.fpUnderflow() {
			c.setST(0, softfp.Indefinite80)
		}
		return o.next
	}
	v := c.st80(0)
	if o.cc == 0 {
		v.SE ^= 0x8000
	} else {
		v.SE &^= 0x8000
	}
	c.fpStatus(0, 0)
	c.setST(0, v)
	return o.next
}

func opFxam(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	sw := softfp.Xam80(c.st80(0))
	if c.fpEmpty(0) {
		sw = softfp.C3 | softfp.C0 | sw&softfp.C1
	}
	c.fpStatus(sw, fpCC)
	return o.next
}

// opFunary replaces ST(0) by a function of it.
func opFunary(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	if c.fpEmpty(0) {
		if n := o.x.Op.String(); n == "fsin" || n == "fcos" {
			c.FSW &^= fpC2
		}
		if c.fpUnderflow() {
			c.setST(0, softfp.Indefinite80)
		}
		return o.next
	}
	v := c.st80(0)
	var sw uint32
	cc := uint16(0)
	switch o.x.Op.String() {
	case "fsqrt":
		v, sw = softfp.Sqrt80(v, c.FCW)
	case "frndint":
		v, sw = softfp.RoundInt80(v, c.FCW)
	case "f2xm1":
		v, sw = softfp.Exp2m1(v, c.FCW)
	case "fsin":
		v, sw = softfp.Sin80(v, c.FCW)
		cc = fpC2
	default:
		v, sw = softfp.Cos80(v, c.FCW)
		cc = fpC2
	}
	c.fpStatus(sw, cc)
	if !softfp.NotStored(sw, c.FCW) {
		c.setST(0, v)
	}
	return o.next
}

// opFpush replaces ST(0) by one result and pushes another.
func opFpush(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	name := o.x.Op.String()
	cc := uint16(0)
	if name != "fxtract" {
		cc = fpC2
	}
	if c.fpEmpty(0) || !c.fpEmpty(7) {
		over := uint32(0)
		if !c.fpEmpty(0) {
			over = fpC1
		}
		c.fpStatus(fpIE|fpSF|over, cc)
		if c.FCW&fpIE != 0 {
			c.setST(0, softfp.Indefinite80)
			c.setTop(c.top() - 1)
			c.setST(0, softfp.Indefinite80)
		}
		return o.next
	}
	v := c.st80(0)
	var p softfp.F80
	var sw uint32
	switch name {
	case "fsincos":
		v, p, sw = softfp.SinCos80(v, c.FCW)
	case "fptan":
		v, p, sw = softfp.Tan80(v, c.FCW)
	default:
		v, p, sw = softfp.Extract80(v, c.FCW)
	}
	c.fpStatus(sw, cc)
	if softfp.NotStored(sw, c.FCW) || sw&softfp.C2 != 0 {
		return o.next
	}
	c.setST(0, v)
	c.setTop(c.top() - 1)
	c.setST(0, p)
	return o.next
}

// opFbinary is the functions of ST(0) and ST(1).
func opFbinary(c *CPU, o *Op) *Op {
	c.fpBegin(o)
	name := o.x.Op.String()
	pop := name[1] == 'y' || name == "fpatan"
	dst := 0
	if pop {
		dst = 1
	}
	if c.fpEmpty(0) || c.fpEmpty(1) {
		if c.fpUnderflow() {
			c.setST(dst, softfp.Indefinite80)
			if pop {
				c.fpPop()
			}
		}
		return o.next
	}
	a, b := c.st80(0), c.st80(1)
	var r softfp.F80
	var sw uint32
	cc := uint16(0)
	switch name {
	case "fyl2x":
		r, sw = softfp.YLog2X(a, b, c.FCW)
	case "fyl2xp1":
		r, sw = softfp.YLog2XP1(a, b, c.FCW)
	case "fpatan":
		r, sw = softfp.Atan80(a, b, c.FCW)
	case "fscale":
		r, sw = softfp.Scale80(a, b, c.FCW)
	default:
		r, sw = softfp.Rem80(a, b, o.x.Op != opIDFprem, c.FCW)
		cc = fpCC
	}
	c.fpStatus(sw, cc)
	if softfp.NotStored(sw, c.FCW) {
		return o.next
	}
	c.setST(dst, r)
	if pop {
		c.fpPop()
	}
	return o.next
}

// opFincstp is FINCSTP and FDECSTP.
func opFincstp(c *CPU, o *Op) *Op {
	c.fpWait(o)
	d := 1
	if o.cc == 1 {
		d = -1
	}
	c.setTop(c.top() + d)
	c.FSW &^= fpC1
	return o.next
}

// opFfree is FFREE and FFREEP.
func opFfree(c *CPU, o *Op) *Op {
	c.fpWait(o)
	c.FTW &^= 1 << ((c.top() + int(o.x.Args[0].Reg)) & 7)
	c.FSW &^= fpC1
	if o.cc == 1 {
		c.fpPop()
	}
	return o.next
}

func opFldcw(c *CPU, o *Op) *Op {
	c.fpWait(o)
	c.FCW = uint16(c.arg(o, 0))&^0xe080 | 0x40
	c.x87StatusLoaded()
	return o.next
}

// fullTags is the tag word in the form of FSTENV, two bits a register: 0 valid,
// 1 zero, 2 special, 3 empty.
func (c *CPU) fullTags() uint16 {
	var t uint16
	for i := range 8 {
		v := uint16(0)
		exp := c.FPExp[i] & 0x7fff
		switch {
		case c.FTW>>i&1 == 0:
			v = 3
		case exp == 0 && c.FPFrac[i] == 0:
			v = 1
		case exp == 0 || exp == 0x7fff || c.FPFrac[i]>>63 == 0:
			v = 2
		}
		t |= v << (2 * i)
	}
	return t
}

func (c *CPU) setFullTags(t uint16) {
	c.FTW = 0
	for i := range 8 {
		if t>>(2*i)&3 != 3 {
			c.FTW |= 1 << i
		}
	}
}

// envSize is the size of the environment: 14 bytes with a 16-bit operand size.
func envSize(o *Op) uint64 {
	if o.size == 2 {
		return 14
	}
	return 28
}

// storeEnv writes the environment at va, in one of its four forms (SDM volume 1,
// figures 8-9 to 8-12).
func (c *CPU) storeEnv(o *Op, va uint64) {
	at := func(off uint64) uint64 { return (va + off) & c.linMask }
	real := !c.protected()
	ip, dp := c.FIP, c.FDP
	if real {
		ip += uint64(c.FCS) << 4
		dp += uint64(c.FDS) << 4
	}
	if o.size == 2 {
		vals := [7]uint64{uint64(c.FCW), uint64(c.FSW), uint64(c.fullTags()), ip, uint64(c.FCS), dp, uint64(c.FDS)}
		if real {
			vals[4] = ip>>16&15<<12 | uint64(c.FOP)
			vals[6] = dp >> 16 & 15 << 12
		}
		for i, v := range vals {
			c.st16(o, at(2*uint64(i)), v)
		}
		return
	}
	vals := [7]uint64{0xffff0000 | uint64(c.FCW), 0xffff0000 | uint64(c.FSW), 0xffff0000 | uint64(c.fullTags()),
		ip, uint64(c.FOP)<<16 | uint64(c.FCS), dp, 0xffff0000 | uint64(c.FDS)}
	if real {
		vals[3] = 0xffff0000 | ip&0xffff
		vals[4] = ip>>16&0xffff<<12 | uint64(c.FOP)
		vals[5] = 0xffff0000 | dp&0xffff
		vals[6] = dp >> 16 & 0xffff << 12
	}
	for i, v := range vals {
		c.st32(o, at(4*uint64(i)), v)
	}
}

func (c *CPU) loadEnv(o *Op, va uint64) {
	at := func(off uint64) uint64 { return (va + off) & c.linMask }
	var v [7]uint64
	for i := range v {
		if o.size == 2 {
			v[i] = c.ld16(o, at(2*uint64(i)))
		} else {
			v[i] = c.ld32(o, at(4*uint64(i)))
		}
	}
	c.FCW = uint16(v[0])&^0xe080 | 0x40
	c.FSW = uint16(v[1])
	c.setFullTags(uint16(v[2]))
	switch {
	case c.protected() && o.size == 2:
		c.FIP, c.FCS, c.FDP, c.FDS = v[3], uint16(v[4]), v[5], uint16(v[6])
	case c.protected():
		c.FIP, c.FCS, c.FDP, c.FDS = v[3], uint16(v[4]), v[5], uint16(v[6])
		c.FOP = uint16(v[4]>>16) & 0x7ff
	default:
		c.FIP, c.FDP = v[3]&0xffff|v[4]>>12<<16, v[5]&0xffff|v[6]>>12<<16
		c.FOP = uint16(v[4]) & 0x7ff
		c.FCS, c.FDS = 0, 0
	}
	c.x87StatusLoaded()
}

func opFnstenv(c *CPU, o *Op) *Op {
	c.fpUsable(o)
	n := uint(envSize(o))
	va := c.lin(o, n, true)
	c.probeWrite(o, va, n)
	c.storeEnv(o, va)
	c.FCW |= fpEnable
	c.x87StatusLoaded()
	return o.next
}

func opFldenv(c *CPU, o *Op) *Op {
	c.fpWait(o)
	n := uint(envSize(o))
	va := c.lin(o, n, false)
	c.probeRead(o, va, n)
	c.loadEnv(o, va)
	return o.next
}

func opFnsave(c *CPU, o *Op) *Op {
	c.fpUsable(o)
	n := envSize(o)
	va := c.lin(o, uint(n)+80, true)
	c.probeWrite(o, va, uint(n)+80)
	c.storeEnv(o, va)
	for i := range uint64(8) {
		v := c.st80(int(i))
		c.st64(o, (va+n+10*i)&c.linMask, v.Frac)
		c.st16(o, (va+n+10*i+8)&c.linMask, uint64(v.SE))
	}
	c.initX87()
	return o.next
}

func opFrstor(c *CPU, o *Op) *Op {
	c.fpWait(o)
	n := envSize(o)
	va := c.lin(o, uint(n)+80, false)
	c.probeRead(o, va, uint(n)+80)
	c.loadEnv(o, va)
	for i := range uint64(8) {
		r := (c.top() + int(i)) & 7
		c.FPFrac[r] = c.ld64(o, (va+n+10*i)&c.linMask)
		c.FPExp[r] = uint16(c.ld16(o, (va+n+10*i+8)&c.linMask))
	}
	return o.next
}
