package simd

import "math/bits"

// PCMPESTRI, PCMPESTRM, PCMPISTRI and PCMPISTRM (SDM volume 2, 4.1).
//
// The immediate chooses in turn: how the operands divide into characters (bits
// 1:0: unsigned or signed, bytes or words), which comparisons of the
// characters of a with those of b make up a bit for each character of b (bits
// 3:2), whether these bits are inverted (5:4), and how they are shown (6).
// Characters past the end of a string are not valid; what a comparison with one
// gives depends on the aggregation.

// Flags in a StrResult, as in EFLAGS.
const (
	strCF = 1 << 0
	strZF = 1 << 6
	strSF = 1 << 7
	strOF = 1 << 11
)

// StrResult is what the string comparisons compute: the index for ECX, the mask
// for XMM0, and CF, ZF, SF and OF at their places in EFLAGS (AF and PF are
// cleared).
type StrResult struct {
	Index uint32
	Mask  V128
	Flags uint32
}

// PCMPISTR compares strings that end at the first zero character.
func PCMPISTR(a, b *V128, imm uint8) StrResult {
	return pcmpstr(a, b, implicit(a, imm), implicit(b, imm), imm)
}

// PCMPESTR compares strings of given lengths: la is EAX or, with REX.W, RAX,
// sign-extended; lb is EDX or RDX.
func PCMPESTR(a, b *V128, la, lb int64, imm uint8) StrResult {
	n := int64(16) >> (imm & 1)
	clamp := func(l int64) int {
		if l < 0 {
			l = -l
		}
		if l < 0 || l > n { // the least int64 has no negative
			l = n
		}
		return int(l)
	}
	return pcmpstr(a, b, clamp(la), clamp(lb), imm)
}

func implicit(v *V128, imm uint8) int {
	if imm&1 != 0 {
		for i := range 8 {
			if v.Word(i) == 0 {
				return i
			}
		}
		return 8
	}
	for i, q := range v {
		if z := zero(q, topB); z != 0 {
			return i*8 + bits.TrailingZeros64(z)/8
		}
	}
	return 16
}

// chars widens the characters of v.
func chars(v *V128, imm uint8) (c [16]int32) {
	switch imm & 3 {
	case 0:
		for i := range c {
			c[i] = int32(v.Byte(i))
		}
	case 1:
		for i := range 8 {
			c[i] = int32(v.Word(i))
		}
	case 2:
		for i := range c {
			c[i] = int32(int8(v.Byte(i)))
		}
	case 3:
		for i := range 8 {
			c[i] = int32(int16(v.Word(i)))
		}
	}
	return
}

func pcmpstr(av, bv *V128, la, lb int, imm uint8) (r StrResult) {
	n := 16 >> (imm & 1)
	all := uint32(1)<<n - 1
	a, b := chars(av, imm), chars(bv, imm)
	var res uint32
	switch imm >> 2 & 3 {
	case 0: // equal any: is the character in the set a?
		for j := range lb {
			for i := range la {
				if a[i] == b[j] {
					res |= 1 << j
					break
				}
			}
		}
	case 1: // ranges: is it in one of the ranges that pairs in a give?
		for j := range lb {
			for i := 0; i+1 < la; i += 2 {
				if a[i] <= b[j] && b[j] <= a[i+1] {
					res |= 1 << j
					break
				}
			}
		}
	case 2: // equal each: the characters at the same place, ends included
		for j := range n {
			if j < la && j < lb && a[j] == b[j] || j >= la && j >= lb {
				res |= 1 << j
			}
		}
	case 3: // equal ordered: does a start here?
		for j := range n {
			ok := true
			for i := 0; i < la && i+j < n; i++ {
				if i+j >= lb || a[i] != b[i+j] {
					ok = false
					break
				}
			}
			if ok {
				res |= 1 << j
			}
		}
	}
	switch imm >> 4 & 3 {
	case 1:
		res ^= all
	case 3:
		res ^= 1<<lb - 1
	}
	if res != 0 {
		r.Flags |= strCF
	}
	if lb < n {
		r.Flags |= strZF
	}
	if la < n {
		r.Flags |= strSF
	}
	if res&1 != 0 {
		r.Flags |= strOF
	}
	switch {
	case res == 0:
		r.Index = uint32(n)
	case imm&0x40 == 0:
		r.Index = uint32(bits.TrailingZeros32(res))
	default:
		r.Index = uint32(31 - bits.LeadingZeros32(res))
	}
	if imm&0x40 == 0 {
		r.Mask[0] = uint64(res)
	} else if n == 8 {
		r.Mask = V128{wordMask[res&15], wordMask[res>>4]}
	} else {
		for i := range 2 {
			// Each bit to the low bit of its byte.
			x := uint64(res>>(8*i)&0xff) * lowB & 0x8040201008040201
			r.Mask[i] = maskB(^zero(x, topB) & topB)
		}
	}
	return
}
