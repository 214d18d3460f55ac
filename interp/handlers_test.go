package interp

import (
	"testing"

	"hotblock/x86/decode"
)

// TestHandlers checks that every form of every vector instruction in the decode
// tables has a handler.
func TestHandlers(t *testing.T) {
	c := &CPU{mode: mode64}
	for _, e := range decode.Encodings() {
		h := &handlers[e.Op]
		if h.vec == nil {
			if h.fn == nil && e.Map != "1" { // x87 is the one-byte map's business
				t.Errorf("%v has no handler", e.Op)
			}
			continue
		}
		for _, modrm := range []byte{0xd1, 0x0c} { // a register and memory with SIB
			for l := range byte(2) {
				code, ok := assemble(e, modrm, l)
				if !ok {
					continue
				}
				var x decode.Inst
				if err := decode.Decode(code, decode.Mode64, &x); err != nil || x.Op != e.Op {
					continue
				}
				var o Op
				c.vecOperands(&o, &x)
				if h.vec.pick(&x) == nil {
					t.Errorf("%v (% x): no handler for this form", e.Op, code)
				}
			}
		}
	}
}

// assemble makes an instruction of an encoding, with immediates that are zero.
func assemble(e decode.Encoding, modrm, l byte) (code []byte, ok bool) {
	if e.Reg >= 0 {
		modrm = modrm&^0x38 | byte(e.Reg)<<3
	}
	if e.RM >= 0 {
		modrm = modrm&^7 | byte(e.RM)
	}
	if e.Mod == 'r' && modrm < 0xc0 || e.Mod == 'm' && modrm >= 0xc0 {
		return nil, false
	}
	w := byte(max(e.Attr.W1(), 0))
	if n := e.Attr.L1(); n >= 0 && n != int(l) {
		return nil, false
	}
	pp := map[uint8]byte{0: 0, 1: 0, 0x66: 1, 0xf3: 2, 0xf2: 3}[e.Prefix]
	if e.Map[0] == 'v' {
		code = []byte{0xc4, 0xe0 | e.Map[1] - '0', w<<7 | 0x78 | l<<2 | pp, e.Opcode}
	} else {
		if e.Prefix > 1 {
			code = append(code, e.Prefix)
		}
		if w != 0 {
			code = append(code, 0x48)
		}
		switch e.Map {
		case "0f":
			code = append(code, 0x0f)
		case "38", "3a":
			code = append(code, 0x0f, map[string]byte{"38": 0x38, "3a": 0x3a}[e.Map])
		}
		code = append(code, e.Opcode)
	}
	return append(code, modrm, 0x1b, 0, 0, 0, 0, 0, 0, 0, 0), true
}
