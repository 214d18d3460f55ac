package jit

// Writing a guest instruction as host code.
//
// An unprivileged instruction runs on the host as it is, but for where its
// operands are. encode writes it anew from what the decoder says of it: other
// registers in ModRM, VEX.vvvv and the opcode, and another memory operand. So
// everything that the host has and the decoder knows is translated, without a
// line for each instruction.
//
// Most guest registers are in the host register of the same number. The others:
//
//	RCX -> R15, RSP -> R9      because host RCX is scratch (JRCXZ is the one jump that
//	                           leaves flags alone) and host RSP is the host's
//	R9, R10, R11, R15          in the context; they are loaded into scratch
//	                           registers around an instruction that names them
//
// Scratch registers are RCX, R11 and R10; between instructions they hold nothing
// of the guest's. What an instruction uses implicitly is always among the eight
// old registers, of which only RCX and RSP are elsewhere: RCX is copied into
// place for the instruction.

import (
	"math/bits"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// Scratch registers.
const (
	s0 = int8(hRCX)
	s1 = int8(hR11)
	s2 = int8(hR10)
)

const (
	hostRSP = int8(hR9)  // holds the guest's RSP
	hostRCX = int8(hR15) // holds the guest's RCX
)

// home is the host register of each guest register outside of regions, or noReg.
var home = [16]int8{
	x86.RAX: hRAX, x86.RCX: hostRCX, x86.RDX: hRDX, x86.RBX: hRBX,
	x86.RSP: hostRSP, x86.RBP: hRBP, x86.RSI: hRSI, x86.RDI: hRDI,
	x86.R8: hR8, x86.R9: noReg, x86.R10: noReg, x86.R11: noReg,
	x86.R12: hR12, x86.R13: hR13, x86.R14: hR14, x86.R15: noReg,
}

// homeless is the set of those that have none.
const homeless = 1<<x86.R9 | 1<<x86.R10 | 1<<x86.R11 | 1<<x86.R15

// slot is a guest register's place in the context.
func slot(g uint8) mem { return gs(offR + 8*int32(g)) }

// operands is where the operands of an instruction are on the host.
type operands struct {
	reg   [16]int8 // host register of each guest register
	m     mem      // the memory operand
	noREX bool     // an operand is AH, CH, DH or BH: no REX prefix may be used
	alone bool     // nobody else accesses the memory: no LOCK
}

// encode writes x with its operands as p says. It reports false, having written
// nothing of use, where that cannot be encoded.
func (a *asm) encode(x *decode.Inst, p *operands) bool {
	opcode, immLen := x.Opcode, x.ImmLen
	reg := x.ModRM >> 3 & 7 // an extension of the opcode, unless an operand is there
	var rex byte
	var rmReg, vvvv int8 = noReg, 0
	isMem, moffs := false, false
	is4 := noReg
	if x.RexW {
		rex |= rexW
	}
	force := false
	for i := range x.NArgs {
		g := &x.Args[i]
		h := int8(g.Reg)
		switch g.Kind {
		case decode.GPR:
			h = p.reg[g.Reg&15]
			if g.Size == 1 && h >= 4 && h < 8 && g.Slot != decode.SlotNone {
				force = true
			}
		case decode.GPRHi:
			if p.reg[g.Reg] > 3 {
				return false
			}
			h = p.reg[g.Reg] + 4
		case decode.Mem:
			isMem = true
			moffs = g.Slot == decode.SlotImm
			continue
		case decode.Imm, decode.Imm2, decode.One, decode.Rel:
			continue
		}
		switch g.Slot {
		case decode.SlotReg:
			reg = uint8(h)
		case decode.SlotRM:
			rmReg = h
		case decode.SlotVvvv:
			vvvv = h
		case decode.SlotOpcode:
			opcode = opcode&^7 | byte(h&7)
			rex |= byte(h) >> 3 & 1
		case decode.SlotIs4:
			is4 = int(h)
		}
	}
	modrm := x.HasModRM
	switch {
	case moffs: // MOV between the accumulator and an absolute address
		opcode = [4]byte{0x8a, 0x8b, 0x88, 0x89}[opcode&3]
		modrm, immLen, reg = true, 0, hRAX
	case x.Mode == decode.Mode32 && x.Map == 0 && !x.Vex && opcode&0xf0 == 0x40: // INC, DEC
		rmReg = int8(opcode & 7)
		if p.reg[x.Args[0].Reg] >= 8 {
			rmReg |= 8
		}
		rex &^= 1
		modrm, reg = true, opcode>>3&1
		reg = (x.Opcode >> 3) & 1
		opcode = 0xff
	case x.Attr&decode.Not64 != 0 && x.Mode == decode.Mode32:
		return false
	}
	rex |= byte(reg) >> 3 & 1 << 2
	switch {
	case isMem:
		rex |= p.m.rexBits()
	case rmReg != noReg:
		rex |= byte(rmReg) >> 3 & 1
	}
	if p.noREX && (rex != 0 || force) {
		return false
	}
	var w word
	if isMem && p.m.inGS() {
		w.put(0x65)
	}
	if x.Vex {
		v := vex3(x.Map, x.PP, x.RexW, x.VexL, int8(reg), vvvv, rex&3, opcode)
		w = word{w.v | v.v<<w.n, w.n + v.n}
	} else {
		if x.Lock && !p.alone {
			w.put(0xf0)
		}
		if x.Prefix66 {
			w.put(0x66)
		}
		if x.Rep != 0 {
			w.put(x.Rep)
		}
		if w.n > 8 {
			a.emit(w)
			w = word{}
		}
		if rex != 0 || force {
			w.put(0x40 | rex)
		}
		switch x.Map {
		case 1:
			w.put(0x0f)
		case 2:
			w.put(0x0f)
			w.put(0x38)
		case 3:
			w.put(0x0f)
			w.put(0x3a)
		}
		w.put(opcode)
	}
	switch {
	case !modrm:
		a.emit(w)
	case isMem:
		a.modrmMem(w, byte(reg), p.m)
	default:
		if rmReg != noReg {
			w.put(0xc0 | byte(reg)&7<<3 | byte(rmReg)&7)
		} else {
			w.put(x.ModRM)
		}
		a.emit(w)
	}
	if is4 != noReg {
		a.byte(byte(is4)<<4 | byte(x.Imm)&15)
		return true
	}
	if immLen != 0 {
		a.emit(word{x.Imm, 8 * uint(immLen)})
	}
	return true
}

// alone reports whether LOCK can be left out: in programs, on a machine with one CPU. An
// instruction is atomic there for all that can come between, interrupts. What devices
// look at is the system's business, which keeps its locks for their order.
func (t *translator) alone() bool {
	return t.v&interp.VariantUser != 0 && t.e.cpu.NumCPUs == 1
}

// plain writes an instruction of class Plain, whose memory operand, if it has
// one, is m. It reports false where it cannot.
func (t *translator) plain(g *ginst, m mem) bool {
	a, x, e := &t.asm, &g.x, &g.e
	set, hi, hasMem := g.named, g.hi, g.mem
	implicit := (e.GPRRead | e.GPRWritten) &^ set &^ g.addr
	if g.addr&(1<<x86.RCX) != 0 {
		// It may be implicit beside, as CMPXCHG8B and PCMPISTRI have it.
		y := *x
		y.Base, y.Index = decode.NoReg, decode.NoReg
		f := y.Effects()
		implicit |= (f.GPRRead | f.GPRWritten) & (1 << x86.RCX) &^ set
	}
	for i := range x.NArgs {
		if g := &x.Args[i]; g.Kind == decode.GPR && g.Slot == decode.SlotNone {
			implicit |= 1 << g.Reg
		}
	}
	if implicit&^(1<<x86.RAX|1<<x86.RCX|1<<x86.RDX|1<<x86.RBX|1<<x86.RBP|1<<x86.RSI|1<<x86.RDI) != 0 {
		return false
	}
	p := operands{reg: t.home, m: m, noREX: hi, alone: t.alone()}
	free := [3]int8{}
	n := 0
	for _, s := range [3]int8{s2, s1, s0} {
		if hasMem && (m.base == s || m.index == s) {
			continue
		}
		free[n] = s
		n++
	}
	take := func() int8 {
		if n == 0 {
			return noReg
		}
		n--
		if free[n] == s2 {
			t.co.inS2 = -1
		}
		return free[n]
	}
	use := func(s int8) bool {
		for i := range n {
			if free[i] == s {
				copy(free[i:n], free[i+1:n])
				n--
				return true
			}
		}
		return false
	}
	useRCX := implicit&(1<<x86.RCX) != 0
	if hi && set&(1<<x86.RCX) != 0 {
		useRCX = true
		p.reg[x86.RCX] = hRCX
	}
	if hi && hasMem {
		if useRCX {
			return false
		}
		a.lea(hRCX, m)
		p.m = based(hRCX, 0)
		n = 0
		t.held = nothingHeld
	}
	if useRCX {
		if n == 0 || free[n-1] != s0 {
			return false
		}
		n--
		a.mov(hRCX, hostRCX)
		t.hold(s0, noGuest)
	}
	read := e.GPRRead
	if set&g.addr&t.homeless != 0 {
		// A register of the address that is written only as an operand.
		y := *x
		y.Base, y.Index = decode.NoReg, decode.NoReg
		read = y.Effects().GPRRead
	}
	var inSlots uint32
	for in := set & t.homeless; in != 0; in &= in - 1 {
		g := uint8(bits.TrailingZeros32(in))
		s := int8(noReg)
		for _, h := range [2]int8{s0, s1} {
			if t.holds(h, g) && use(h) {
				s = h
			}
		}
		if s == noReg {
			if s = take(); s == noReg {
				return false
			}
			if read>>g&1 != 0 {
				a.load(s, slot(g))
			}
			t.hold(s, g)
		}
		p.reg[g] = s
		inSlots |= 1 << g
	}
	if !a.encode(x, &p) {
		return false
	}
	for out := inSlots & e.GPRWritten; out != 0; out &= out - 1 {
		g := uint8(bits.TrailingZeros32(out))
		a.store(slot(g), p.reg[g])
		for i, s := range [...]int8{s0, s1} {
			if t.held.g[i] == g && s != p.reg[g] {
				t.held.g[i] = noGuest
			}
		}
	}
	if useRCX && e.GPRWritten&(1<<x86.RCX) != 0 && (implicit&(1<<x86.RCX) != 0 && set&(1<<x86.RCX) == 0 || p.reg[x86.RCX] == hRCX) {
		a.mov(hostRCX, hRCX)
	}
	return true
}
