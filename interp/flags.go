package interp

// Lazy flags.
//
// An instruction that sets the status flags records what it did instead of
// computing them: CCKind is the operation and the size of its operands, CCDst the
// result, CCSrc the second operand (of a shift: the value before the last
// one-bit step; of INC and DEC: the carry flag as it was), CCAux the carry that
// ADC or SBB took in. Values are zero-extended to 64 bits. Conditions that follow
// are mostly answered from these directly; flags() computes all six.

import (
	"math/bits"

	"hotblock/x86"
)

// The operation part of CCKind; the low two bits are log2 of the size in bytes.
const (
	ccFlags = iota << 2 // CCSrc holds the flags themselves
	ccAdd
	ccAdc
	ccSub
	ccSbb
	ccLogic
	ccInc
	ccDec
	ccShl
	ccShr  // and SAR
	ccBlsr // BLSR, BLSMSK; CCSrc is the carry
	ccMul  // CCSrc is carry and overflow
)

var log2 = [9]uint8{1: 0, 2: 1, 4: 2, 8: 3}

// setCC records an operation of size bytes.
func (c *CPU) setCC(kind uint8, size uint8, dst, src uint64) {
	c.CCKind = kind | log2[size]
	c.CCDst, c.CCSrc = dst, src
}

// setFlags makes the six status flags those of f.
func (c *CPU) setFlags(f uint64) {
	c.CCKind = ccFlags
	c.CCSrc = f & x86.FlagsArith
}

func sizeMask(size uint8) uint64 { return ^uint64(0) >> (64 - 8*uint(size)) }

