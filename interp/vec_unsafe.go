package interp

import (
	"unsafe"

	"hotblock/mmu"
	"hotblock/x86/simd"
)

// ymm is a vector register as package simd has it: x86.Vec and simd.V256 are
// both four uint64s, low first.
func (c *CPU) ymm(r uint8) *simd.V256 { return (*simd.V256)(unsafe.Pointer(&c.V[r&15])) }

// xmm is the low half of a vector register.
func (c *CPU) xmm(r uint8) *simd.V128 { return (*simd.V128)(unsafe.Pointer(&c.V[r&15])) }

// ld256 and st256 move 32 bytes; a store that crosses pages checks both first.
func (c *CPU) ld256(o *Op, va uint64, d *simd.V256) {
	t, i := &c.tlb.r, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-32 {
		// In the page by the comparison; x86 hosts and Go's other targets that have
		// a TLB path allow the access at any alignment.
		*d = *(*simd.V256)(t.at(i, va))
		return
	}
	d[0][0] = c.ld64(o, va)
	d[0][1] = c.ld64(o, va+8)
	d[1][0] = c.ld64(o, va+16)
	d[1][1] = c.ld64(o, va+24)
}

func (c *CPU) st256(o *Op, va uint64, s *simd.V256) {
	t, i := &c.tlb.w, va>>12&(tlbSize-1)
	if off := va + t.ntag[i]; off <= mmu.PageSize-32 {
		*(*simd.V256)(t.at(i, va)) = *s
		return
	}
	c.probeWrite(o, va, 32)
	c.st64(o, va, s[0][0])
	c.st64(o, va+8, s[0][1])
	c.st64(o, va+16, s[1][0])
	c.st64(o, va+24, s[1][1])
}
