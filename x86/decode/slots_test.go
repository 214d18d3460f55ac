package decode_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"

	"hotblock/x86/decode"
)

// random makes the bytes of a random instruction of an encoding and decodes them.
// ok is false where chance asked for what the encoding does not allow, or made
// another instruction.
func random(r *rand.Rand, e *decode.Encoding, mode decode.Mode) (code []byte, x decode.Inst, ok bool) {
	modrm := uint8(r.Uint32())
	switch {
	case e.Mod == 'r', e.Mod == 0 && r.IntN(2) == 0:
		modrm |= 0xc0
	case modrm >= 0xc0:
		modrm &^= 0x40 << r.IntN(2)
	}
	if e.VSIB {
		modrm = modrm&^7 | 4
	}
	if e.Reg >= 0 {
		modrm = modrm&^0x38 | uint8(e.Reg)<<3
	}
	if e.RM >= 0 {
		modrm = modrm&^7 | uint8(e.RM)
	}
	w, rex := uint8(r.IntN(2)), uint8(r.IntN(8))
	if v := e.Attr.W1(); v >= 0 {
		w = uint8(v)
	}
	if mode != decode.Mode64 && e.Map[0] != 'v' {
		w, rex = 0, 0
	} else if mode != decode.Mode64 {
		rex = 0
	}
	if r.IntN(8) == 0 {
		code = append(code, []byte{0x64, 0x65, 0x2e, 0x36}[r.IntN(4)])
	}
	if r.IntN(8) == 0 {
		code = append(code, 0x67)
	}
	if e.Map[0] == 'v' {
		l, vvvv := uint8(r.IntN(2)), uint8(15)
		if v := e.Attr.L1(); v >= 0 {
			l = uint8(v)
		}
		if e.Attr.UsesVvvv() {
			vvvv = uint8(r.IntN(16))
		}
		pp := uint8(strings.IndexByte("\x00\x66\xf3\xf2", e.Prefix))
		if e.Prefix == 1 {
			pp = 0
		}
		if e.Map == "v1" && rex&3 == 0 && w == 0 {
			code = append(code, 0xc5, ^rex&4<<5|vvvv<<3|l<<2|pp)
		} else {
			code = append(code, 0xc4, ^rex<<5|e.Map[1]-'0', w<<7|vvvv<<3|l<<2|pp)
		}
	} else {
		if e.Prefix == 0 && r.IntN(3) == 0 || e.Prefix == 0x66 || e.Prefix > 0x66 && r.IntN(6) == 0 {
			code = append(code, 0x66)
		}
		if e.Prefix > 0x66 {
			code = append(code, e.Prefix)
		} else if e.Prefix == 0 && r.IntN(6) == 0 {
			code = append(code, 0xf2+byte(r.IntN(2)))
		}
		if e.Attr&decode.LockOK != 0 && e.HasRM && modrm < 0xc0 && r.IntN(4) == 0 {
			code = append(code, 0xf0)
		}
		if mode == decode.Mode64 {
			if rex |= w << 3; rex != 0 || r.IntN(4) == 0 {
				code = append(code, 0x40|rex)
			}
		}
		switch e.Map {
		case "0f":
			code = append(code, 0x0f)
		case "38":
			code = append(code, 0x0f, 0x38)
		case "3a":
			code = append(code, 0x0f, 0x3a)
		}
	}
	code = append(code, e.Opcode)
	if e.HasRM {
		code = append(code, modrm)
	}
	small := r.IntN(2) == 0
	for i := range 16 {
		b := byte(r.Uint32())
		if small && i > 1 {
			b = 0
		}
		code = append(code, b)
	}
	if decode.Decode(code, mode, &x) != nil || x.Op != e.Op {
		return nil, x, false
	}
	return code[:x.Len], x, true
}

// field is an operand's number in the encoding.
func field(a *decode.Arg) uint8 {
	if a.Kind == decode.GPRHi {
		return a.Reg + 4
	}
	return a.Reg
}

