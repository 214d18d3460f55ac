package jit

// The stack pointer.
//
// A processor does not compute with RSP for each PUSH and POP: its decoder keeps a
// distance from the register, adds that to the addresses of the accesses, and brings the
// register up to date when something asks for it. The translator does the same. While a
// region is translated, translator.sp is a pending displacement: the guest's RSP is the
// host's register and that. PUSH, POP, CALL, RET, LEAVE and, where nobody reads the flags, ADD and
// SUB of a constant change that number and are the access alone, or nothing at all. So
//
//	push rbp                   mov [r9-8], rbp
//	push rbx                   mov [r9-16], rbx
//	sub rsp, 24
//	mov [rsp], rdi             mov [r9-40], rdi
//	call f                     mov [r9-48], ...; lea r9, [r9-48]
//
// The register is brought up to date, by one LEA in front of the instruction, for what
// names RSP other than as a base, what is not a plain instruction or one of the above, and
// where paths meet: jumps, the heads of inner loops, the end of the region. (In front of a
// conditional jump, too, although the LEA could be behind it, for who leaves there out of the
// way. Then each such exit is one more jump; bash, dash and lua took 2 to 5 % longer.)
//
// References are turned into those of the host when their access is written (onHost): RSP
// as their base then is the register, and their displacement has what is pending. So a
// check that fails finds the address by the registers as they are, and it goes on, or is
// tried again, without further ado, in the same region or in its split form. Only when the
// guest's state is asked for, since the interpreter is to run the instruction or control
// goes elsewhere, is the displacement added: in the context, by the engine (settle). Each
// site says how much is pending there, and the map of the region's instructions does for
// faults. An instruction changes the number behind its last access, so one number for an
// instruction is enough. That costs nothing in translated code.
//
// With a window it is the register that is tested, not the sum. What is pending is no more
// than maxPending, and the window's guards are gigabytes longer than what the accesses of a
// group are apart (windowed.go).
//
// Code of 32 bits always moves its register.

import (
	"hotblock/x86"
	"hotblock/x86/decode"
)

// maxPending is how much may be pending: displacements should stay of one byte.
const maxPending = 120

// moveSP adds n to RSP without changing flags.
func (t *translator) moveSP(n int32) {
	if !t.wide {
		t.leaRIP(hostRSP, hostRSP, n)
		return
	}
	t.sp += n
	if t.sp < -maxPending || t.sp > maxPending {
		t.bringSP()
	}
}

// bringSP brings the register up to date.
func (t *translator) bringSP() {
	if t.sp != 0 {
		t.lea(hostRSP, based(hostRSP, t.sp))
		t.sp = 0
	}
}

// onHost is a reference relative to the registers as the host has them.
func (t *translator) onHost(r ref) ref {
	if r.base == x86.RSP {
		r.disp += int64(t.sp)
	}
	return r
}

// readySP brings the register up to date if the translation of g needs that. It comes before any
// code of g.
func (t *translator) readySP(g *ginst) {
	switch {
	case t.sp == 0 || t.leavesSP(g):
	case t.replacesSP(g):
		t.sp = 0
	default:
		t.bringSP()
	}
}

// leavesSP reports whether the translation of an instruction knows of a pending displacement.
func (t *translator) leavesSP(g *ginst) bool {
	x := &g.x
	if g.meet || g.varies || g.mem && x.Base == x86.RSP && (x.Disp < -1<<30 || x.Disp > 1<<30) {
		return false
	}
	rsp := g.named>>x86.RSP&1 != 0
	switch g.e.Class {
	case decode.ClassStack:
		return x.Op == opPush && !rsp || x.Op == opPop || x.Op == opLeave
	case decode.ClassBranch:
		return (x.Op == opCall || x.Op == opRet) && !rsp
	case decode.ClassPlain:
		if g.e.BitString {
			return false
		}
		if !rsp {
			return true
		}
		_, moved := t.constantMove(g)
		return moved || t.copiesSP(x)
	}
	return false
}

// replacesSP reports whether an instruction writes RSP without regard to what it was, and
// cannot fault.
func (t *translator) replacesSP(g *ginst) bool {
	x := &g.x
	if g.meet || g.varies || g.e.Mem&decode.AccessReadWrite != 0 || g.off+uint32(x.Len) > pageSize {
		return false
	}
	return (x.Op == opMov || x.Op == opLea) && g.e.GPRWritten == 1<<x86.RSP && g.e.GPRRead>>x86.RSP&1 == 0
}

// copiesSP reports whether x is a MOV of RSP to a register of the host's.
func (t *translator) copiesSP(x *decode.Inst) bool {
	d, s := &x.Args[0], &x.Args[1]
	return x.Op == opMov && d.Kind == decode.GPR && d.Size == 8 && d.Reg != x86.RSP && t.home[d.Reg] != noReg && s.Kind == decode.GPR && s.Reg == x86.RSP
}

// constantMove is by how much g moves RSP, if that is all that it does: ADD, SUB and LEA of a
// constant, with flags that nobody reads.
func (t *translator) constantMove(g *ginst) (n int32, ok bool) {
	x := &g.x
	if !t.wide || g.varies || x.NArgs < 2 {
		return 0, false
	}
	if d := &x.Args[0]; d.Kind != decode.GPR || d.Reg != x86.RSP || d.Size != 8 {
		return 0, false
	}
	by := int64(x.Imm)
	switch x.Op {
	case opLea:
		if x.Base != x86.RSP || x.Index != decode.NoReg || x.AddrSize != 8 {
			return 0, false
		}
		by = x.Disp
	case opAdd, opSub:
		if x.Args[1].Kind != decode.Imm || g.e.FlagsWritten&t.liveAfter() != 0 {
			return 0, false
		}
		if x.Op == opSub {
			by = -by
		}
	default:
		return 0, false
	}
	return int32(by), by > -1<<30 && by < 1<<30
}

// liveAfter is the status flags that are needed behind the current instruction.
func (t *translator) liveAfter() uint16 {
	if t.index+1 < t.n {
		return t.insts[t.index+1].live
	}
	return arith
}

// stackPointer translates an instruction of class Plain that only moves RSP, or copies it. It
// reports false for others.
func (t *translator) stackPointer(g *ginst) bool {
	if n, ok := t.constantMove(g); ok {
		t.moveSP(n)
		return true
	}
	if t.sp != 0 && t.copiesSP(&g.x) {
		t.lea(t.home[g.x.Args[0].Reg], based(hostRSP, t.sp))
		return true
	}
	return false
}

// settle adds to RSP in the context what was pending where translated code was left.
func (e *Engine) settle() {
	x := &e.sh.context
	n := int8(0)
	if x.Reason == reasonFault {
		if _, m := e.instAt(int32(x.FaultRIP - e.arena.Base)); m != nil {
			n = m.sp
		}
	} else {
		n = e.sites.at(uint32(x.Site)).sp
	}
	x.R[x86.RSP] += uint64(int64(n))
}
