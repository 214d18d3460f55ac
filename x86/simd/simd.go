// Package simd is what MMX, SSE, AVX and AVX2 instructions on integers, and
// those that only move floating-point values about, compute: pure functions of
// their operands, without CPU state. Results are bit-exact; the tests compare
// each with the host CPU.
//
// # Shape
//
// An XMM register is a V128. A function is named after the SSE mnemonic (SDM
// volume 2), takes the destination first, and may be given the same V128 as
// destination and as any source. The 64-bit form that MMX has carries the
// suffix 64. A VEX.256 instruction is, unless it crosses lanes, its 128-bit form
// on each half of a V256; where the immediate has separate bits for the halves,
// the tables of this package say by how much to shift it for the upper one. The
// instructions that do cross lanes are functions on V256 whose names start
// with V.
//
// # How it works
//
// Element-wise operations treat a uint64 as a vector of small lanes (SIMD within
// a register). An addition keeps carries inside lanes by adding all bits but
// each lane's top one, which it puts right with an exclusive or; comparisons
// come out in each lane's top bit, and a multiplication by the lane's all-ones
// value spreads them into masks. What does not gain by that takes lanes apart
// with shifts.
package simd

import "encoding/binary"

// V128 is an XMM register, low quadword first.
type V128 [2]uint64

// V256 is a YMM register, low half first.
type V256 [2]V128

// Types of the functions of this package, for tables. d may alias any source.
type (
	Un     func(d, a *V128)               // d = op a
	UnImm  func(d, a *V128, imm uint8)    // d = op a, imm8
	Bin    func(d, a, b *V128)            // d = a op b
	BinImm func(d, a, b *V128, imm uint8) // d = a op b, imm8
	Tern   func(d, a, b, m *V128)         // d = op a, b, mask or third source
	Bin64  func(a, b uint64) uint64       // MMX: a op b
	Wide   func(d *V256, a *V128)         // a YMM from an XMM
)

// Top bits and low bits of the lanes of a uint64.
const (
	topB = 0x8080808080808080
	topW = 0x8000800080008000
	topD = 0x8000000080000000
	lowB = 0x0101010101010101
	lowW = 0x0001000100010001
	lowD = 0x0000000100000001
)

// add and sub work on the lanes whose top bits are in top.
func add(a, b, top uint64) uint64 { return (a&^top + b&^top) ^ (a^b)&top }
func sub(a, b, top uint64) uint64 { return ((a | top) - b&^top) ^ (a^^b)&top }

// geU gives the top bit of each lane in which a >= b, unsigned.
func geU(a, b, top uint64) uint64 {
	return (a&^b | ^(a^b)&((a|top)-b&^top)) & top
}

// zero gives the top bit of each lane that is zero.
func zero(x, top uint64) uint64 { return ^(x&^top + ^uint64(top) | x) & top }

// Masks of ones from lanes' top bits.
func maskB(t uint64) uint64 { return t >> 7 * 0xff }
func maskW(t uint64) uint64 { return t >> 15 * 0xffff }
func maskD(t uint64) uint64 { return t >> 31 * 0xffffffff }

// sel takes a where m is one and b where it is zero.
func sel(m, a, b uint64) uint64 { return b ^ (a^b)&m }

// Lane maps; they and their closures are inlined.
func mapB(a, b uint64, f func(x, y uint8) uint8) (r uint64) {
	for i := 0; i < 64; i += 8 {
		r |= uint64(f(uint8(a>>i), uint8(b>>i))) << i
	}
	return
}

func mapD(a, b uint64, f func(x, y uint32) uint32) uint64 {
	return uint64(f(uint32(a), uint32(b))) | uint64(f(uint32(a>>32), uint32(b>>32)))<<32
}

// Byte returns byte i of v, 0 to 15.
func (v *V128) Byte(i int) uint8 { return uint8(v[i>>3&1] >> (i & 7 * 8)) }

// Word returns 16-bit lane i of v, 0 to 7.
func (v *V128) Word(i int) uint16 { return uint16(v[i>>2&1] >> (i & 3 * 16)) }

// Dword returns 32-bit lane i of v, 0 to 3.
func (v *V128) Dword(i int) uint32 { return uint32(v[i>>1&1] >> (i & 1 * 32)) }

// SetByte sets byte i of v, 0 to 15.
func (v *V128) SetByte(i int, x uint8) {
	s := i & 7 * 8
	p := &v[i>>3&1]
	*p = *p&^(0xff<<s) | uint64(x)<<s
}

// SetWord sets 16-bit lane i of v, 0 to 7.
func (v *V128) SetWord(i int, x uint16) {
	s := i & 3 * 16
	p := &v[i>>2&1]
	*p = *p&^(0xffff<<s) | uint64(x)<<s
}

// SetDword sets 32-bit lane i of v, 0 to 3.
func (v *V128) SetDword(i int, x uint32) {
	s := i & 1 * 32
	p := &v[i>>1&1]
	*p = *p&^(0xffffffff<<s) | uint64(x)<<s
}

// dwords makes a V128 of four 32-bit lanes, low first.
func dwords(w0, w1, w2, w3 uint32) V128 {
	return V128{uint64(w0) | uint64(w1)<<32, uint64(w2) | uint64(w3)<<32}
}

// bytes gives the bytes of v in memory order.
func (v *V128) bytes() (b [16]byte) {
	binary.LittleEndian.PutUint64(b[0:], v[0])
	binary.LittleEndian.PutUint64(b[8:], v[1])
	return
}

// setBytes sets v from bytes in memory order.
func (v *V128) setBytes(b *[16]byte) {
	v[0] = binary.LittleEndian.Uint64(b[0:])
	v[1] = binary.LittleEndian.Uint64(b[8:])
}
