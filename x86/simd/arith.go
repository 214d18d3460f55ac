package simd

import "math/bits"

// Element-wise integer arithmetic, comparison and logic.

// PADDB64 adds bytes, wrapping.
func PADDB64(a, b uint64) uint64 { return add(a, b, topB) }

// PADDB is PADDB64 on both quadwords.
func PADDB(d, a, b *V128) { d[0], d[1] = PADDB64(a[0], b[0]), PADDB64(a[1], b[1]) }

// PSUBB64 subtracts bytes, wrapping.
func PSUBB64(a, b uint64) uint64 { return sub(a, b, topB) }

// PSUBB is PSUBB64 on both quadwords.
func PSUBB(d, a, b *V128) { d[0], d[1] = PSUBB64(a[0], b[0]), PSUBB64(a[1], b[1]) }

// PCMPEQB64 gives all ones in bytes that are equal.
func PCMPEQB64(a, b uint64) uint64 { return maskB(zero(a^b, topB)) }

// PCMPEQB is PCMPEQB64 on both quadwords.
func PCMPEQB(d, a, b *V128) { d[0], d[1] = PCMPEQB64(a[0], b[0]), PCMPEQB64(a[1], b[1]) }

// PCMPGTB64 gives all ones in bytes where a > b, signed.
func PCMPGTB64(a, b uint64) uint64 { return ^maskB(geU(b^topB, a^topB, topB)) }

// PCMPGTB is PCMPGTB64 on both quadwords.
func PCMPGTB(d, a, b *V128) { d[0], d[1] = PCMPGTB64(a[0], b[0]), PCMPGTB64(a[1], b[1]) }

// PMINUB64 gives the lesser of unsigned bytes.
func PMINUB64(a, b uint64) uint64 { return sel(maskB(geU(a, b, topB)), b, a) }

// PMINUB is PMINUB64 on both quadwords.
func PMINUB(d, a, b *V128) { d[0], d[1] = PMINUB64(a[0], b[0]), PMINUB64(a[1], b[1]) }

// PMAXUB64 gives the greater of unsigned bytes.
func PMAXUB64(a, b uint64) uint64 { return sel(maskB(geU(a, b, topB)), a, b) }

// PMAXUB is PMAXUB64 on both quadwords.
func PMAXUB(d, a, b *V128) { d[0], d[1] = PMAXUB64(a[0], b[0]), PMAXUB64(a[1], b[1]) }

// PMINSB64 gives the lesser of signed bytes.
func PMINSB64(a, b uint64) uint64 { return sel(maskB(geU(a^topB, b^topB, topB)), b, a) }

// PMINSB is PMINSB64 on both quadwords.
func PMINSB(d, a, b *V128) { d[0], d[1] = PMINSB64(a[0], b[0]), PMINSB64(a[1], b[1]) }

// PMAXSB64 gives the greater of signed bytes.
func PMAXSB64(a, b uint64) uint64 { return sel(maskB(geU(a^topB, b^topB, topB)), a, b) }

// PMAXSB is PMAXSB64 on both quadwords.
func PMAXSB(d, a, b *V128) { d[0], d[1] = PMAXSB64(a[0], b[0]), PMAXSB64(a[1], b[1]) }

// PADDW64 adds words, wrapping.
func PADDW64(a, b uint64) uint64 { return add(a, b, topW) }

// PADDW is PADDW64 on both quadwords.
func PADDW(d, a, b *V128) { d[0], d[1] = PADDW64(a[0], b[0]), PADDW64(a[1], b[1]) }

// PSUBW64 subtracts words, wrapping.
func PSUBW64(a, b uint64) uint64 { return sub(a, b, topW) }

// PSUBW is PSUBW64 on both quadwords.
func PSUBW(d, a, b *V128) { d[0], d[1] = PSUBW64(a[0], b[0]), PSUBW64(a[1], b[1]) }

// PCMPEQW64 gives all ones in words that are equal.
func PCMPEQW64(a, b uint64) uint64 { return maskW(zero(a^b, topW)) }

// PCMPEQW is PCMPEQW64 on both quadwords.
func PCMPEQW(d, a, b *V128) { d[0], d[1] = PCMPEQW64(a[0], b[0]), PCMPEQW64(a[1], b[1]) }

// PCMPGTW64 gives all ones in words where a > b, signed.
func PCMPGTW64(a, b uint64) uint64 { return ^maskW(geU(b^topW, a^topW, topW)) }

// PCMPGTW is PCMPGTW64 on both quadwords.
func PCMPGTW(d, a, b *V128) { d[0], d[1] = PCMPGTW64(a[0], b[0]), PCMPGTW64(a[1], b[1]) }

// PMINUW64 gives the lesser of unsigned words.
func PMINUW64(a, b uint64) uint64 { return sel(maskW(geU(a, b, topW)), b, a) }

