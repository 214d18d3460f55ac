package decode_test

import (
	"testing"

	"hotblock/x86/decode"
)

func BenchmarkEffects(b *testing.B) {
	for name, code := range map[string][]byte{
		"add m,r":  {0x48, 0x01, 0x84, 0x8b, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0},
		"shl r,cl": {0x48, 0xd3, 0xe0, 0x8b, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0, 0, 0, 0},
	} {
		b.Run(name, func(b *testing.B) {
			var in decode.Inst
			if decode.Decode(code, decode.Mode64, &in) != nil {
				b.Fatal("undecodable")
			}
			for b.Loop() {
				e := in.Effects()
				if e.GPRRead == 0 {
					b.Fatal("reads nothing")
				}
			}
		})
	}
}