// rebuild encodes an instruction from its decoding alone.
func rebuild(x *decode.Inst) []byte {
	var out, imm []byte
	var mem bool
	reg, rm, vvvv, opcode := x.ModRM>>3&7, x.ModRM&7, uint8(0), x.Opcode
	var rexX, rexB uint8
	le := func(v uint64, n uint8) {
		for range n {
			imm = append(imm, byte(v))
			v >>= 8
		}
	}
	for i := range x.NArgs {
		a := &x.Args[i]
		switch a.Slot {
		case decode.SlotReg:
			reg = field(a)
		case decode.SlotRM:
			if a.Kind == decode.Mem {
				mem = true
			} else {
				rm = field(a)
				rexB = rm >> 3
			}
		case decode.SlotVvvv:
			vvvv = a.Reg
		case decode.SlotOpcode:
			opcode = opcode&^7 | field(a)&7
			rexB = field(a) >> 3
		case decode.SlotIs4:
			le(uint64(a.Reg)<<4, 1)
		case decode.SlotImm:
			n := x.ImmLen - uint8(len(imm))
			switch a.Kind {
			case decode.Mem:
				le(uint64(x.Disp), n)
			case decode.Far:
				le(x.Imm, n-2)
				le(x.Imm2, 2)
			case decode.Imm2:
				le(x.Imm2, n)
			default:
				if i+1 < x.NArgs && x.Args[i+1].Kind == decode.Imm2 {
					n--
				}
				le(x.Imm, n)
			}
		}
	}
	var tail []byte
	switch {
	case !x.HasModRM:
	case !mem:
		tail = []byte{0xc0 | reg&7<<3 | rm&7}
	case x.AddrSize == 2:
		tail = []byte{x.ModRM}
		if x.ModRM>>6 == 1 {
			tail = append(tail, byte(x.Disp))
		} else if x.ModRM>>6 == 2 || x.ModRM&7 == 6 {
			tail = append(tail, byte(x.Disp), byte(x.Disp>>8))
		}
		tail[0] = tail[0]&^0x38 | reg&7<<3
	default:
		index, sib := x.Index, false
		if x.VIndex.Kind != decode.None {
			index = x.VIndex.Reg
		}
		mod, disp := uint8(2), uint8(4)
		switch {
		case x.Base == decode.NoReg || x.Base == decode.RIPReg:
			mod = 0
			sib = x.Base == decode.NoReg && x.Mode == decode.Mode64
		case x.Disp == 0 && x.Base&7 != 5:
			mod, disp = 0, 0
		case x.Disp == int64(int8(x.Disp)):
			mod, disp = 1, 1
		}
		base := uint8(5)
		if x.Base < decode.NoReg {
			base = x.Base
			rexB = base >> 3
		}
		if sib = sib || index != decode.NoReg || base&7 == 4; sib {
			if index == decode.NoReg {
				index = 4
			}
			rexX = index >> 3
			tail = []byte{mod<<6 | reg&7<<3 | 4, x.Scale<<6 | index&7<<3 | base&7}
		} else {
			tail = []byte{mod<<6 | reg&7<<3 | base&7}
		}
		for i := range disp {
			tail = append(tail, byte(x.Disp>>(8*i)))
		}
	}
	if x.SegOver {
		out = append(out, []byte{0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}[x.Seg])
	}
	if natural := uint8(x.Mode) / 8; x.AddrSize != natural {
		out = append(out, 0x67)
	}
	w := uint8(0)
	if x.RexW {
		w = 8
	}
	rex := w | reg>>3<<2 | rexX<<1 | rexB
	switch {
	case !x.Vex:
		if x.Prefix66 {
			out = append(out, 0x66)
		}
		if x.Rep != 0 {
			out = append(out, x.Rep)
		}
		if x.Lock {
			out = append(out, 0xf0)
		}
		if x.HasRex || rex != 0 {
			out = append(out, 0x40|rex)
		}
		out = append(out, [][]byte{{}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}}[x.Map]...)
	case x.Map == 1 && rex&^4 == 0:
		out = append(out, 0xc5, ^rex&4<<5|(^vvvv&15)<<3|x.VexL<<2|x.PP)
	default:
		out = append(out, 0xc4, ^rex<<5|x.Map, w<<4|(^vvvv&15)<<3|x.VexL<<2|x.PP)
	}
	out = append(out, opcode)
	out = append(out, tail...)
	return append(out, imm...)
}