// PMINUW is PMINUW64 on both quadwords.
func PMINUW(d, a, b *V128) { d[0], d[1] = PMINUW64(a[0], b[0]), PMINUW64(a[1], b[1]) }

// PMAXUW64 gives the greater of unsigned words.
func PMAXUW64(a, b uint64) uint64 { return sel(maskW(geU(a, b, topW)), a, b) }

// PMAXUW is PMAXUW64 on both quadwords.
func PMAXUW(d, a, b *V128) { d[0], d[1] = PMAXUW64(a[0], b[0]), PMAXUW64(a[1], b[1]) }

// PMINSW64 gives the lesser of signed words.
func PMINSW64(a, b uint64) uint64 { return sel(maskW(geU(a^topW, b^topW, topW)), b, a) }

// PMINSW is PMINSW64 on both quadwords.
func PMINSW(d, a, b *V128) { d[0], d[1] = PMINSW64(a[0], b[0]), PMINSW64(a[1], b[1]) }

// PMAXSW64 gives the greater of signed words.
func PMAXSW64(a, b uint64) uint64 { return sel(maskW(geU(a^topW, b^topW, topW)), a, b) }

// PMAXSW is PMAXSW64 on both quadwords.
func PMAXSW(d, a, b *V128) { d[0], d[1] = PMAXSW64(a[0], b[0]), PMAXSW64(a[1], b[1]) }

// PADDD64 adds doublewords, wrapping.
func PADDD64(a, b uint64) uint64 { return add(a, b, topD) }

// PADDD is PADDD64 on both quadwords.
func PADDD(d, a, b *V128) { d[0], d[1] = PADDD64(a[0], b[0]), PADDD64(a[1], b[1]) }

// PSUBD64 subtracts doublewords, wrapping.
func PSUBD64(a, b uint64) uint64 { return sub(a, b, topD) }

// PSUBD is PSUBD64 on both quadwords.
func PSUBD(d, a, b *V128) { d[0], d[1] = PSUBD64(a[0], b[0]), PSUBD64(a[1], b[1]) }

// PCMPEQD64 gives all ones in doublewords that are equal.
func PCMPEQD64(a, b uint64) uint64 { return maskD(zero(a^b, topD)) }

// PCMPEQD is PCMPEQD64 on both quadwords.
func PCMPEQD(d, a, b *V128) { d[0], d[1] = PCMPEQD64(a[0], b[0]), PCMPEQD64(a[1], b[1]) }

// PCMPGTD64 gives all ones in doublewords where a > b, signed.
func PCMPGTD64(a, b uint64) uint64 { return ^maskD(geU(b^topD, a^topD, topD)) }

// PCMPGTD is PCMPGTD64 on both quadwords.
func PCMPGTD(d, a, b *V128) { d[0], d[1] = PCMPGTD64(a[0], b[0]), PCMPGTD64(a[1], b[1]) }

// PMINUD64 gives the lesser of unsigned doublewords.
func PMINUD64(a, b uint64) uint64 { return sel(maskD(geU(a, b, topD)), b, a) }

// PMINUD is PMINUD64 on both quadwords.
func PMINUD(d, a, b *V128) { d[0], d[1] = PMINUD64(a[0], b[0]), PMINUD64(a[1], b[1]) }

// PMAXUD64 gives the greater of unsigned doublewords.
func PMAXUD64(a, b uint64) uint64 { return sel(maskD(geU(a, b, topD)), a, b) }

// PMAXUD is PMAXUD64 on both quadwords.
func PMAXUD(d, a, b *V128) { d[0], d[1] = PMAXUD64(a[0], b[0]), PMAXUD64(a[1], b[1]) }

// PMINSD64 gives the lesser of signed doublewords.
func PMINSD64(a, b uint64) uint64 { return sel(maskD(geU(a^topD, b^topD, topD)), b, a) }

// PMINSD is PMINSD64 on both quadwords.
func PMINSD(d, a, b *V128) { d[0], d[1] = PMINSD64(a[0], b[0]), PMINSD64(a[1], b[1]) }

// PMAXSD64 gives the greater of signed doublewords.
func PMAXSD64(a, b uint64) uint64 { return sel(maskD(geU(a^topD, b^topD, topD)), a, b) }

// PMAXSD is PMAXSD64 on both quadwords.
func PMAXSD(d, a, b *V128) { d[0], d[1] = PMAXSD64(a[0], b[0]), PMAXSD64(a[1], b[1]) }

// PADDQ64 adds quadwords.
func PADDQ64(a, b uint64) uint64 { return a + b }

// PADDQ is PADDQ64 on both quadwords.
func PADDQ(d, a, b *V128) { d[0], d[1] = PADDQ64(a[0], b[0]), PADDQ64(a[1], b[1]) }

// PSUBQ64 subtracts quadwords.
func PSUBQ64(a, b uint64) uint64 { return a - b }

