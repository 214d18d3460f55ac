package interp

// From decoded instruction to Op: the choice of handler.

import (
	"hotblock/x86"
	"hotblock/x86/decode"
)

// A handlerDef says how a mnemonic is executed.
type handlerDef struct {
	fn    opFunc
	cc    uint8     // for Op.cc
	ends  bool      // ends the basic block
	stack bool      // uses the stack, implicitly
	feat  string    // the CPUID feature that it needs, or ""
	vec   *vecForms // of a vector instruction: its handlers, in place of fn
}

var handlers []handlerDef

func on(name string, fn opFunc) *handlerDef {
	op := decode.MustOp(name)
	if handlers == nil {
		handlers = make([]handlerDef, decode.NumOps())
	}
	if handlers[op].fn != nil {
		panic("interp: two handlers for " + name)
	}
	handlers[op].fn = fn
	return &handlers[op]
}

// stack registers a handler that uses the stack.
func stack(name string, fn opFunc) *handlerDef {
	h := on(name, fn)
	h.stack = true
	return h
}

// end registers a handler after which the block ends.
func end(name string, fn opFunc) { on(name, fn).ends = true }

// ccNames are the condition codes by number; each may have a second name.
var ccNames = [16]string{"o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g"}

// compile makes o, which must be zeroes, the Op of a decoded instruction. ends says that the basic block
// ends with it.
func (c *CPU) compile(x *decode.Inst, off uint16, o *Op) (ends bool) {
	h := &handlers[x.Op]
	o.fn, o.cc, o.x, o.off, o.len, o.size = h.fn, h.cc, x, off, x.Len, x.OpSize
	o.base, o.idx, o.scl, o.disp, o.imm, o.seg, o.sreg = x.Base, x.Index, x.Scale, uint64(x.Disp), x.Imm, x.Seg, x86.RZero
	if h.vec != nil {
		c.vecOperands(o, x)
		o.fn = h.vec.pick(x)
	}
	if o.fn == nil || !c.enabled(x.Feature) || h.feat != "" && !c.Model.Has(h.feat) {
		o.fn = opUndefined
		return true
	}
	if x.Vex && h.vec == nil && c.mode == mode16 {
		o.fn = realVEX(o.fn)
	}
	if x.Base == decode.RIPReg {
		o.disp += uint64(off) + uint64(x.Len)
	}
	if c.mode != mode64 || x.Seg >= x86.FS {
		o.sreg = x86.RSeg + x.Seg
	}
	if h.stack && !x.HasMem() {
		o.seg = x86.SS // tells #SS from #GP
	}
	for i := range x.NArgs {
		if x.Args[i].Kind == decode.Rel {
			o.imm = uint64(off) + uint64(x.Len) + x.Imm
			if c.mode != mode64 && x.OpSize == 2 && c.mode != mode16 {
				o.fn = opBranch16 // wraps the instruction pointer to 16 bits
			}
		}
	}
	if x.Lock {
		o.fn = lockedHandler(x, o.fn)
	} else if h.vec == nil && c.mode == mode64 && x.AddrSize == 8 {
		if f := fast(o, x); f != nil {
			o.fn, o.fast = f, true
		}
	}
	return h.ends
}

// realVEX is a VEX-encoded instruction on general registers in 16-bit code, which
// real and virtual-8086 mode do not have (SDM volume 2, 2.8).
func realVEX(fn opFunc) opFunc {
	return func(c *CPU, o *Op) *Op {
		if c.CR0&x86.CR0PE == 0 || c.Flags&x86.FlagVM != 0 {
			c.raise(o, x86.ExcUD, 0)
		}
		return fn(c, o)
	}
}

// What EFLAGS.TF says about the single-step trap after an instruction.
const (
	traceBefore = iota // TF as it was before the instruction
	traceAfter         // TF as the instruction left it
	traceNot           // no trap: an event was delivered, which cleared TF
)

// trace says when the single-step trap after o is decided. SYSCALL and SYSRET go
// by TF as they leave it, so that IA32_FMASK keeps the trap out of the kernel and
// SYSRET delivers it as if the SYSCALL had just ended (SDM volume 2, SYSRET).
func (o *Op) trace() int {
	if o.x == nil {
		return traceBefore
	}
	switch o.x.Op {
	case opIDInt3, opIDInt, opIDInt1:
		return traceNot
	case opIDSyscall, opIDSysret:
		return traceAfter
	}
	return traceBefore
}

// keepsRF reports whether o sets EFLAGS.RF itself.
func (o *Op) keepsRF() bool { return o.x != nil && o.x.Op == opIDIret }

var (
	opIDIret = decode.MustOp("iret")
	opIDInt3 = decode.MustOp("int3")
	opIDInt  = decode.MustOp("int")
	opIDInt1 = decode.MustOp("int1")

	opIDSyscall = decode.MustOp("syscall")
	opIDSysret  = decode.MustOp("sysret")
)
