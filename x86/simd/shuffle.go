package simd

// Packing, unpacking, shuffling, blending, inserting, extending.

// closeB joins the low bytes of words, closeW the low words of doublewords.
func closeB(x uint64) uint64 {
	x &= 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return (x | x>>16) & 0xffffffff
}

func closeW(x uint64) uint64 { return x&0xffff | x>>16&0xffff0000 }

// PACKSSWB64 narrows signed words to signed bytes, saturating; a comes low.
func PACKSSWB64(a, b uint64) uint64 {
	const least, most = 0xff80 * lowW, 0x7f * lowW
	return closeB(PMAXSW64(PMINSW64(a, most), least)) | closeB(PMAXSW64(PMINSW64(b, most), least))<<32
}

// PACKUSWB64 narrows signed words to unsigned bytes, saturating; a comes low.
func PACKUSWB64(a, b uint64) uint64 {
	const most = 0xff * lowW
	return closeB(PMAXSW64(PMINSW64(a, most), 0)) | closeB(PMAXSW64(PMINSW64(b, most), 0))<<32
}

// PACKSSDW64 narrows signed doublewords to signed words, saturating; a comes low.
func PACKSSDW64(a, b uint64) uint64 {
	const least, most = 0xffff8000 * lowD, 0x7fff * lowD
	return closeW(PMAXSD64(PMINSD64(a, most), least)) | closeW(PMAXSD64(PMINSD64(b, most), least))<<32
}

// packUSDW narrows signed doublewords to unsigned words, saturating.
func packUSDW(a, b uint64) uint64 {
	const most = 0xffff * lowD
	return closeW(PMAXSD64(PMINSD64(a, most), 0)) | closeW(PMAXSD64(PMINSD64(b, most), 0))<<32
}

// PACKSSWB narrows signed words to signed bytes, saturating; a comes low.
func PACKSSWB(d, a, b *V128) { d[0], d[1] = PACKSSWB64(a[0], a[1]), PACKSSWB64(b[0], b[1]) }

// PACKUSWB narrows signed words to unsigned bytes, saturating; a comes low.
func PACKUSWB(d, a, b *V128) { d[0], d[1] = PACKUSWB64(a[0], a[1]), PACKUSWB64(b[0], b[1]) }

// PACKSSDW narrows signed doublewords to signed words, saturating; a comes low.
func PACKSSDW(d, a, b *V128) { d[0], d[1] = PACKSSDW64(a[0], a[1]), PACKSSDW64(b[0], b[1]) }

// PACKUSDW narrows signed doublewords to unsigned words, saturating; a comes low.
func PACKUSDW(d, a, b *V128) { d[0], d[1] = packUSDW(a[0], a[1]), packUSDW(b[0], b[1]) }

// spreadB puts the low four bytes of x into the low bytes of words.
func spreadB(x uint64) uint64 {
	x = x & 0xffffffff
	x = (x | x<<16) & 0x0000ffff0000ffff
	return (x | x<<8) & 0x00ff00ff00ff00ff
}

// spreadW puts the low two words of x into the low words of doublewords.
func spreadW(x uint64) uint64 { return x&0xffff | x&0xffff0000<<16 }

// PUNPCKLBW64 interleaves the low four bytes of a and b.
func PUNPCKLBW64(a, b uint64) uint64 { return spreadB(a) | spreadB(b)<<8 }

// PUNPCKHBW64 interleaves the high four bytes of a and b.
func PUNPCKHBW64(a, b uint64) uint64 { return spreadB(a>>32) | spreadB(b>>32)<<8 }

// PUNPCKLWD64 interleaves the low two words of a and b.
func PUNPCKLWD64(a, b uint64) uint64 { return spreadW(a) | spreadW(b)<<16 }

// PUNPCKHWD64 interleaves the high two words of a and b.
func PUNPCKHWD64(a, b uint64) uint64 { return spreadW(a>>32) | spreadW(b>>32)<<16 }