// PSUBQ is PSUBQ64 on both quadwords.
func PSUBQ(d, a, b *V128) { d[0], d[1] = PSUBQ64(a[0], b[0]), PSUBQ64(a[1], b[1]) }

// PCMPEQQ64 gives all ones where the quadwords are equal.
func PCMPEQQ64(a, b uint64) uint64 {
	if a == b {
		return ^uint64(0)
	}
	return 0
}

// PCMPEQQ is PCMPEQQ64 on both quadwords.
func PCMPEQQ(d, a, b *V128) { d[0], d[1] = PCMPEQQ64(a[0], b[0]), PCMPEQQ64(a[1], b[1]) }

// PCMPGTQ64 gives all ones where a > b, signed.
func PCMPGTQ64(a, b uint64) uint64 {
	if int64(a) > int64(b) {
		return ^uint64(0)
	}
	return 0
}

// PCMPGTQ is PCMPGTQ64 on both quadwords.
func PCMPGTQ(d, a, b *V128) { d[0], d[1] = PCMPGTQ64(a[0], b[0]), PCMPGTQ64(a[1], b[1]) }

// PADDUSB64 adds unsigned bytes, saturating.
func PADDUSB64(a, b uint64) uint64 {
	r := add(a, b, topB)
	return r | maskB((a&b|(a|b)&^r)&topB)
}

// PADDUSB is PADDUSB64 on both quadwords.
func PADDUSB(d, a, b *V128) { d[0], d[1] = PADDUSB64(a[0], b[0]), PADDUSB64(a[1], b[1]) }

// PSUBUSB64 subtracts unsigned bytes, saturating.
func PSUBUSB64(a, b uint64) uint64 { return sub(a, b, topB) & maskB(geU(a, b, topB)) }

// PSUBUSB is PSUBUSB64 on both quadwords.
func PSUBUSB(d, a, b *V128) { d[0], d[1] = PSUBUSB64(a[0], b[0]), PSUBUSB64(a[1], b[1]) }

// PADDSB64 adds signed bytes, saturating.
func PADDSB64(a, b uint64) uint64 {
	r := add(a, b, topB)
	return sel(maskB(^(a^b)&(a^r)&topB), a>>7&lowB+^uint64(topB), r)
}

// PADDSB is PADDSB64 on both quadwords.
func PADDSB(d, a, b *V128) { d[0], d[1] = PADDSB64(a[0], b[0]), PADDSB64(a[1], b[1]) }

// PSUBSB64 subtracts signed bytes, saturating.
func PSUBSB64(a, b uint64) uint64 {
	r := sub(a, b, topB)
	return sel(maskB((a^b)&(a^r)&topB), a>>7&lowB+^uint64(topB), r)
}

// PSUBSB is PSUBSB64 on both quadwords.
func PSUBSB(d, a, b *V128) { d[0], d[1] = PSUBSB64(a[0], b[0]), PSUBSB64(a[1], b[1]) }

// PAVGB64 averages unsigned bytes, rounding up.
func PAVGB64(a, b uint64) uint64 { return sub(a|b, (a^b)>>1&^topB, topB) }

// PAVGB is PAVGB64 on both quadwords.
func PAVGB(d, a, b *V128) { d[0], d[1] = PAVGB64(a[0], b[0]), PAVGB64(a[1], b[1]) }

// PADDUSW64 adds unsigned words, saturating.
func PADDUSW64(a, b uint64) uint64 {
	r := add(a, b, topW)
	return r | maskW((a&b|(a|b)&^r)&topW)
}

// PADDUSW is PADDUSW64 on both quadwords.
func PADDUSW(d, a, b *V128) { d[0], d[1] = PADDUSW64(a[0], b[0]), PADDUSW64(a[1], b[1]) }

// PSUBUSW64 subtracts unsigned words, saturating.
func PSUBUSW64(a, b uint64) uint64 { return sub(a, b, topW) & maskW(geU(a, b, topW)) }

// PSUBUSW is PSUBUSW64 on both quadwords.
func PSUBUSW(d, a, b *V128) { d[0], d[1] = PSUBUSW64(a[0], b[0]), PSUBUSW64(a[1], b[1]) }

// PADDSW64 adds signed words, saturating.
func PADDSW64(a, b uint64) uint64 {
	r := add(a, b, topW)
	return sel(maskW(^(a^b)&(a^r)&topW), a>>15&lowW+^uint64(topW), r)
}

// PADDSW is PADDSW64 on both quadwords.
func PADDSW(d, a, b *V128) { d[0], d[1] = PADDSW64(a[0], b[0]), PADDSW64(a[1], b[1]) }

// PSUBSW64 subtracts signed words, saturating.
func PSUBSW64(a, b uint64) uint64 {
	r := sub(a, b, topW)
	return sel(maskW((a^b)&(a^r)&topW), a>>15&lowW+^uint64(topW), r)
}

