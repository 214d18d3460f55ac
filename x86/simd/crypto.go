package simd

import "math/bits"

// AES, carry-less multiplication, SHA and CRC-32C.
//
// The AES round functions use one table for each direction that holds, for a
// byte, the column that the S-box and MixColumns make of it in row 0; the other
// rows are rotations. The S-boxes are computed: inverses in GF(2^8) by walking
// the powers of 3, then the affine map (FIPS 197, 5.1.1).

var (
	sbox, inv [256]uint8  // S-box and its inverse
	te, td    [256]uint32 // column for a byte in row 0
	im        [256]uint32 // the same for InvMixColumns alone
	crcTab    [256]uint32 // CRC-32C, reflected
)

// xtime multiplies by x in GF(2^8).
func xtime(b uint8) uint8 { return b<<1 ^ uint8(int8(b)>>7)&0x1b }

func init() {
	p, q := uint8(1), uint8(1)
	for {
		p ^= xtime(p) // times 3
		q ^= q << 1   // divided by 3
		q ^= q << 2
		q ^= q << 4
		if q&0x80 != 0 {
			q ^= 0x09
		}
		sbox[p] = q ^ bits.RotateLeft8(q, 1) ^ bits.RotateLeft8(q, 2) ^ bits.RotateLeft8(q, 3) ^ bits.RotateLeft8(q, 4) ^ 0x63
		if p == 1 {
			break
		}
	}
	sbox[0] = 0x63
	col := func(a, b, c, d uint8) uint32 {
		return uint32(a) | uint32(b)<<8 | uint32(c)<<16 | uint32(d)<<24
	}
	for i := range 256 {
		s := sbox[i]
		inv[s] = uint8(i)
		te[i] = col(xtime(s), s, s, xtime(s)^s)
		x := uint8(i)
		x2 := xtime(x)
		x4 := xtime(x2)
		x8 := xtime(x4)
		im[i] = col(x8^x4^x2, x8^x, x8^x4^x, x8^x2^x)
		c := uint32(i)
		for range 8 {
			c = c>>1 ^ -(c&1)&0x82f63b78
		}
		crcTab[i] = c
	}
	for i := range 256 {
		td[i] = im[inv[i]]
	}
}

// AESENC is one round of encryption of a with round key b.
func AESENC(d, a, b *V128) {
	s := a.bytes()
	c := func(i int) uint32 {
		return te[s[i]] ^ bits.RotateLeft32(te[s[(i+5)&15]], 8) ^
			bits.RotateLeft32(te[s[(i+10)&15]], 16) ^ bits.RotateLeft32(te[s[(i+15)&15]], 24)
	}
	v := dwords(c(0), c(4), c(8), c(12))
	d[0], d[1] = v[0]^b[0], v[1]^b[1]
}

// AESENCLAST is the last round of encryption of a with round key b.
func AESENCLAST(d, a, b *V128) {
	s := a.bytes()
	var r [16]byte
	for i := range r {
		r[i] = sbox[s[(i&^3+i&3*5)&15]]
	}
	var v V128
	v.setBytes(&r)
	d[0], d[1] = v[0]^b[0], v[1]^b[1]
}

// AESDEC is one round of decryption (equivalent inverse cipher) of a with round
// key b.
func AESDEC(d, a, b *V128) {
	s := a.bytes()
	c := func(i int) uint32 {
		return td[s[i]] ^ bits.RotateLeft32(td[s[(i+13)&15]], 8) ^
			bits.RotateLeft32(td[s[(i+10)&15]], 16) ^ bits.RotateLeft32(td[s[(i+7)&15]], 24)
	}
	v := dwords(c(0), c(4), c(8), c(12))
	d[0], d[1] = v[0]^b[0], v[1]^b[1]
}

// AESDECLAST is the last round of decryption of a with round key b.
func AESDECLAST(d, a, b *V128) {
	s := a.bytes()
	var r [16]byte
	for i := range r {
		r[i] = inv[s[(i&^3+i&3*13)&15]]
	}
	var v V128
	v.setBytes(&r)
	d[0], d[1] = v[0]^b[0], v[1]^b[1]
}

// AESIMC is InvMixColumns of b, for the round keys of AESDEC.
func AESIMC(d, _, b *V128) {
	s := b.bytes()
	c := func(i int) uint32 {
		return im[s[i]] ^ bits.RotateLeft32(im[s[i+1]], 8) ^
			bits.RotateLeft32(im[s[i+2]], 16) ^ bits.RotateLeft32(im[s[i+3]], 24)
	}
	*d = dwords(c(0), c(4), c(8), c(12))
}

// AESKEYGENASSIST substitutes, rotates and adds the round constant imm for key
// expansion.
func AESKEYGENASSIST(d, a *V128, imm uint8) {
	sub := func(x uint32) uint32 {
		return uint32(sbox[x&255]) | uint32(sbox[x>>8&255])<<8 | uint32(sbox[x>>16&255])<<16 | uint32(sbox[x>>24])<<24
	}
	x1, x3 := sub(a.Dword(1)), sub(a.Dword(3))
	*d = dwords(x1, bits.RotateLeft32(x1, -8)^uint32(imm), x3, bits.RotateLeft32(x3, -8)^uint32(imm))
}

