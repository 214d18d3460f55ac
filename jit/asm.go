package jit

import (
	"encoding/binary"
	"slices"
)

// An encoder of host instructions.
//
// asm appends machine code to a slice. It knows no instructions, only how an
// operand is written (prefixes, REX, ModRM, SIB, displacement); the few
// instructions that the translator adds of its own have a method each, and those
// of the guest are written by inst.go. Displacements from GS are what addresses
// the CPU's context (context.go).

// Host registers, in the order of their encoding.
const (
	hRAX = iota
	hRCX
	hRDX
	hRBX
	hRSP
	hRBP
	hRSI
	hRDI
	hR8
	hR9
	hR10
	hR11
	hR12
	hR13
	hR14
	hR15

	noReg = -1
)

// mem is a host memory operand: [base + index<<scale + disp], or gs:[...]. It has no more
// fields than Go's compiler keeps in registers.
type mem struct {
	base  int8 // or noReg, or gsBase
	index int8 // or noReg; never RSP
	scale uint8
	disp  int32
}

// gsBase as mem.base is none, in the segment GS.
const gsBase = -2

func (m mem) inGS() bool { return m.base == gsBase }

// gs is the context's field at an offset.
func gs(off int32) mem { return mem{base: gsBase, index: noReg, disp: off} }

// gsx is gs:[index*8 + off], an element of an array of 8-byte entries.
func gsx(index int8, off int32) mem {
	return mem{base: gsBase, index: index, scale: 3, disp: off}
}

func based(base int8, disp int32) mem { return mem{base: base, index: noReg, disp: disp} }

type asm struct {
	b []byte

	// What is written from position coldAt on, if that is not zero, will be gap bytes
	// further away from the rest.
	coldAt int
	gap    int32
}

// writeRoom is at least what an instruction takes, and a word behind it.
const writeRoom = 32

// room sees to it that there is room for an instruction.
func (a *asm) room() {
	if cap(a.b)-len(a.b) < writeRoom {
		a.grow()
	}
}

func (a *asm) grow() { a.b = slices.Grow(a.b, max(writeRoom, cap(a.b), 4096)) }

func (a *asm) pos() int              { return len(a.b) }
func (a *asm) byte(v ...byte)        { a.b = append(a.b, v...) }
func (a *asm) imm32(v int32)         { a.emit(word{uint64(uint32(v)), 32}) }
func (a *asm) imm64(v uint64)        { a.emit(word{v, 64}) }
func (a *asm) put32(at int, v int32) { binary.LittleEndian.PutUint32(a.b[at:], uint32(v)) }

// where is where a position will be, from position 0.
func (a *asm) where(pos int) int32 {
	if a.coldAt != 0 && pos >= a.coldAt {
		return int32(pos) + a.gap
	}
	return int32(pos)
}

// patchRel32 makes the 32-bit displacement that ends at position at+4 lead to
// position to.
func (a *asm) patchRel32(at, to int) { a.put32(at, a.where(to)-a.where(at)-4) }

// rexBits are the REX bits that a memory operand needs.
func (m mem) rexBits() byte { return upperBank(m.base) | upperBank(m.index)<<1 }

// upperBank is 1 for R8 to R15, and 0 for the others and none: without a branch, as nothing
// predicts it.
func upperBank(r int8) byte { return byte(r) >> 3 &^ (byte(r) >> 7) & 1 }

// word is bytes of an instruction, the first in the lowest bits: it is made in a
// register and written at once.
type word struct {
	v uint64
	n uint // bits
}

func (w *word) put(b byte) {
	w.v |= uint64(b) << w.n
	w.n += 8
}

// emit writes up to eight bytes.
func (a *asm) emit(w word) {
	a.room()
	n := len(a.b)
	binary.LittleEndian.PutUint64(a.b[n:n+8], w.v)
	a.b = a.b[:n+int(w.n/8)]
}

// emitDisp is emit, and four bytes more.
func (a *asm) emitDisp(w word, disp int32) {
	a.room()
	n := len(a.b)
	b := a.b[n : n+16]
	binary.LittleEndian.PutUint64(b, w.v)
	k := int(w.n/8) & 15
	binary.LittleEndian.PutUint32(b[k:], uint32(disp))
	a.b = a.b[:n+k+4]
}