// PSUBSW is PSUBSW64 on both quadwords.
func PSUBSW(d, a, b *V128) { d[0], d[1] = PSUBSW64(a[0], b[0]), PSUBSW64(a[1], b[1]) }

// PAVGW64 averages unsigned words, rounding up.
func PAVGW64(a, b uint64) uint64 { return sub(a|b, (a^b)>>1&^topW, topW) }

// PAVGW is PAVGW64 on both quadwords.
func PAVGW(d, a, b *V128) { d[0], d[1] = PAVGW64(a[0], b[0]), PAVGW64(a[1], b[1]) }

// PAND64 is a AND b.
func PAND64(a, b uint64) uint64 { return a & b }

// PAND is PAND64 on both quadwords.
func PAND(d, a, b *V128) { d[0], d[1] = PAND64(a[0], b[0]), PAND64(a[1], b[1]) }

// PANDN64 is NOT a AND b.
func PANDN64(a, b uint64) uint64 { return ^a & b }

// PANDN is PANDN64 on both quadwords.
func PANDN(d, a, b *V128) { d[0], d[1] = PANDN64(a[0], b[0]), PANDN64(a[1], b[1]) }

// POR64 is a OR b.
func POR64(a, b uint64) uint64 { return a | b }

// POR is POR64 on both quadwords.
func POR(d, a, b *V128) { d[0], d[1] = POR64(a[0], b[0]), POR64(a[1], b[1]) }

// PXOR64 is a XOR b.
func PXOR64(a, b uint64) uint64 { return a ^ b }

// PXOR is PXOR64 on both quadwords.
func PXOR(d, a, b *V128) { d[0], d[1] = PXOR64(a[0], b[0]), PXOR64(a[1], b[1]) }

// PMULLW64 multiplies words and keeps the low halves.
func PMULLW64(a, b uint64) uint64 {
	return uint64(uint16(uint16(a)*uint16(b))) |
		uint64(uint16(uint16(a>>16)*uint16(b>>16)))<<16 |
		uint64(uint16(uint16(a>>32)*uint16(b>>32)))<<32 |
		uint64(uint16(uint16(a>>48)*uint16(b>>48)))<<48
}

// PMULLW is PMULLW64 on both quadwords.
func PMULLW(d, a, b *V128) { d[0], d[1] = PMULLW64(a[0], b[0]), PMULLW64(a[1], b[1]) }

// PMULHW64 multiplies signed words and keeps the high halves.
func PMULHW64(a, b uint64) uint64 {
	return uint64(uint16(int32(int16(a))*int32(int16(b))>>16)) |
		uint64(uint16(int32(int16(a>>16))*int32(int16(b>>16))>>16))<<16 |
		uint64(uint16(int32(int16(a>>32))*int32(int16(b>>32))>>16))<<32 |
		uint64(uint16(int32(int16(a>>48))*int32(int16(b>>48))>>16))<<48
}

// PMULHW is PMULHW64 on both quadwords.
func PMULHW(d, a, b *V128) { d[0], d[1] = PMULHW64(a[0], b[0]), PMULHW64(a[1], b[1]) }

// PMULHUW64 multiplies unsigned words and keeps the high halves.
func PMULHUW64(a, b uint64) uint64 {
	return uint64(uint16(uint32(uint16(a))*uint32(uint16(b))>>16)) |
		uint64(uint16(uint32(uint16(a>>16))*uint32(uint16(b>>16))>>16))<<16 |
		uint64(uint16(uint32(uint16(a>>32))*uint32(uint16(b>>32))>>16))<<32 |
		uint64(uint16(uint32(uint16(a>>48))*uint32(uint16(b>>48))>>16))<<48
}

// PMULHUW is PMULHUW64 on both quadwords.
func PMULHUW(d, a, b *V128) { d[0], d[1] = PMULHUW64(a[0], b[0]), PMULHUW64(a[1], b[1]) }

// PMULHRSW64 multiplies signed words as fractions, rounding.
func PMULHRSW64(a, b uint64) uint64 {
	return uint64(uint16((int32(int16(a))*int32(int16(b))>>14+1)>>1)) |
		uint64(uint16((int32(int16(a>>16))*int32(int16(b>>16))>>14+1)>>1))<<16 |
		uint64(uint16((int32(int16(a>>32))*int32(int16(b>>32))>>14+1)>>1))<<32 |
		uint64(uint16((int32(int16(a>>48))*int32(int16(b>>48))>>14+1)>>1))<<48
}

// PMULHRSW is PMULHRSW64 on both quadwords.
func PMULHRSW(d, a, b *V128) { d[0], d[1] = PMULHRSW64(a[0], b[0]), PMULHRSW64(a[1], b[1]) }