// PUNPCKLDQ64 joins the low doublewords of a and b.
func PUNPCKLDQ64(a, b uint64) uint64 { return a&0xffffffff | b<<32 }

// PUNPCKHDQ64 joins the high doublewords of a and b.
func PUNPCKHDQ64(a, b uint64) uint64 { return a>>32 | b>>32<<32 }

// PUNPCKLBW interleaves the low eight bytes of a and b.
func PUNPCKLBW(d, a, b *V128) { d[0], d[1] = PUNPCKLBW64(a[0], b[0]), PUNPCKHBW64(a[0], b[0]) }

// PUNPCKHBW interleaves the high eight bytes of a and b.
func PUNPCKHBW(d, a, b *V128) { d[0], d[1] = PUNPCKLBW64(a[1], b[1]), PUNPCKHBW64(a[1], b[1]) }

// PUNPCKLWD interleaves the low four words of a and b.
func PUNPCKLWD(d, a, b *V128) { d[0], d[1] = PUNPCKLWD64(a[0], b[0]), PUNPCKHWD64(a[0], b[0]) }

// PUNPCKHWD interleaves the high four words of a and b.
func PUNPCKHWD(d, a, b *V128) { d[0], d[1] = PUNPCKLWD64(a[1], b[1]), PUNPCKHWD64(a[1], b[1]) }

// PUNPCKLDQ interleaves the low two doublewords of a and b; UNPCKLPS is the same.
func PUNPCKLDQ(d, a, b *V128) { d[0], d[1] = PUNPCKLDQ64(a[0], b[0]), PUNPCKHDQ64(a[0], b[0]) }

// PUNPCKHDQ interleaves the high two doublewords of a and b; UNPCKHPS is the same.
func PUNPCKHDQ(d, a, b *V128) { d[0], d[1] = PUNPCKLDQ64(a[1], b[1]), PUNPCKHDQ64(a[1], b[1]) }

// PUNPCKLQDQ joins the low quadwords of a and b; UNPCKLPD is the same.
func PUNPCKLQDQ(d, a, b *V128) { d[0], d[1] = a[0], b[0] }

// PUNPCKHQDQ joins the high quadwords of a and b; UNPCKHPD is the same.
func PUNPCKHQDQ(d, a, b *V128) { d[0], d[1] = a[1], b[1] }

// PSHUFB64 takes for each byte the byte of a that b's byte names modulo 8, or
// zero where b's bit 7 is set.
func PSHUFB64(a, b uint64) uint64 {
	return mapB(b, b, func(x, _ uint8) uint8 { return uint8(a>>(x&7*8)) &^ uint8(int8(x)>>7) })
}

// PSHUFB takes for each byte the byte of a that b's byte names modulo 16, or
// zero where b's bit 7 is set.
func PSHUFB(d, a, b *V128) {
	x := a.bytes()
	d[0], d[1] = pickB(&x, b[0]), pickB(&x, b[1])
}

func pickB(x *[16]byte, s uint64) uint64 {
	r := uint64(x[s&15]) | uint64(x[s>>8&15])<<8 | uint64(x[s>>16&15])<<16 | uint64(x[s>>24&15])<<24 |
		uint64(x[s>>32&15])<<32 | uint64(x[s>>40&15])<<40 | uint64(x[s>>48&15])<<48 | uint64(x[s>>56&15])<<56
	return r &^ maskB(s&topB)
}

// PSHUFW64 picks a word of a for each two bits of imm; it is PSHUFW of MMX.
func PSHUFW64(a uint64, imm uint8) uint64 {
	i := uint(imm)
	return a>>(i&3*16)&0xffff | a>>(i>>2&3*16)&0xffff<<16 | a>>(i>>4&3*16)&0xffff<<32 | a>>(i>>6*16)<<48
}