// modrmMem writes ModRM, SIB and displacement behind what is in w already, two bytes
// less than eight at most; reg is the register field.
func (a *asm) modrmMem(w word, reg byte, m mem) {
	reg = reg & 7 << 3
	idx := byte(4)
	if m.index != noReg {
		idx = byte(m.index & 7)
	}
	if m.base < 0 {
		w.put(reg | 4)
		w.put(m.scale<<6 | idx<<3 | 5)
		a.emitDisp(w, m.disp)
		return
	}
	mod := byte(0x80)
	switch {
	case m.disp == 0 && m.base&7 != hRBP:
		mod = 0
	case m.disp == int32(int8(m.disp)):
		mod = 0x40
	}
	if m.index != noReg || m.base&7 == hRSP {
		w.put(mod | reg | 4)
		w.put(m.scale<<6 | idx<<3 | byte(m.base&7))
	} else {
		w.put(mod | reg | byte(m.base&7))
	}
	if mod == 0x80 {
		a.emitDisp(w, m.disp)
		return
	}
	if mod != 0 {
		w.put(byte(m.disp))
	}
	a.emit(w)
}

const rexW = 8

// opMem writes an instruction of the one-byte map or, with two, of the 0F map,
// with a memory operand.
func (a *asm) opMem(rex byte, two bool, op byte, reg int8, m mem) {
	var w word
	if m.inGS() {
		if m.index == noReg && rex != 0 && !two { // a field of the context, 64 bits
			rex |= byte(reg) >> 3 & 1 << 2
			a.emitDisp(word{0x25_00_00_40_65 | uint64(rex)<<8 | uint64(op)<<16 | uint64(byte(reg)&7<<3|4)<<24, 40}, m.disp)
			return
		}
		w.put(0x65)
	}
	rex |= m.rexBits() | byte(reg)>>3&1<<2
	if rex != 0 {
		w.put(0x40 | rex)
	}
	if two {
		w.put(0x0f)
	}
	w.put(op)
	a.modrmMem(w, byte(reg), m)
}

// opReg is opMem with a register as the second operand.
func (a *asm) opReg(rex byte, two bool, op byte, reg, rm int8) {
	var w word
	rex |= byte(reg)>>3&1<<2 | byte(rm)>>3&1
	if rex != 0 {
		w.put(0x40 | rex)
	}
	if two {
		w.put(0x0f)
	}
	w.put(op)
	w.put(0xc0 | byte(reg&7)<<3 | byte(rm&7))
	a.emit(w)
}

// The instructions that the translator needs of its own. Those marked (f) change
// the flags.

func (a *asm) mov(d, s int8) {
	if d != s {
		a.opReg(rexW, false, 0x8b, d, s)
	}
}
func (a *asm) mov32(d, s int8)       { a.opReg(0, false, 0x8b, d, s) }
func (a *asm) load(d int8, m mem)    { a.opMem(rexW, false, 0x8b, d, m) }
func (a *asm) load32(d int8, m mem)  { a.opMem(0, false, 0x8b, d, m) }
func (a *asm) store(m mem, s int8)   { a.opMem(rexW, false, 0x89, s, m) }
func (a *asm) store32(m mem, s int8) { a.opMem(0, false, 0x89, s, m) }
func (a *asm) lea(d int8, m mem)     { a.opMem(rexW, false, 0x8d, d, m) }
func (a *asm) lea32(d int8, m mem)   { a.opMem(0, false, 0x8d, d, m) }
func (a *asm) add(d int8, m mem)     { a.opMem(rexW, false, 0x03, d, m) } // (f)
func (a *asm) addReg(d, s int8)      { a.opReg(rexW, false, 0x03, d, s) } // (f)
func (a *asm) movzx16(d, s int8)     { a.opReg(0, true, 0xb7, d, s) }
func (a *asm) jmpMem(m mem)          { a.opMem(0, false, 0xff, 4, m) }
func (a *asm) pushf()                { a.byte(0x9c) }
func (a *asm) popf()                 { a.byte(0x9d) }
func (a *asm) movImm32(d int8, v int32) { // zero-extended
	var w word
	if d >= 8 {
		w.put(0x41)
	}
	w.put(0xb8 | byte(d&7))
	a.emitDisp(w, v)
}

func (a *asm) storeImm32(m mem, v int32) { // 32 bits
	a.opMem(0, false, 0xc7, 0, m)
	a.imm32(v)
}

// cmpImm compares a 64-bit register with a sign-extended immediate (f).
func (a *asm) cmpImm(r int8, v int32) {
	if v == int32(int8(v)) {
		a.opReg(rexW, false, 0x83, 7, r)
		a.byte(byte(v))
		return
	}
	a.opReg(rexW, false, 0x81, 7, r)
	a.imm32(v)
}

// andImm32 cuts a register to the bits of a mask of 32 (f).
func (a *asm) andImm32(r int8, v int32) {
	a.opReg(0, false, 0x81, 4, r)
	a.imm32(v)
}

// addImm32 adds to 32 bits of a register (f).
func (a *asm) addImm32(r int8, v int32) {
	a.opReg(0, false, 0x81, 0, r)
	a.imm32(v)
}