// PMULLD64 multiplies doublewords and keeps the low halves.
func PMULLD64(a, b uint64) uint64 {
	return uint64(uint32(a)*uint32(b)) | (a>>32)*(b>>32)<<32
}

// PMULLD is PMULLD64 on both quadwords.
func PMULLD(d, a, b *V128) { d[0], d[1] = PMULLD64(a[0], b[0]), PMULLD64(a[1], b[1]) }

// PMULUDQ64 multiplies the low unsigned doublewords to a quadword.
func PMULUDQ64(a, b uint64) uint64 { return a & 0xffffffff * (b & 0xffffffff) }

// PMULUDQ is PMULUDQ64 on both quadwords.
func PMULUDQ(d, a, b *V128) { d[0], d[1] = PMULUDQ64(a[0], b[0]), PMULUDQ64(a[1], b[1]) }

// PMULDQ64 multiplies the low signed doublewords to a quadword.
func PMULDQ64(a, b uint64) uint64 { return uint64(int64(int32(a)) * int64(int32(b))) }

// PMULDQ is PMULDQ64 on both quadwords.
func PMULDQ(d, a, b *V128) { d[0], d[1] = PMULDQ64(a[0], b[0]), PMULDQ64(a[1], b[1]) }

// PMADDWD64 multiplies signed words and adds pairs of products.
func PMADDWD64(a, b uint64) uint64 { return uint64(madd(a, b)) | uint64(madd(a>>32, b>>32))<<32 }

// PMADDWD is PMADDWD64 on both quadwords.
func PMADDWD(d, a, b *V128) { d[0], d[1] = PMADDWD64(a[0], b[0]), PMADDWD64(a[1], b[1]) }

// PMADDUBSW64 multiplies unsigned bytes of a with signed bytes of b and adds pairs of
// products, saturating.
func PMADDUBSW64(a, b uint64) uint64 {
	return uint64(maddub(uint16(a), uint16(b))) | uint64(maddub(uint16(a>>16), uint16(b>>16)))<<16 |
		uint64(maddub(uint16(a>>32), uint16(b>>32)))<<32 | uint64(maddub(uint16(a>>48), uint16(b>>48)))<<48
}

// PMADDUBSW is PMADDUBSW64 on both quadwords.
func PMADDUBSW(d, a, b *V128) { d[0], d[1] = PMADDUBSW64(a[0], b[0]), PMADDUBSW64(a[1], b[1]) }

// PSADBW64 sums the absolute differences of unsigned bytes into a word.
func PSADBW64(a, b uint64) uint64 { return sumB(PSUBUSB64(a, b) | PSUBUSB64(b, a)) }

// PSADBW is PSADBW64 on both quadwords.
func PSADBW(d, a, b *V128) { d[0], d[1] = PSADBW64(a[0], b[0]), PSADBW64(a[1], b[1]) }

// PSIGNB64 negates, keeps or zeroes bytes of a by the sign of b.
func PSIGNB64(a, b uint64) uint64 {
	n := maskB(b & topB)
	return sub(a^n, n, topB) &^ maskB(zero(b, topB))
}

// PSIGNB is PSIGNB64 on both quadwords.
func PSIGNB(d, a, b *V128) { d[0], d[1] = PSIGNB64(a[0], b[0]), PSIGNB64(a[1], b[1]) }

// PSIGNW64 negates, keeps or zeroes words of a by the sign of b.
func PSIGNW64(a, b uint64) uint64 {
	n := maskW(b & topW)
	return sub(a^n, n, topW) &^ maskW(zero(b, topW))
}

// PSIGNW is PSIGNW64 on both quadwords.
func PSIGNW(d, a, b *V128) { d[0], d[1] = PSIGNW64(a[0], b[0]), PSIGNW64(a[1], b[1]) }

// PSIGND64 negates, keeps or zeroes doublewords of a by the sign of b.
func PSIGND64(a, b uint64) uint64 {
	n := maskD(b & topD)
	return sub(a^n, n, topD) &^ maskD(zero(b, topD))
}

// PSIGND is PSIGND64 on both quadwords.
func PSIGND(d, a, b *V128) { d[0], d[1] = PSIGND64(a[0], b[0]), PSIGND64(a[1], b[1]) }

// PABSB64 gives the absolute values of the bytes of b; a is not used.
func PABSB64(_, b uint64) uint64 {
	n := maskB(b & topB)
	return sub(b^n, n, topB)
}

// PABSB is PABSB64 on both quadwords.
func PABSB(d, _, b *V128) { d[0], d[1] = PABSB64(0, b[0]), PABSB64(0, b[1]) }

// PABSW64 gives the absolute values of the words of b; a is not used.
func PABSW64(_, b uint64) uint64 {
	n := maskW(b & topW)
	return sub(b^n, n, topW)
}

// PABSW is PABSW64 on both quadwords.
func PABSW(d, _, b *V128) { d[0], d[1] = PABSW64(0, b[0]), PABSW64(0, b[1]) }

