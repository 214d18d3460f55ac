package jit

// An assembler for code that is written once: golang-asm, which is the Go
// toolchain's own for amd64.
//
// It takes half a microsecond an instruction, a hundred times what asm takes, so it
// is not for regions; but it knows the instructions and finds the lengths of jumps.
// The stubs are made with it, and the templates of the template back end.
//
// Three things that stubs need are not among what it knows. An address of GS with an
// index register and no base, and a memory operand in GS of an instruction with a VEX
// prefix, are written without a segment and a prefix byte is put in front. A CALL of a
// label, as it calls symbols only, is written as data. Two others are avoided: MOV of zero to a register becomes XOR, which changes flags, and displacements
// that fit in a byte are written so, which is why holes of templates have large ones.

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/twitchyliquid64/golang-asm/obj"
	"github.com/twitchyliquid64/golang-asm/obj/x86"
	"github.com/twitchyliquid64/golang-asm/objabi"
)

// goasm collects instructions. Its methods are asm's, but for jumps, which take
// labels.
type goasm struct {
	first, last *obj.Prog
	marks       []goMark
	calls       []goCall
	after       []func()
	progs       []obj.Prog // to take the next ones from
}

// A goCall is a call that ends at end and leads to to.
type goCall struct{ end, to *obj.Prog }

type goMark struct {
	at *obj.Prog
	to *int32
}

// A goLabel is a place in the code that jumps lead to.
type goLabel struct{ p *obj.Prog }

var (
	goasmMu   sync.Mutex // golang-asm's tables are made by the first to use them
	goasmLink *obj.Link
)

// A goasmError is what golang-asm says of what it cannot assemble.
type goasmError string

// assemble returns the machine code, which is for any address, and sets what mark
// was called with. It panics with a goasmError where there is no such instruction.
func (a *goasm) assemble() []byte {
	goasmMu.Lock()
	defer goasmMu.Unlock()
	if goasmLink == nil {
		goasmLink = obj.Linknew(&x86.Linkamd64)
		goasmLink.Headtype = objabi.Hlinux
		goasmLink.IsAsm = true // no padding in front of jumps: prefix bytes are there
		goasmLink.DiagFunc = func(f string, args ...any) { panic(goasmError("jit: golang-asm: " + fmt.Sprintf(f, args...))) }
		x86.Linkamd64.Init(goasmLink)
	}
	for p := a.first; p != nil; p = p.Link {
		p.Ctxt = goasmLink
	}
	s := &obj.LSym{Func: &obj.FuncInfo{Text: a.first}}
	x86.Linkamd64.Assemble(goasmLink, s, goasmLink.NewProg)
	for _, m := range a.marks {
		*m.to = int32(m.at.Pc)
	}
	for _, c := range a.calls {
		binary.LittleEndian.PutUint32(s.P[c.end.Pc-4:], uint32(c.to.Pc-c.end.Pc))
	}
	for _, f := range a.after {
		f()
	}
	return s.P
}

func (a *goasm) add(as obj.As, from, to obj.Addr) *obj.Prog {
	if len(a.progs) == 0 {
		a.progs = make([]obj.Prog, 64)
	}
	p := &a.progs[0]
	a.progs = a.progs[1:]
	p.As, p.From, p.To = as, from, to
	if a.first == nil {
		a.first = p
	} else {
		a.last.Link = p
	}
	a.last = p
	return p
}

// Operands.

var goNone = obj.Addr{}

func goReg(h int8) obj.Addr { return obj.Addr{Type: obj.TYPE_REG, Reg: x86.REG_AX + int16(h)} }
func goImm(v int64) obj.Addr {
	return obj.Addr{Type: obj.TYPE_CONST, Offset: v}
}

func goMem(m mem) obj.Addr {
	d := obj.Addr{Type: obj.TYPE_MEM, Offset: int64(m.disp), Scale: 1 << m.scale}
	switch {
	case m.base >= 0:
		d.Reg = x86.REG_AX + int16(m.base)
	case m.inGS() && m.index == noReg:
		d.Reg = x86.REG_GS
	}
	if m.index != noReg {
		d.Index = x86.REG_AX + int16(m.index)
	}
	return d
}