// PSHUFD picks a doubleword of a for each two bits of imm. VPERMILPS with an
// immediate is the same.
func PSHUFD(d, a *V128, imm uint8) {
	*d = dwords(a.Dword(int(imm&3)), a.Dword(int(imm>>2&3)), a.Dword(int(imm>>4&3)), a.Dword(int(imm>>6)))
}

// PSHUFLW is PSHUFW64 on the low quadword.
func PSHUFLW(d, a *V128, imm uint8) { d[0], d[1] = PSHUFW64(a[0], imm), a[1] }

// PSHUFHW is PSHUFW64 on the high quadword.
func PSHUFHW(d, a *V128, imm uint8) { d[0], d[1] = a[0], PSHUFW64(a[1], imm) }

// SHUFPS picks two doublewords of a and two of b.
func SHUFPS(d, a, b *V128, imm uint8) {
	*d = dwords(a.Dword(int(imm&3)), a.Dword(int(imm>>2&3)), b.Dword(int(imm>>4&3)), b.Dword(int(imm>>6)))
}

// SHUFPD picks a quadword of a by imm[0] and one of b by imm[1]. The upper lane
// of a YMM takes imm>>2.
func SHUFPD(d, a, b *V128, imm uint8) { d[0], d[1] = a[imm&1], b[imm>>1&1] }

// PALIGNR64 shifts the pair a:b (a high) right by imm bytes.
func PALIGNR64(a, b uint64, imm uint8) uint64 {
	n := uint(imm) * 8
	if n >= 64 {
		return a >> (n - 64)
	}
	return b>>n | a<<(64-n)
}

// PALIGNR shifts the pair a:b (a high) right by imm bytes.
func PALIGNR(d, a, b *V128, imm uint8) {
	q := [6]uint64{b[0], b[1], a[0], a[1]}
	if imm >= 32 {
		*d = V128{}
		return
	}
	i, n := imm>>3, uint(imm&7)*8
	d[0], d[1] = q[i]>>n|q[i+1]<<(64-n), q[i+1]>>n|q[i+2]<<(64-n)
}

// spread tables: a mask of lanes for each nibble or pair of immediate bits.
var wordMask = func() (t [16]uint64) {
	for i := range t {
		for k := range 4 {
			if i>>k&1 != 0 {
				t[i] |= 0xffff << (16 * k)
			}
		}
	}
	return
}()

var dwordMask = [4]uint64{0, 0xffffffff, 0xffffffff00000000, ^uint64(0)}

// PBLENDW takes words of b where imm has ones, else of a. Both lanes of a YMM
// take the same imm.
func PBLENDW(d, a, b *V128, imm uint8) {
	d[0], d[1] = sel(wordMask[imm&15], b[0], a[0]), sel(wordMask[imm>>4], b[1], a[1])
}

// VPBLENDD takes doublewords of b where imm[3:0] has ones, else of a; BLENDPS is
// the same. The upper lane of a YMM takes imm>>4.
func VPBLENDD(d, a, b *V128, imm uint8) {
	d[0], d[1] = sel(dwordMask[imm&3], b[0], a[0]), sel(dwordMask[imm>>2&3], b[1], a[1])
}

// BLENDPD takes quadwords of b where imm[1:0] has ones, else of a. The upper
// lane of a YMM takes imm>>2.
func BLENDPD(d, a, b *V128, imm uint8) {
	d[0], d[1] = sel(-uint64(imm&1), b[0], a[0]), sel(-uint64(imm>>1&1), b[1], a[1])
}

// PBLENDVB takes bytes of b where m's byte has its top bit set, else of a.
func PBLENDVB(d, a, b, m *V128) {
	d[0], d[1] = sel(maskB(m[0]&topB), b[0], a[0]), sel(maskB(m[1]&topB), b[1], a[1])
}

// BLENDVPS takes doublewords of b where m's has its top bit set, else of a.
func BLENDVPS(d, a, b, m *V128) {
	d[0], d[1] = sel(maskD(m[0]&topD), b[0], a[0]), sel(maskD(m[1]&topD), b[1], a[1])
}