// PABSD64 gives the absolute values of the doublewords of b; a is not used.
func PABSD64(_, b uint64) uint64 {
	n := maskD(b & topD)
	return sub(b^n, n, topD)
}

// PABSD is PABSD64 on both quadwords.
func PABSD(d, _, b *V128) { d[0], d[1] = PABSD64(0, b[0]), PABSD64(0, b[1]) }

func madd(a, b uint64) uint32 {
	return uint32(int32(int16(a))*int32(int16(b)) + int32(int16(a>>16))*int32(int16(b>>16)))
}

func maddub(a, b uint16) uint16 {
	return satW(int32(uint8(a))*int32(int8(b)) + int32(uint8(a>>8))*int32(int8(b>>8)))
}

// sumB adds the eight bytes of x.
func sumB(x uint64) uint64 {
	x = x&0x00ff00ff00ff00ff + x>>8&0x00ff00ff00ff00ff
	return x * lowW >> 48
}

// satW saturates a signed value to a word.
func satW(x int32) uint16 { return uint16(max(-32768, min(32767, x))) }

// MPSADBW gives eight sums of absolute differences of four bytes: of the eleven
// bytes of a that start at 4*imm[2], with the four of b that start at
// 4*imm[1:0]. The upper lane of a YMM takes imm>>3.
func MPSADBW(d, a, b *V128, imm uint8) {
	x, y := a.bytes(), b.bytes()
	o, p := int(imm>>2&1)*4, int(imm&3)*4
	var r V128
	for i := range 8 {
		s := 0
		for k := range 4 {
			v := int(x[o+i+k]) - int(y[p+k])
			s += max(v, -v)
		}
		r.SetWord(i, uint16(s))
	}
	*d = r
}

// PHMINPOSUW finds the least unsigned word of b: it goes to word 0, its index
// to word 1, zeroes above.
func PHMINPOSUW(d, _, b *V128) {
	m, at := b.Word(0), 0
	for i := 1; i < 8; i++ {
		if w := b.Word(i); w < m {
			m, at = w, i
		}
	}
	*d = V128{uint64(m) | uint64(at)<<16, 0}
}

// PHADDW64 adds pairs of words, those of a to the low half.
func PHADDW64(a, b uint64) uint64 {
	f := func(x uint64) uint64 { return uint64(uint16(x) + uint16(x>>16)) }
	return f(a) | f(a>>32)<<16 | f(b)<<32 | f(b>>32)<<48
}

// PHADDW adds pairs of words, those of a to the low half.
func PHADDW(d, a, b *V128) { d[0], d[1] = PHADDW64(a[0], a[1]), PHADDW64(b[0], b[1]) }

// PHSUBW64 subtracts pairs of words, those of a to the low half.
func PHSUBW64(a, b uint64) uint64 {
	f := func(x uint64) uint64 { return uint64(uint16(x) - uint16(x>>16)) }
	return f(a) | f(a>>32)<<16 | f(b)<<32 | f(b>>32)<<48
}

// PHSUBW subtracts pairs of words, those of a to the low half.
func PHSUBW(d, a, b *V128) { d[0], d[1] = PHSUBW64(a[0], a[1]), PHSUBW64(b[0], b[1]) }

// PHADDSW64 adds pairs of signed words, saturating, those of a to the low half.
func PHADDSW64(a, b uint64) uint64 {
	f := func(x uint64) uint64 { return uint64(satW(int32(int16(x)) + int32(int16(x>>16)))) }
	return f(a) | f(a>>32)<<16 | f(b)<<32 | f(b>>32)<<48
}

// PHADDSW adds pairs of signed words, saturating, those of a to the low half.
func PHADDSW(d, a, b *V128) { d[0], d[1] = PHADDSW64(a[0], a[1]), PHADDSW64(b[0], b[1]) }

// PHSUBSW64 subtracts pairs of signed words, saturating, those of a to the low half.
func PHSUBSW64(a, b uint64) uint64 {
	f := func(x uint64) uint64 { return uint64(satW(int32(int16(x)) - int32(int16(x>>16)))) }
	return f(a) | f(a>>32)<<16 | f(b)<<32 | f(b>>32)<<48
}

// PHSUBSW subtracts pairs of signed words, saturating, those of a to the low half.
func PHSUBSW(d, a, b *V128) { d[0], d[1] = PHSUBSW64(a[0], a[1]), PHSUBSW64(b[0], b[1]) }

// PHADDD64 adds pairs of doublewords, that of a to the low half.
func PHADDD64(a, b uint64) uint64 {
	return uint64(uint32(a)+uint32(a>>32)) | uint64(uint32(b)+uint32(b>>32))<<32
}

// PHADDD adds pairs of doublewords, those of a to the low half.
func PHADDD(d, a, b *V128) { d[0], d[1] = PHADDD64(a[0], a[1]), PHADDD64(b[0], b[1]) }