// cf returns the carry flag as 0 or 1.
func (c *CPU) cf() uint64 {
	k := c.CCKind &^ 3
	sh := 64 - 8<<(c.CCKind&3)
	switch k {
	case ccFlags:
		return c.CCSrc & 1
	case ccAdd:
		return b2u(c.CCDst < c.CCSrc)
	case ccAdc:
		return b2u(c.CCDst < c.CCSrc || c.CCAux != 0 && c.CCDst == c.CCSrc)
	case ccSub:
		return b2u((c.CCDst+c.CCSrc)<<sh < c.CCSrc<<sh)
	case ccSbb:
		a := (c.CCDst + c.CCSrc + c.CCAux) << sh
		return b2u(a < c.CCSrc<<sh || c.CCAux != 0 && a == c.CCSrc<<sh)
	case ccLogic:
		return 0
	case ccInc, ccDec, ccBlsr, ccMul:
		return c.CCSrc
	case ccShl:
		return c.CCSrc << sh >> 63
	default: // ccShr
		return c.CCSrc & 1
	}
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// of returns the overflow flag as 0 or 1.
func (c *CPU) of() uint64 {
	k := c.CCKind &^ 3
	sh := 64 - 8<<(c.CCKind&3)
	r, b := c.CCDst<<sh, c.CCSrc<<sh
	switch k {
	case ccFlags:
		return c.CCSrc >> 11 & 1
	case ccAdd:
		return (r - b ^ r) & (b ^ r) >> 63
	case ccAdc:
		a := (c.CCDst - c.CCSrc - c.CCAux) << sh
		return (a ^ r) & (b ^ r) >> 63
	case ccSub:
		a := r + b
		return (a ^ b) & (a ^ r) >> 63
	case ccSbb:
		a := (c.CCDst + c.CCSrc + c.CCAux) << sh
		return (a ^ b) & (a ^ r) >> 63
	case ccInc:
		return b2u(r == 1<<63)
	case ccDec:
		return b2u(r == (1<<63-1)>>sh<<sh)
	case ccShl:
		return (b ^ r) >> 63
	case ccShr:
		// SHR by one: the sign before; SAR: the sign never changes.
		return (b ^ r) >> 63
	case ccMul:
		return c.CCSrc
	}
	return 0
}

func (c *CPU) af() uint64 {
	switch c.CCKind &^ 3 {
	case ccFlags:
		return c.CCSrc >> 4 & 1
	case ccAdd:
		return (c.CCDst ^ c.CCSrc ^ (c.CCDst - c.CCSrc)) >> 4 & 1
	case ccAdc:
		return (c.CCDst ^ c.CCSrc ^ (c.CCDst - c.CCSrc - c.CCAux)) >> 4 & 1
	case ccSub:
		return (c.CCDst ^ c.CCSrc ^ (c.CCDst + c.CCSrc)) >> 4 & 1
	case ccSbb:
		return (c.CCDst ^ c.CCSrc ^ (c.CCDst + c.CCSrc + c.CCAux)) >> 4 & 1
	case ccInc:
		return b2u(c.CCDst&15 == 0)
	case ccDec:
		return b2u(c.CCDst&15 == 15)
	}
	return 0
}

func (c *CPU) zf() bool {
	if c.CCKind < 4 {
		return c.CCSrc&x86.FlagZF != 0
	}
	return c.CCDst == 0
}

func (c *CPU) sf() uint64 {
	if c.CCKind < 4 {
		return c.CCSrc >> 7 & 1
	}
	return c.CCDst >> (8<<(c.CCKind&3) - 1) & 1
}

func (c *CPU) pf() uint64 {
	if c.CCKind < 4 {
		return c.CCSrc >> 2 & 1
	}
	return uint64(^bits.OnesCount8(uint8(c.CCDst)) & 1)
}

// flags computes the six status flags.
func (c *CPU) flags() uint64 {
	if c.CCKind < 4 {
		return c.CCSrc
	}
	f := c.cf() | c.pf()<<2 | c.af()<<4 | c.sf()<<7 | c.of()<<11
	if c.CCDst == 0 {
		f |= x86.FlagZF
	}
	return f
}

// RFLAGS returns the whole register.
func (c *CPU) RFLAGS() uint64 { return c.Flags | x86.Flag1 | c.flags() }

// SetRFLAGS sets the whole register as it is given, without checks.
func (c *CPU) SetRFLAGS(f uint64) {
	c.setFlags(f)
	old := c.Flags
	c.Flags = f &^ (x86.FlagsArith | x86.Flag1) & 0x3f7fd5
	c.flagsChanged(old)
}

// cond evaluates condition code cc, the low four bits of a Jcc opcode.
func (c *CPU) cond(cc uint8) bool {
	var v bool
	switch kind := c.CCKind &^ 3; {
	case kind == ccSub:
		sh := 64 - 8<<(c.CCKind&3)
		r, b := c.CCDst<<sh, c.CCSrc<<sh
		a := r + b
		switch cc >> 1 {
		case 0:
			v = (a^b)&(a^r)>>63 != 0
		case 1:
			v = a < b
		case 2:
			v = r == 0
		case 3:
			v = a <= b
		case 4:
			v = int64(r) < 0
		case 5:
			v = c.pf() != 0
		case 6:
			v = int64(a) < int64(b)
		default:
			v = int64(a) <= int64(b)
		}
	case kind == ccLogic:
		r := c.CCDst << (64 - 8<<(c.CCKind&3))
		switch cc >> 1 {
		case 0, 1:
			v = false
		case 2, 3:
			v = r == 0
		case 4, 6:
			v = int64(r) < 0
		case 5:
			v = c.pf() != 0
		default:
			v = int64(r) <= 0
		}
	default:
		switch cc >> 1 {
		case 0:
			v = c.of() != 0
		case 1:
			v = c.cf() != 0
		case 2:
			v = c.zf()
		case 3:
			v = c.zf() || c.cf() != 0
		case 4:
			v = c.sf() != 0
		case 5:
			v = c.pf() != 0
		case 6:
			v = c.sf() != c.of()
		default:
			v = c.zf() || c.sf() != c.of()
		}
	}
	return v != (cc&1 != 0)
}