// BLENDVPD takes quadwords of b where m's has its top bit set, else of a.
func BLENDVPD(d, a, b, m *V128) {
	d[0], d[1] = sel(-(m[0]>>63), b[0], a[0]), sel(-(m[1]>>63), b[1], a[1])
}

// PINSRW64 puts the low word of v into word imm[1:0] of a.
func PINSRW64(a, v uint64, imm uint8) uint64 {
	s := imm & 3 * 16
	return a&^(0xffff<<s) | v&0xffff<<s
}

// PEXTRW64 gives word imm[1:0] of a.
func PEXTRW64(a uint64, imm uint8) uint64 { return a >> (imm & 3 * 16) & 0xffff }

// PINSRB puts the low byte of v into byte imm[3:0].
func PINSRB(d, a *V128, v uint64, imm uint8) { *d = *a; d.SetByte(int(imm&15), uint8(v)) }

// PINSRW puts the low word of v into word imm[2:0].
func PINSRW(d, a *V128, v uint64, imm uint8) { *d = *a; d.SetWord(int(imm&7), uint16(v)) }

// PINSRD puts the low doubleword of v into doubleword imm[1:0].
func PINSRD(d, a *V128, v uint64, imm uint8) { *d = *a; d.SetDword(int(imm&3), uint32(v)) }

// PINSRQ puts v into quadword imm[0].
func PINSRQ(d, a *V128, v uint64, imm uint8) { *d = *a; d[imm&1] = v }

// PEXTRB gives byte imm[3:0].
func PEXTRB(a *V128, imm uint8) uint64 { return uint64(a.Byte(int(imm & 15))) }

// PEXTRW gives word imm[2:0].
func PEXTRW(a *V128, imm uint8) uint64 { return uint64(a.Word(int(imm & 7))) }

// PEXTRD gives doubleword imm[1:0]; EXTRACTPS is the same.
func PEXTRD(a *V128, imm uint8) uint64 { return uint64(a.Dword(int(imm & 3))) }

// PEXTRQ gives quadword imm[0].
func PEXTRQ(a *V128, imm uint8) uint64 { return a[imm&1] }

// INSERTPS copies doubleword imm[7:6] of b into doubleword imm[5:4] of a, and
// zeroes those that imm[3:0] names. With b in memory the source is the one
// doubleword there: pass it as doubleword 0, and imm with bits 7:6 clear.
func INSERTPS(d, a, b *V128, imm uint8) {
	x := b.Dword(int(imm >> 6))
	r := *a
	r.SetDword(int(imm>>4&3), x)
	d[0], d[1] = r[0]&^dwordMask[imm&3], r[1]&^dwordMask[imm>>2&3]
}

// MOVDDUP copies the low quadword to both.
func MOVDDUP(d, a *V128) { d[0], d[1] = a[0], a[0] }

// MOVSLDUP copies the even doublewords to the odd ones.
func MOVSLDUP(d, a *V128) {
	d[0], d[1] = a[0]&0xffffffff*(1<<32+1), a[1]&0xffffffff*(1<<32+1)
}

// MOVSHDUP copies the odd doublewords to the even ones.
func MOVSHDUP(d, a *V128) { d[0], d[1] = a[0]>>32*(1<<32+1), a[1]>>32*(1<<32+1) }

// VPERMILPS picks a doubleword of a for each of b's, by its low two bits.
func VPERMILPS(d, a, b *V128) {
	*d = dwords(a.Dword(int(b[0]&3)), a.Dword(int(b[0]>>32&3)), a.Dword(int(b[1]&3)), a.Dword(int(b[1]>>32&3)))
}

// VPERMILPD picks a quadword of a for each of b's, by its bit 1.
func VPERMILPD(d, a, b *V128) { d[0], d[1] = a[b[0]>>1&1], a[b[1]>>1&1] }