// PHSUBD64 subtracts pairs of doublewords, that of a to the low half.
func PHSUBD64(a, b uint64) uint64 {
	return uint64(uint32(a)-uint32(a>>32)) | uint64(uint32(b)-uint32(b>>32))<<32
}

// PHSUBD subtracts pairs of doublewords, those of a to the low half.
func PHSUBD(d, a, b *V128) { d[0], d[1] = PHSUBD64(a[0], a[1]), PHSUBD64(b[0], b[1]) }

// Shifts. The count of the vector forms is the whole low quadword of b; the
// forms named with I take it from an immediate. A count past the lane gives
// zeroes, or copies of the sign.

// PSLLW64 shifts 16-bit lanes left.
func PSLLW64(a, n uint64) uint64 {
	if n >= 16 {
		return 0
	}
	return a << n & (0xffff << n & 0xffff * lowW)
}

// PSRLW64 shifts 16-bit lanes right, with zeroes.
func PSRLW64(a, n uint64) uint64 {
	if n >= 16 {
		return 0
	}
	return a >> n & (0xffff >> n * lowW)
}

// PSRAW64 shifts 16-bit lanes right, with the sign.
func PSRAW64(a, n uint64) uint64 {
	n = min(n, 15)
	return a>>n&(0xffff>>n*lowW) | maskW(a&topW)&^(0xffff>>n*lowW)
}

// PSLLW is PSLLW64 on both quadwords, by the low quadword of b.
func PSLLW(d, a, b *V128) { n := b[0]; d[0], d[1] = PSLLW64(a[0], n), PSLLW64(a[1], n) }

// PSLLWI is PSLLW by an immediate.
func PSLLWI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSLLW64(a[0], n), PSLLW64(a[1], n) }

// PSRLW is PSRLW64 on both quadwords, by the low quadword of b.
func PSRLW(d, a, b *V128) { n := b[0]; d[0], d[1] = PSRLW64(a[0], n), PSRLW64(a[1], n) }

// PSRLWI is PSRLW by an immediate.
func PSRLWI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSRLW64(a[0], n), PSRLW64(a[1], n) }

// PSRAW is PSRAW64 on both quadwords, by the low quadword of b.
func PSRAW(d, a, b *V128) { n := b[0]; d[0], d[1] = PSRAW64(a[0], n), PSRAW64(a[1], n) }

// PSRAWI is PSRAW by an immediate.
func PSRAWI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSRAW64(a[0], n), PSRAW64(a[1], n) }

// PSLLD64 shifts 32-bit lanes left.
func PSLLD64(a, n uint64) uint64 {
	if n >= 32 {
		return 0
	}
	return a << n & (0xffffffff << n & 0xffffffff * lowD)
}

// PSRLD64 shifts 32-bit lanes right, with zeroes.
func PSRLD64(a, n uint64) uint64 {
	if n >= 32 {
		return 0
	}
	return a >> n & (0xffffffff >> n * lowD)
}

// PSRAD64 shifts 32-bit lanes right, with the sign.
func PSRAD64(a, n uint64) uint64 {
	n = min(n, 31)
	return a>>n&(0xffffffff>>n*lowD) | maskD(a&topD)&^(0xffffffff>>n*lowD)
}

// PSLLD is PSLLD64 on both quadwords, by the low quadword of b.
func PSLLD(d, a, b *V128) { n := b[0]; d[0], d[1] = PSLLD64(a[0], n), PSLLD64(a[1], n) }

// PSLLDI is PSLLD by an immediate.
func PSLLDI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSLLD64(a[0], n), PSLLD64(a[1], n) }

// PSRLD is PSRLD64 on both quadwords, by the low quadword of b.
func PSRLD(d, a, b *V128) { n := b[0]; d[0], d[1] = PSRLD64(a[0], n), PSRLD64(a[1], n) }

// PSRLDI is PSRLD by an immediate.
func PSRLDI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSRLD64(a[0], n), PSRLD64(a[1], n) }

// PSRAD is PSRAD64 on both quadwords, by the low quadword of b.
func PSRAD(d, a, b *V128) { n := b[0]; d[0], d[1] = PSRAD64(a[0], n), PSRAD64(a[1], n) }

// PSRADI is PSRAD by an immediate.
func PSRADI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSRAD64(a[0], n), PSRAD64(a[1], n) }

// PSLLQ64 shifts 64-bit lanes left.
func PSLLQ64(a, n uint64) uint64 { return a << n }

// PSRLQ64 shifts 64-bit lanes right, with zeroes.
func PSRLQ64(a, n uint64) uint64 { return a >> n }

// PSLLQ is PSLLQ64 on both quadwords, by the low quadword of b.
func PSLLQ(d, a, b *V128) { n := b[0]; d[0], d[1] = PSLLQ64(a[0], n), PSLLQ64(a[1], n) }