// PCLMULQDQ multiplies quadword imm[0] of a with quadword imm[4] of b without
// carries. Both lanes of a YMM take the same imm.
func PCLMULQDQ(d, a, b *V128, imm uint8) {
	x, y := a[imm&1], b[imm>>4&1]
	// Four bits of y at a time: the multiples of x by 0 to 15, each up to 67 bits.
	var lo, hi [16]uint64
	for i := 1; i < 16; i++ {
		if i&1 != 0 {
			lo[i], hi[i] = lo[i-1]^x, hi[i-1]
		} else {
			lo[i], hi[i] = lo[i/2]<<1, hi[i/2]<<1|lo[i/2]>>63
		}
	}
	var rl, rh uint64
	for s := 60; s >= 0; s -= 4 {
		rh = rh<<4 | rl>>60
		rl <<= 4
		k := y >> s & 15
		rl ^= lo[k]
		rh ^= hi[k]
	}
	d[0], d[1] = rl, rh
}

// SHA1RNDS4 does four rounds of SHA-1: a holds A (high) to D, b four words of
// the schedule, the first with E added; imm[1:0] picks the function and constant.
func SHA1RNDS4(d, a, b *V128, imm uint8) {
	k := [4]uint32{0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6}[imm&3]
	A, B, C, D, E := a.Dword(3), a.Dword(2), a.Dword(1), a.Dword(0), uint32(0)
	for i := 3; i >= 0; i-- {
		var f uint32
		switch imm & 3 {
		case 0:
			f = B&C ^ ^B&D
		case 2:
			f = B&C ^ B&D ^ C&D
		default:
			f = B ^ C ^ D
		}
		A, B, C, D, E = f+bits.RotateLeft32(A, 5)+b.Dword(i)+E+k, A, bits.RotateLeft32(B, 30), C, D
	}
	*d = dwords(D, C, B, A)
}

// SHA1NEXTE adds the E that follows from A in a to the words of b.
func SHA1NEXTE(d, a, b *V128) {
	e := bits.RotateLeft32(a.Dword(3), 30)
	*d = dwords(b.Dword(0), b.Dword(1), b.Dword(2), b.Dword(3)+e)
}

// SHA1MSG1 begins the next four words of the SHA-1 schedule.
func SHA1MSG1(d, a, b *V128) { d[0], d[1] = a[0]^b[1], a[1]^a[0] }

// SHA1MSG2 ends the next four words of the SHA-1 schedule.
func SHA1MSG2(d, a, b *V128) {
	w16 := bits.RotateLeft32(a.Dword(3)^b.Dword(2), 1)
	w17 := bits.RotateLeft32(a.Dword(2)^b.Dword(1), 1)
	w18 := bits.RotateLeft32(a.Dword(1)^b.Dword(0), 1)
	w19 := bits.RotateLeft32(a.Dword(0)^w16, 1)
	*d = dwords(w19, w18, w17, w16)
}

func rotr(x uint32, n int) uint32 { return bits.RotateLeft32(x, -n) }

// SHA256RNDS2 does two rounds of SHA-256: a holds C (high), D, G, H, b holds A,
// B, E, F, and m (XMM0) the two words of the schedule, constants added.
func SHA256RNDS2(d, a, b, m *V128) {
	A, B, C, D := b.Dword(3), b.Dword(2), a.Dword(3), a.Dword(2)
	E, F, G, H := b.Dword(1), b.Dword(0), a.Dword(1), a.Dword(0)
	for i := range 2 {
		t := (E&F ^ ^E&G) + (rotr(E, 6) ^ rotr(E, 11) ^ rotr(E, 25)) + m.Dword(i) + H
		A, B, C, D, E, F, G, H = t+(A&B^A&C^B&C)+(rotr(A, 2)^rotr(A, 13)^rotr(A, 22)), A, B, C, t+D, E, F, G
	}
	*d = dwords(F, E, B, A)
}

// SHA256MSG1 begins the next four words of the SHA-256 schedule.
func SHA256MSG1(d, a, b *V128) {
	s := func(x uint32) uint32 { return rotr(x, 7) ^ rotr(x, 18) ^ x>>3 }
	*d = dwords(a.Dword(0)+s(a.Dword(1)), a.Dword(1)+s(a.Dword(2)), a.Dword(2)+s(a.Dword(3)), a.Dword(3)+s(b.Dword(0)))
}

// SHA256MSG2 ends the next four words of the SHA-256 schedule.
func SHA256MSG2(d, a, b *V128) {
	s := func(x uint32) uint32 { return rotr(x, 17) ^ rotr(x, 19) ^ x>>10 }
	w16, w17 := a.Dword(0)+s(b.Dword(2)), a.Dword(1)+s(b.Dword(3))
	*d = dwords(w16, w17, a.Dword(2)+s(w16), a.Dword(3)+s(w17))
}

// CRC32 adds size bytes (1, 2, 4 or 8) of v to a CRC-32C as the instruction
// CRC32 does: no inversion before or after.
func CRC32(crc uint32, v uint64, size int) uint32 {
	for range size {
		crc = crc>>8 ^ crcTab[uint8(crc)^uint8(v)]
		v >>= 8
	}
	return crc
}