// byte writes bytes.
func (a *goasm) byte(v ...byte) {
	for _, b := range v {
		a.add(x86.ABYTE, goImm(int64(b)), goNone)
	}
}

// prefixed writes GS where the operand of the instruction that follows cannot say
// so.
func (a *goasm) prefixed(m mem, vex bool) mem {
	if m.inGS() && (vex || m.index != noReg) {
		a.byte(0x65)
		m.base = noReg
	}
	return m
}

// Places.

// mark has *at set to the present offset when the code is assembled.
func (a *goasm) mark(at *int32) {
	a.marks = append(a.marks, goMark{a.add(obj.ANOP, goNone, goNone), at})
}

// here makes a label the present place.
func (a *goasm) here(l *goLabel) {
	if l.p == nil {
		l.p = &obj.Prog{}
	}
	l.p.As = obj.ANOP
	a.last.Link = l.p
	a.last = l.p
}

// then has f called when the code is assembled, after all marks are set.
func (a *goasm) then(f func()) { a.after = append(a.after, f) }

func (a *goasm) branch(as obj.As, l *goLabel) {
	if l.p == nil {
		l.p = &obj.Prog{}
	}
	p := a.add(as, goNone, obj.Addr{Type: obj.TYPE_BRANCH})
	p.To.SetTarget(l.p)
}

func (a *goasm) jmp(l *goLabel)   { a.branch(obj.AJMP, l) }
func (a *goasm) jrcxz(l *goLabel) { a.branch(x86.AJCXZQ, l) }
func (a *goasm) ret()             { a.add(obj.ARET, goNone, goNone) }

// call calls a label: golang-asm calls symbols only.
func (a *goasm) call(l *goLabel) {
	if l.p == nil {
		l.p = &obj.Prog{}
	}
	a.byte(0xe8)
	a.add(x86.ALONG, goImm(0), goNone)
	a.calls = append(a.calls, goCall{a.add(obj.ANOP, goNone, goNone), l.p})
}

// Instructions, as asm has them.

func (a *goasm) mov(d, s int8) {
	if d != s {
		a.add(x86.AMOVQ, goReg(s), goReg(d))
	}
}

func (a *goasm) memOp(as obj.As, d int8, m mem) {
	m = a.prefixed(m, false)
	a.add(as, goMem(m), goReg(d))
}

func (a *goasm) opMem(as obj.As, m mem, s int8) {
	m = a.prefixed(m, false)
	a.add(as, goReg(s), goMem(m))
}

func (a *goasm) load(d int8, m mem)        { a.memOp(x86.AMOVQ, d, m) }
func (a *goasm) load32(d int8, m mem)      { a.memOp(x86.AMOVL, d, m) }
func (a *goasm) loadU16(d int8, m mem)     { a.memOp(x86.AMOVWLZX, d, m) }
func (a *goasm) loadU8(d int8, m mem)      { a.memOp(x86.AMOVBLZX, d, m) }
func (a *goasm) lea(d int8, m mem)         { a.memOp(x86.ALEAQ, d, m) }
func (a *goasm) lea32(d int8, m mem)       { a.memOp(x86.ALEAL, d, m) }
func (a *goasm) store(m mem, s int8)       { a.opMem(x86.AMOVQ, m, s) }
func (a *goasm) store32(m mem, s int8)     { a.opMem(x86.AMOVL, m, s) }
func (a *goasm) store16(m mem, s int8)     { a.opMem(x86.AMOVW, m, s) }
func (a *goasm) store8(m mem, s int8)      { a.opMem(x86.AMOVB, m, s) }
func (a *goasm) movzx16(d, s int8)         { a.add(x86.AMOVWLZX, goReg(s), goReg(d)) }
func (a *goasm) mov32(d, s int8)           { a.add(x86.AMOVL, goReg(s), goReg(d)) }
func (a *goasm) jmpMem(m mem)              { m = a.prefixed(m, false); a.add(obj.AJMP, goNone, goMem(m)) }
func (a *goasm) popMem(m mem)              { a.add(x86.APOPQ, goNone, goMem(m)) }
func (a *goasm) pushImm(v int32)           { a.add(x86.APUSHQ, goImm(int64(v)), goNone) }
func (a *goasm) pushf()                    { a.add(x86.APUSHFQ, goNone, goNone) }
func (a *goasm) popf()                     { a.add(x86.APOPFQ, goNone, goNone) }
func (a *goasm) storeImm32(m mem, v int32) { a.add(x86.AMOVL, goImm(int64(v)), goMem(m)) }
func (a *goasm) shr32(r int8, n byte)      { a.add(x86.ASHRL, goImm(int64(n)), goReg(r)) } // (f)
func (a *goasm) and32(r int8, v byte)      { a.add(x86.AANDL, goImm(int64(v)), goReg(r)) } // (f)
func (a *goasm) andReg32(d, s int8)        { a.add(x86.AANDL, goReg(s), goReg(d)) }        // (f)
func (a *goasm) not32(r int8)              { a.add(x86.ANOTL, goNone, goReg(r)) }
func (a *goasm) fnsave(m mem)              { a.add(x86.AFSAVE, goNone, goMem(m)) }
func (a *goasm) frstor(m mem)              { a.add(x86.AFRSTOR, goMem(m), goNone) }
func (a *goasm) ldmxcsr(m mem)             { a.add(x86.ALDMXCSR, goMem(m), goNone) }
func (a *goasm) stmxcsr(m mem)             { a.add(x86.ASTMXCSR, goNone, goMem(m)) }