// PSLLQI is PSLLQ by an immediate.
func PSLLQI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSLLQ64(a[0], n), PSLLQ64(a[1], n) }

// PSRLQ is PSRLQ64 on both quadwords, by the low quadword of b.
func PSRLQ(d, a, b *V128) { n := b[0]; d[0], d[1] = PSRLQ64(a[0], n), PSRLQ64(a[1], n) }

// PSRLQI is PSRLQ by an immediate.
func PSRLQI(d, a *V128, imm uint8) { n := uint64(imm); d[0], d[1] = PSRLQ64(a[0], n), PSRLQ64(a[1], n) }

// PSLLDQ shifts the register left by imm bytes.
func PSLLDQ(d, a *V128, imm uint8) {
	n := uint(imm) * 8
	if n >= 64 {
		*d = V128{0, a[0] << (n - 64)}
	} else {
		*d = V128{a[0] << n, a[1]<<n | a[0]>>(64-n)}
	}
}

// PSRLDQ shifts the register right by imm bytes.
func PSRLDQ(d, a *V128, imm uint8) {
	n := uint(imm) * 8
	if n >= 64 {
		*d = V128{a[1] >> (n - 64), 0}
	} else {
		*d = V128{a[0]>>n | a[1]<<(64-n), a[1] >> n}
	}
}

// VPSLLVD shifts doublewords left, each by its own count in b.
func VPSLLVD(d, a, b *V128) {
	f := func(x, y uint32) uint32 { return x << y }
	d[0], d[1] = mapD(a[0], b[0], f), mapD(a[1], b[1], f)
}

// VPSRLVD shifts doublewords right, each by its own count in b.
func VPSRLVD(d, a, b *V128) {
	f := func(x, y uint32) uint32 { return x >> y }
	d[0], d[1] = mapD(a[0], b[0], f), mapD(a[1], b[1], f)
}

// VPSRAVD shifts doublewords right, with the sign, each by its own count in b.
func VPSRAVD(d, a, b *V128) {
	f := func(x, y uint32) uint32 { return uint32(int32(x) >> y) }
	d[0], d[1] = mapD(a[0], b[0], f), mapD(a[1], b[1], f)
}

// VPSLLVQ shifts quadwords left, each by its own count in b.
func VPSLLVQ(d, a, b *V128) { d[0], d[1] = a[0]<<b[0], a[1]<<b[1] }

// VPSRLVQ shifts quadwords right, each by its own count in b.
func VPSRLVQ(d, a, b *V128) { d[0], d[1] = a[0]>>b[0], a[1]>>b[1] }

// PTEST says whether a AND b is zero (ZF) and whether NOT a AND b is (CF).
func PTEST(a, b *V128) (zf, cf bool) {
	return a[0]&b[0]|a[1]&b[1] == 0, b[0]&^a[0]|b[1]&^a[1] == 0
}

// VTESTPS is PTEST on the sign bits of doublewords.
func VTESTPS(a, b *V128) (zf, cf bool) {
	return (a[0]&b[0]|a[1]&b[1])&topD == 0, (b[0]&^a[0]|b[1]&^a[1])&topD == 0
}

// VTESTPD is PTEST on the sign bits of quadwords.
func VTESTPD(a, b *V128) (zf, cf bool) {
	return (a[0]&b[0]|a[1]&b[1])>>63 == 0, (b[0]&^a[0]|b[1]&^a[1])>>63 == 0
}

// PMOVMSKB64 gathers the sign bits of eight bytes.
func PMOVMSKB64(a uint64) uint32 { return uint32(a & topB >> 7 * 0x0102040810204080 >> 56) }

// PMOVMSKB gathers the sign bits of sixteen bytes.
func PMOVMSKB(a *V128) uint32 { return PMOVMSKB64(a[0]) | PMOVMSKB64(a[1])<<8 }

// MOVMSKPS gathers the sign bits of four doublewords.
func MOVMSKPS(a *V128) uint32 {
	return uint32(a[0]>>31&1 | a[0]>>63<<1 | a[1]>>31&1<<2 | a[1]>>63<<3)
}

// MOVMSKPD gathers the sign bits of two quadwords.
func MOVMSKPD(a *V128) uint32 { return uint32(a[0]>>63 | a[1]>>63<<1) }

// PDEP puts the low bits of src where mask has ones, from the low end.
func PDEP(src, mask uint64) (r uint64) {
	for ; mask != 0; mask &= mask - 1 {
		r |= mask & -mask & -(src & 1)
		src >>= 1
	}
	return r
}

// PEXT gathers the bits of src where mask has ones at the low end.
func PEXT(src, mask uint64) (r uint64) {
	for i := 0; mask != 0; i++ {
		r |= src >> bits.TrailingZeros64(mask) & 1 << i
		mask &= mask - 1
	}
	return r
}