// VPERMILPDI picks a quadword of a for each bit of imm[1:0]. The upper lane of a
// YMM takes imm>>2.
func VPERMILPDI(d, a *V128, imm uint8) { d[0], d[1] = a[imm&1], a[imm>>1&1] }

// extend widens n lanes of the given sizes in bits; x holds the source lanes.
func extS(x uint64, from, to int) (r uint64) {
	for i := 0; i < 64/to; i++ {
		v := uint64(int64(x<<(64-from*(i+1))) >> (64 - from))
		r |= v << (64 - to) >> (64 - to) << (i * to)
	}
	return
}

func extZ(x uint64, from, to int) (r uint64) {
	for i := 0; i < 64/to; i++ {
		r |= x << (64 - from*(i+1)) >> (64 - from) << (i * to)
	}
	return
}

// ext fills n quadwords of out with the widened lanes of the 128-bit source.
func ext(out []uint64, a V128, from, to int, signed bool) {
	step := uint(64 / to * from) // source bits that a quadword takes
	for i := range out {
		p := uint(i) * step
		x := a[p>>6] >> (p & 63)
		if signed {
			out[i] = extS(x, from, to)
		} else {
			out[i] = extZ(x, from, to)
		}
	}
}

// VPERMQ picks a quadword of a for each two bits of imm; VPERMPD is the same.
func VPERMQ(d, a *V256, imm uint8) {
	q := [4]uint64{a[0][0], a[0][1], a[1][0], a[1][1]}
	*d = V256{{q[imm&3], q[imm>>2&3]}, {q[imm>>4&3], q[imm>>6]}}
}

// VPERMD picks a doubleword of b for each of a's, by its low three bits; VPERMPS
// is the same. (In the encoding a is VEX.vvvv and b is r/m.)
func VPERMD(d, a, b *V256) {
	src := *b
	at := func(i uint64) uint32 { return src[i>>2&1].Dword(int(i & 3)) }
	var r V256
	for l := range r {
		s := a[l]
		r[l] = dwords(at(s[0]), at(s[0]>>32), at(s[1]), at(s[1]>>32))
	}
	*d = r
}

// VPERM2I128 picks for each lane one of a's and b's by two bits of imm (1:0 and
// 5:4), or zeroes where bit 3 or 7 is set; VPERM2F128 is the same.
func VPERM2I128(d, a, b *V256, imm uint8) {
	src := [4]V128{a[0], a[1], b[0], b[1]}
	var r V256
	if imm&8 == 0 {
		r[0] = src[imm&3]
	}
	if imm&0x80 == 0 {
		r[1] = src[imm>>4&3]
	}
	*d = r
}

// VINSERTI128 is a with lane imm[0] replaced by b; VINSERTF128 is the same.
func VINSERTI128(d, a *V256, b *V128, imm uint8) {
	x := *b
	*d = *a
	d[imm&1] = x
}

// VEXTRACTI128 gives lane imm[0] of a; VEXTRACTF128 is the same.
func VEXTRACTI128(d *V128, a *V256, imm uint8) { *d = a[imm&1] }

// VPBROADCASTB copies the low byte of a to all of d. Of a YMM both lanes are
// alike, in this as in the other broadcasts.
func VPBROADCASTB(d, a *V128) { x := a[0] & 0xff * lowB; *d = V128{x, x} }

// VPBROADCASTW copies the low word of a to all of d.
func VPBROADCASTW(d, a *V128) { x := a[0] & 0xffff * lowW; *d = V128{x, x} }

// VPBROADCASTD copies the low doubleword of a to all of d; VBROADCASTSS is the same.
func VPBROADCASTD(d, a *V128) { x := a[0] & 0xffffffff * lowD; *d = V128{x, x} }

// VPBROADCASTQ copies the low quadword of a to all of d; VBROADCASTSD is the same.
func VPBROADCASTQ(d, a *V128) { x := a[0]; *d = V128{x, x} }
