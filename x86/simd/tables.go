package simd

// The functions by opcode. In the maps 0F and 0F 38 most integer instructions
// exist without a prefix, on MMX registers, and with 66, on XMM registers; a VEX
// form with pp = 01 has the same opcode. a is the first source (the destination
// of the legacy forms, VEX.vvvv else), b is r/m.
//
// Not in the tables are moves, PINSR and PEXTR, PMOVMSKB and MOVMSK, PTEST and
// VTEST, the string comparisons, and what crosses lanes.
var (
	// MMX0F are the MMX forms in map 0F, no prefix.
	MMX0F = [256]Bin64{
		0x60: PUNPCKLBW64, 0x61: PUNPCKLWD64, 0x62: PUNPCKLDQ64, 0x63: PACKSSWB64,
		0x64: PCMPGTB64, 0x65: PCMPGTW64, 0x66: PCMPGTD64, 0x67: PACKUSWB64,
		0x68: PUNPCKHBW64, 0x69: PUNPCKHWD64, 0x6a: PUNPCKHDQ64, 0x6b: PACKSSDW64,
		0x74: PCMPEQB64, 0x75: PCMPEQW64, 0x76: PCMPEQD64,
		0xd1: PSRLW64, 0xd2: PSRLD64, 0xd3: PSRLQ64, 0xd4: PADDQ64, 0xd5: PMULLW64,
		0xd8: PSUBUSB64, 0xd9: PSUBUSW64, 0xda: PMINUB64, 0xdb: PAND64,
		0xdc: PADDUSB64, 0xdd: PADDUSW64, 0xde: PMAXUB64, 0xdf: PANDN64,
		0xe0: PAVGB64, 0xe1: PSRAW64, 0xe2: PSRAD64, 0xe3: PAVGW64, 0xe4: PMULHUW64, 0xe5: PMULHW64,
		0xe8: PSUBSB64, 0xe9: PSUBSW64, 0xea: PMINSW64, 0xeb: POR64,
		0xec: PADDSB64, 0xed: PADDSW64, 0xee: PMAXSW64, 0xef: PXOR64,
		0xf1: PSLLW64, 0xf2: PSLLD64, 0xf3: PSLLQ64, 0xf4: PMULUDQ64, 0xf5: PMADDWD64, 0xf6: PSADBW64,
		0xf8: PSUBB64, 0xf9: PSUBW64, 0xfa: PSUBD64, 0xfb: PSUBQ64,
		0xfc: PADDB64, 0xfd: PADDW64, 0xfe: PADDD64,
	}
	// MMX0F38 are the MMX forms in map 0F 38, no prefix.
	MMX0F38 = [256]Bin64{
		0x00: PSHUFB64, 0x01: PHADDW64, 0x02: PHADDD64, 0x03: PHADDSW64, 0x04: PMADDUBSW64,
		0x05: PHSUBW64, 0x06: PHSUBD64, 0x07: PHSUBSW64,
		0x08: PSIGNB64, 0x09: PSIGNW64, 0x0a: PSIGND64, 0x0b: PMULHRSW64,
		0x1c: PABSB64, 0x1d: PABSW64, 0x1e: PABSD64,
	}
	// SSE0F are the XMM forms in map 0F with prefix 66. The shifts by a register
	// (D1-D3, E1-E2, F1-F3) take their count from b's low quadword: the upper lane
	// of a YMM takes it from the lower half of r/m, which is an XMM. ANDPS and its
	// like (54-57), UNPCKL and UNPCKH (14, 15) serve both no prefix and 66; but
	// without a prefix UNPCK is PUNPCKLDQ and PUNPCKHDQ.
	SSE0F = [256]Bin{
		0x14: PUNPCKLQDQ, 0x15: PUNPCKHQDQ, 0x54: PAND, 0x55: PANDN, 0x56: POR, 0x57: PXOR,
		0x60: PUNPCKLBW, 0x61: PUNPCKLWD, 0x62: PUNPCKLDQ, 0x63: PACKSSWB,
		0x64: PCMPGTB, 0x65: PCMPGTW, 0x66: PCMPGTD, 0x67: PACKUSWB,
		0x68: PUNPCKHBW, 0x69: PUNPCKHWD, 0x6a: PUNPCKHDQ, 0x6b: PACKSSDW, 0x6c: PUNPCKLQDQ, 0x6d: PUNPCKHQDQ,
		0x74: PCMPEQB, 0x75: PCMPEQW, 0x76: PCMPEQD,
		0xd1: PSRLW, 0xd2: PSRLD, 0xd3: PSRLQ, 0xd4: PADDQ, 0xd5: PMULLW,
		0xd8: PSUBUSB, 0xd9: PSUBUSW, 0xda: PMINUB, 0xdb: PAND,
		0xdc: PADDUSB, 0xdd: PADDUSW, 0xde: PMAXUB, 0xdf: PANDN,
		0xe0: PAVGB, 0xe1: PSRAW, 0xe2: PSRAD, 0xe3: PAVGW, 0xe4: PMULHUW, 0xe5: PMULHW,
		0xe8: PSUBSB, 0xe9: PSUBSW, 0xea: PMINSW, 0xeb: POR,
		0xec: PADDSB, 0xed: PADDSW, 0xee: PMAXSW, 0xef: PXOR,
		0xf1: PSLLW, 0xf2: PSLLD, 0xf3: PSLLQ, 0xf4: PMULUDQ, 0xf5: PMADDWD, 0xf6: PSADBW,
		0xf8: PSUBB, 0xf9: PSUBW, 0xfa: PSUBD, 0xfb: PSUBQ,
		0xfc: PADDB, 0xfd: PADDW, 0xfe: PADDD,
	}
	// SSE0F38 are the XMM forms in map 0F 38 with prefix 66. 0C and 0D exist only
	// with VEX. PABS, PHMINPOSUW and AESIMC use only b. The AES instructions have
	// a VEX.256 form only where CPUID has VAES.
	SSE0F38 = [256]Bin{
		0x00: PSHUFB, 0x01: PHADDW, 0x02: PHADDD, 0x03: PHADDSW, 0x04: PMADDUBSW,
		0x05: PHSUBW, 0x06: PHSUBD, 0x07: PHSUBSW,
		0x08: PSIGNB, 0x09: PSIGNW, 0x0a: PSIGND, 0x0b: PMULHRSW, 0x0c: VPERMILPS, 0x0d: VPERMILPD,
		0x1c: PABSB, 0x1d: PABSW, 0x1e: PABSD,
		0x28: PMULDQ, 0x29: PCMPEQQ, 0x2b: PACKUSDW,
		0x37: PCMPGTQ, 0x38: PMINSB, 0x39: PMINSD, 0x3a: PMINUW, 0x3b: PMINUD,
		0x3c: PMAXSB, 0x3d: PMAXSD, 0x3e: PMAXUW, 0x3f: PMAXUD, 0x40: PMULLD, 0x41: PHMINPOSUW,
		0xdb: AESIMC, 0xdc: AESENC, 0xdd: AESENCLAST, 0xde: AESDEC, 0xdf: AESDECLAST,
	}
	// VarShift are VPSRLV, VPSRAV and VPSLLV (VEX.66.0F38 45-47) by opcode-0x45 and
	// VEX.W.
	VarShift = [3][2]Bin{{VPSRLVD, VPSRLVQ}, {VPSRAVD, nil}, {VPSLLVD, VPSLLVQ}}
	// SHA0F38 are the SHA instructions in map 0F 38 without prefix, by opcode-0xC8,
	// but for CB, which is SHA256RNDS2.
	SHA0F38 = [6]Bin{SHA1NEXTE, SHA1MSG1, SHA1MSG2, nil, SHA256MSG1, SHA256MSG2}
	// Ext are PMOVSX and PMOVZX (66 0F 38 20-25 and 30-35) by opcode bits 5:4 minus
	// 2 and 2:0, and ExtWide their YMM forms.
	Ext = [2][6]Un{
		{PMOVSXBW, PMOVSXBD, PMOVSXBQ, PMOVSXWD, PMOVSXWQ, PMOVSXDQ},
		{PMOVZXBW, PMOVZXBD, PMOVZXBQ, PMOVZXWD, PMOVZXWQ, PMOVZXDQ},
	}
	ExtWide = [2][6]Wide{
		{VPMOVSXBW, VPMOVSXBD, VPMOVSXBQ, VPMOVSXWD, VPMOVSXWQ, VPMOVSXDQ},
		{VPMOVZXBW, VPMOVZXBD, VPMOVZXBQ, VPMOVZXWD, VPMOVZXWQ, VPMOVZXDQ},
	}
	// ShiftW, ShiftD and ShiftQ are groups 12, 13 and 14 (66 0F 71, 72, 73) by
	// ModRM.reg.
	ShiftW = [8]UnImm{2: PSRLWI, 4: PSRAWI, 6: PSLLWI}
	ShiftD = [8]UnImm{2: PSRLDI, 4: PSRADI, 6: PSLLDI}
	ShiftQ = [8]UnImm{2: PSRLQI, 3: PSRLDQ, 6: PSLLQI, 7: PSLLDQ}
	// ShiftW64 and so on are these groups without a prefix, on MMX registers.
	ShiftW64 = [8]Bin64{2: PSRLW64, 4: PSRAW64, 6: PSLLW64}
	ShiftD64 = [8]Bin64{2: PSRLD64, 4: PSRAD64, 6: PSLLD64}
	ShiftQ64 = [8]Bin64{2: PSRLQ64, 6: PSLLQ64}
	// SSE0F3A are the XMM forms in map 0F 3A with prefix 66 that take two sources
	// and an immediate.
	SSE0F3A = [256]BinImmOp{
		0x02: {VPBLENDD, 4}, // VEX only
		0x0c: {VPBLENDD, 4}, 0x0d: {BLENDPD, 2}, 0x0e: {PBLENDW, 0}, 0x0f: {PALIGNR, 0},
		0x21: {INSERTPS, 0}, 0x42: {MPSADBW, 3}, 0x44: {PCLMULQDQ, 0},
	}
	// BlendV are the blends by XMM0 (66 0F 38 10, 14, 15) or by a fourth register
	// (VEX.66.0F3A 4C, 4A, 4B).
	BlendV = map[uint8]Tern{
		0x10: PBLENDVB, 0x14: BLENDVPS, 0x15: BLENDVPD,
		0x4c: PBLENDVB, 0x4a: BLENDVPS, 0x4b: BLENDVPD,
	}
)

// BinImmOp is a function of two sources and an immediate. The upper lane of a YMM
// takes the immediate shifted right by Shift bits.
type BinImmOp struct {
	Do    BinImm
	Shift uint8
}
