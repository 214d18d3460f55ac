package jit

// BT, BTS, BTR and BTC of a bit string in memory: the offset of the bit, in a
// register, is signed and reaches beyond the operand (SDM volume 2, BT). The word
// that holds the bit is what is accessed.

import (
	"hotblock/x86/decode"
)

// bitRef is the word that an instruction with a bit string accesses.
func (t *translator) bitRef(g *ginst) ref {
	r := t.refOf(g)
	r.bit, r.bitSize = g.x.Args[1].Reg+1, uint8(g.e.MemSize)
	return r
}

// bitOffset adds to the address in s1 what the offset in a register moves it by. It
// changes s0 and s2, and no flags.
func (t *translator) bitOffset(r ref) {
	h := t.guest(r.bit-1, s0)
	switch r.bitSize {
	case 2:
		t.opReg(rexW, true, 0xbf, s0, h) // movsx
		h = s0
	case 4:
		t.opReg(rexW, false, 0x63, s0, h) // movsxd
		h = s0
	}
	lg := log2(int32(r.bitSize))
	t.movImm32(s2, int32(lg)+3)
	t.sarx(s0, h, s2)
	t.leaWord(s1, mem{base: s1, index: s0, scale: lg})
}

// bitInst translates an access to a bit string.
func (t *translator) bitInst(g *ginst) {
	x := &g.x
	size := int32(g.e.MemSize)
	write := g.e.Mem&decode.AccessWrite != 0
	m := t.ungrouped(t.bitRef(g), size, write, g.live != 0)
	h := t.guest(x.Args[1].Reg, s0)
	rex := byte(0)
	if size == 8 {
		rex = rexW
	}
	if x.Lock {
		t.pext(s0, h, gs(offBits+8*int32(log2(size)-1)))
		t.byte(0xf0)
		if size == 2 {
			t.byte(0x66)
		}
		t.opMem(rex, true, x.Opcode, s0, m)
		return
	}
	// In a register, where only the low bits of the offset count. That is many
	// times as fast as the instruction with memory, on the host too.
	t.lea(s1, m)
	t.sized(size, codeLoad, s2, based(s1, 0))
	if size == 2 {
		t.byte(0x66)
	}
	t.opReg(rex, true, x.Opcode, h, s2)
	if write {
		t.sized(size, codeStore, s2, based(s1, 0))
	}
}
