package interp

import (
	"testing"

	"hotblock/x86/decode"
)

// storesEnv are the instructions that store the instruction and data pointers,
// which AMD keeps only while an exception is pending, and Intel otherwise.
var storesEnv = names("fnstenv fnsave")

func x87(e *decode.Encoding) bool {
	return e.Map == "1" && (e.Opcode&0xf8 == 0xd8 || e.Opcode == 0x9b) && !storesEnv[e.Op] && handlers[e.Op].fn != nil
}

func TestDiffX87(t *testing.T) {
	d := newDiff(t, 4)
	d.sweep(t, 60, x87, d.X87Case)
}