// addReg32 adds 32 bits (f).
func (a *asm) addReg32(d, s int8) { a.opReg(0, false, 0x03, d, s) }

// cmpMem32 compares 32 bits of memory with a byte, sign-extended (f).
func (a *asm) cmpMem32(m mem, v int8) {
	a.opMem(0, false, 0x83, 7, m)
	a.byte(byte(v))
}

// jmp and jcc write a jump with a 32-bit displacement of zero, and return where
// the displacement is.
func (a *asm) jmp() int {
	a.emit(word{0xe9, 40})
	return a.pos() - 4
}

func (a *asm) jcc(cc byte) int {
	a.emit(word{0x800f | uint64(cc)<<8, 48})
	return a.pos() - 4
}

// jrcxz writes a jump that is taken where RCX is zero, with a displacement of
// one byte, and returns where that is.
func (a *asm) jrcxz() int {
	a.emit(word{0xe3, 16})
	return a.pos() - 1
}

// here makes the one-byte displacement at lead to the present position.
func (a *asm) here(at int) {
	n := a.pos() - at - 1
	if n > 127 {
		panic("jit: a short jump is too long")
	}
	a.b[at] = byte(n)
}

// vex3 is a three-byte VEX prefix and the opcode.
func vex3(mp, pp byte, w bool, l byte, reg, vvvv int8, rexXB byte, op byte) word {
	b1 := mp
	if reg < 8 {
		b1 |= 0x80
	}
	if rexXB&2 == 0 {
		b1 |= 0x40
	}
	if rexXB&1 == 0 {
		b1 |= 0x20
	}
	b2 := pp | l<<2 | byte(^vvvv&15)<<3
	if w {
		b2 |= 0x80
	}
	return word{0xc4 | uint64(b1)<<8 | uint64(b2)<<16 | uint64(op)<<24, 32}
}

// vexReg writes an instruction with a VEX prefix and a register as the last operand.
func (a *asm) vexReg(w word, reg, rm int8) {
	w.put(0xc0 | byte(reg&7)<<3 | byte(rm&7))
	a.emit(w)
}

// vexMem is vexReg with a memory operand.
func (a *asm) vexMem(w word, reg int8, m mem) {
	if m.inGS() {
		w = word{w.v<<8 | 0x65, w.n + 8}
	}
	a.modrmMem(w, byte(reg), m)
}

// rorx rotates s right by n into d.
func (a *asm) rorx(d, s int8, n byte) {
	w := vex3(3, 3, true, 0, d, 0, byte(s)>>3&1, 0xf0)
	w.put(0xc0 | byte(d&7)<<3 | byte(s&7))
	w.put(n)
	a.emit(w)
}

// mulx multiplies RDX by m: the upper half of the product to hi, the lower to lo.
func (a *asm) mulx(hi, lo int8, m mem) {
	a.vexMem(vex3(2, 3, true, 0, hi, lo, m.rexBits(), 0xf6), hi, m)
}

// sarx shifts s right by the register n into d, with its sign.
func (a *asm) sarx(d, s, n int8) {
	a.vexReg(vex3(2, 2, true, 0, d, n, byte(s)>>3&1, 0xf7), d, s)
}

// shrx shifts s right by the register n into d.
func (a *asm) shrx(d, s, n int8) {
	a.vexReg(vex3(2, 3, true, 0, d, n, byte(s)>>3&1, 0xf7), d, s)
}

// not inverts a register.
func (a *asm) not(r int8) { a.opReg(rexW, false, 0xf7, 2, r) }

// btImm brings bit n of r to CF. (f)
func (a *asm) btImm(r int8, n byte) {
	a.opReg(rexW, true, 0xba, 4, r)
	a.byte(n)
}

// shrImm shifts r right by n. (f)
func (a *asm) shrImm(r int8, n byte) {
	a.opReg(rexW, false, 0xc1, 5, r)
	a.byte(n)
}

// push and pop save a register on the native stack.
func (a *asm) push(r int8) {
	if r >= 8 {
		a.byte(0x41)
	}
	a.byte(0x50 | byte(r&7))
}

func (a *asm) pop(r int8) {
	if r >= 8 {
		a.byte(0x41)
	}
	a.byte(0x58 | byte(r&7))
}

// pdep spreads the low bits of s over the bits that the memory operand selects,
// into d.
func (a *asm) pdep(d, s int8, m mem) {
	a.vexMem(vex3(2, 3, true, 0, d, s, m.rexBits(), 0xf5), d, m)
}

// pext gathers the bits of s that the memory operand selects into d.
func (a *asm) pext(d, s int8, m mem) {
	a.vexMem(vex3(2, 2, true, 0, d, s, m.rexBits(), 0xf5), d, m)
}