// sahf sets the status flags from EAX: see packFlags.
func (a *goasm) sahf() {
	a.add(x86.AADDB, goImm(0x7f), goReg(hRAX)) // OF is what AL was
	a.add(x86.ASAHF, goNone, goNone)
}

func (a *goasm) rorx(d, s int8, n byte) {
	p := a.add(x86.ARORXQ, goImm(int64(n)), goReg(d))
	p.SetFrom3(goReg(s))
}

func (a *goasm) pext(d, s int8, m mem) { a.bits(x86.APEXTQ, d, s, m) }
func (a *goasm) pdep(d, s int8, m mem) { a.bits(x86.APDEPQ, d, s, m) }

func (a *goasm) bits(as obj.As, d, s int8, m mem) {
	m = a.prefixed(m, true)
	p := a.add(as, goMem(m), goReg(d))
	p.SetFrom3(goReg(s))
}

// moveVec moves a vector register to or from memory, all that the host has of it.
func (a *goasm) moveVec(avx, toMem bool, r int8, m mem) {
	as, v := x86.AMOVUPS, obj.Addr{Type: obj.TYPE_REG, Reg: x86.REG_X0 + int16(r)}
	if avx {
		as, v.Reg = x86.AVMOVUPS, x86.REG_Y0+int16(r)
	}
	if toMem {
		a.add(as, v, goMem(m))
	} else {
		a.add(as, goMem(m), v)
	}
}

// loadXMM loads the lower half of a vector register. With AVX it clears the upper one.
func (a *goasm) loadXMM(avx bool, r int8, m mem) {
	as := x86.AMOVUPS
	if avx {
		as = x86.AVMOVUPS
	}
	a.add(as, goMem(m), obj.Addr{Type: obj.TYPE_REG, Reg: x86.REG_X0 + int16(r)})
}

// upperHalves brings zero to s0 if the upper halves of all vector registers in the State
// at s1 are zero. It changes XMM0 and XMM1, but no flags.
func (a *goasm) upperHalves() {
	for i := range int32(16) {
		at := binary.LittleEndian.AppendUint32(nil, uint32(stateV+32*i+16))
		if i == 0 {
			a.byte(0xc4, 0xc1, 0x7a, 0x6f, 0x83) // vmovdqu xmm0, [r11+...]
		} else {
			a.byte(0xc4, 0xc1, 0x79, 0xeb, 0x83) // vpor xmm0, xmm0, [r11+...]
		}
		a.byte(at...)
	}
	a.byte(0xc5, 0xf1, 0x73, 0xd8, 8)    // vpsrldq xmm1, xmm0, 8
	a.byte(0xc5, 0xf9, 0xeb, 0xc1)       // vpor xmm0, xmm0, xmm1
	a.byte(0xc4, 0xe1, 0xf9, 0x7e, 0xc1) // vmovq rcx, xmm0
}

func (a *goasm) vzeroupper() { a.add(x86.AVZEROUPPER, goNone, goNone) }