// TestRebuild checks that a decoding says all there is to know of the bytes: what
// is encoded from it decodes to the same.
func TestRebuild(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, mode := range []decode.Mode{decode.Mode64, decode.Mode32, decode.Mode16} {
		for _, e := range decode.Encodings() {
			if mode == decode.Mode64 && e.Attr&decode.Not64 != 0 || mode != decode.Mode64 && e.Attr&decode.Only64 != 0 {
				continue
			}
			if mode != decode.Mode64 && e.Map[0] != 'v' && e.Attr.W1() == 1 {
				continue
			}
			tried := 0
			for range 400 {
				code, x, ok := random(r, &e, mode)
				if !ok {
					continue
				}
				if tried++; tried > 40 {
					break
				}
				again := rebuild(&x)
				var y decode.Inst
				err := decode.Decode(append(bytes.Clone(again), make([]byte, 15)...), mode, &y)
				if err != nil || int(y.Len) != len(again) {
					t.Errorf("%d-bit %v [% x] became [% x]: %v", mode, x.Op, code, again, err)
					break
				}
				// The same address may have a shorter encoding; nothing else differs.
				want := x
				y.Len, want.Len = 0, 0
				if x.Index == decode.NoReg && x.VIndex.Kind == decode.None {
					y.Scale, want.Scale = 0, 0
				}
				if x.HasMem() || e.Attr&decode.RegOnly != 0 {
					y.ModRM, want.ModRM = y.ModRM>>3&7, want.ModRM>>3&7
				}
				if y != want {
					t.Errorf("%d-bit %v [% x] became [% x]:\n%+v\n%+v", mode, x.Op, code, again, want, y)
					break
				}
			}
			if tried == 0 {
				t.Errorf("%d-bit %v (map %s, %02x) was not tried", mode, e.Op, e.Map, e.Opcode)
			}
		}
	}
}

// TestRebuildBytes checks that what has only one shortest encoding is encoded
// like that, for each slot and map.
func TestRebuildBytes(t *testing.T) {
	for _, s := range []string{
		"4801d8",               // add rax,rbx
		"4d0fb6a4cd78563412",   // movzx r12,byte [r13+rcx*8+0x12345678]
		"88e0",                 // mov al,ah
		"4088f0",               // mov al,sil
		"418a4424f0",           // mov al,[r12-0x10]
		"498b0424",             // mov rax,[r12]
		"498b4500",             // mov rax,[r13+0]
		"8b0425f0debc0a",       // mov eax,[0xabcdef0]
		"8b0578563412",         // mov eax,[rip+0x12345678]
		"8b04fd00000000",       // mov eax,[rdi*8]
		"64488b042528000000",   // mov rax,fs:[0x28]
		"4153",                 // push r11
		"410fc9",               // bswap r9d
		"49bb8877665544332211", // mov r11,0x1122334455667788
		"48a18877665544332211", // mov rax,[0x1122334455667788]
		"6683c0ff",             // add ax,-1
		"4881c178563412",       // add rcx,0x12345678
		"f0480fb10e",           // lock cmpxchg [rsi],rcx
		"f348a5",               // rep movsq
		"c8341205",             // enter 0x1234,5
		"41d3e0",               // shl r8d,cl
		"0f8478563412",         // je
		"66440f6fc7",           // movdqa xmm8,xmm7
		"f3410f5ec1",           // divss xmm0,xmm9
		"660f3a0fc108",         // palignr xmm0,xmm1,8
		"660f3814d1",           // blendvps xmm2,xmm1,xmm0
		"f2480f38f1c1",         // crc32 rax,rcx
		"c5f458c2",             // vaddps ymm0,ymm1,ymm2
		"c4c17458c0",           // vaddps ymm0,ymm1,ymm8
		"c57458c2",             // vaddps ymm8,ymm1,ymm2
		"c4e37d4b0d7856341230", // vblendvpd ymm1,ymm0,[rip+0x12345678],ymm3
		"c462e8f2c1",           // andn r8,rdx,rcx
		"c4e26d9244cb20",       // vgatherdps ymm0,[rbx+ymm1*8+0x20],ymm2
		"d9c3",                 // fld st(3)
		"0f01d0",               // xgetbv
		"440f22c0",             // mov cr8,rax
		"8ee0",                 // mov fs,eax
	} {
		code, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		var x decode.Inst
		if err := decode.Decode(code, decode.Mode64, &x); err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		if again := rebuild(&x); !bytes.Equal(code, again) {
			t.Errorf("%v %s became %x", x.Op, s, again)
		}
	}
}
