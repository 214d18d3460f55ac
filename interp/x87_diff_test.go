package interp

import (
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// f80 makes an x87 register: ordinary numbers, and everything that is not.
func (d *diff) f80() native.F80 {
	e := []uint16{0, 0x7fff, 0x3fff, 0x3ffe, 0x4000, 0x7ffe, 1, 0x403e, 0x403d, 0x401e, 0x400e, 0x3fff + uint16(d.IntN(70)),
		0x3fff - uint16(d.IntN(70)), 0x3f80, 0x407f, uint16(d.Uint32() & 0x7fff)}[d.IntN(16)]
	f := d.Uint64() | 1<<63
	switch d.IntN(6) {
	case 0:
		f = 1 << 63
	case 1:
		f = 1<<63 | 1<<d.IntN(64)
	case 2:
		f = f << d.IntN(64) & (1<<63 - 1) // not normal
		if e != 0 && d.IntN(4) != 0 {
			f |= 1 << 63
		}
	case 3:
		f = 3 << 62
	}
	if e == 0 && d.IntN(3) == 0 {
		f = 0
	}
	return native.F80{Frac: f, SE: e | uint16(d.IntN(2))<<15}
}

// transcendental are the instructions whose results may differ in the last
// place (x86/softfp tests them); here they run on operands with exact results.
var transcendental = names("f2xm1 fyl2x fyl2xp1 fpatan fsin fcos fsincos fptan")

// storesEnv are the instructions that store the instruction and data pointers,
// which AMD keeps only while an exception is pending, and Intel otherwise.
var storesEnv = names("fnstenv fnsave")

func x87(e *decode.Encoding) bool {
	return e.Map == "1" && (e.Opcode&0xf8 == 0xd8 || e.Opcode == 0x9b) && !storesEnv[e.Op] && handlers[e.Op].fn != nil
}

// x87Case prepares the register stack.
func (d *diff) x87Case(x *decode.Inst, st *native.State, o *diffOpts) bool {
	o.x87 = true
	name := opName(x)
	f := &st.X87
	f.FCW = 0x37f
	switch d.IntN(4) {
	case 0:
		f.FCW = uint16(d.IntN(4))<<10 | []uint16{0, 0x200, 0x300}[d.IntN(3)] | 0x7f
	case 1:
		f.FCW &^= 1 << d.IntN(6)
	}
	f.FSW = uint16(d.IntN(8))<<11 | uint16(d.IntN(16)&7)<<8
	f.FTW = 0xff
	if d.IntN(3) == 0 {
		f.FTW = uint8(d.Uint32())
	}
	for i := range f.ST {
		f.ST[i] = d.f80()
	}
	if d.IntN(3) == 0 { // memory with numbers in it
		for i := 0; i+10 <= len(d.data); i += 10 {
			v := d.f80()
			for k := range 8 {
				d.data[i+k] = byte(v.Frac >> (8 * k))
			}
			d.data[i+8], d.data[i+9] = byte(v.SE), byte(v.SE>>8)
		}
	}
	switch {
	case transcendental[x.Op]:
		zero := native.F80{SE: uint16(d.IntN(2)) << 15}
		f.ST[0] = zero
		f.FCW |= 0x3f // and masked: what is signalled of exact results is settled there
		if name == "fyl2x" || name == "fpatan" || name == "fcos" {
			f.ST[0] = native.F80{Frac: 1 << 63, SE: 0x3fff} // 1
			f.ST[1] = zero
			if name == "fcos" {
				f.ST[0] = zero
			}
		}
	case name == "fprem" || name == "fprem1":
		// AMD leaves C0 and C3 as they were with special operands.
		f.FSW &^= 0x4700
		for i := range 2 {
			if e := f.ST[i].SE & 0x7fff; e == 0 || e == 0x7fff || f.ST[i].Frac>>63 == 0 {
				return false
			}
		}
	case name == "fldenv" || name == "frstor" || name == "fldcw":
		// A control word with its reserved bits as they are read back, and no
		// status or tags that a load would change.
		for i := range d.data {
			d.data[i] = []byte{0x7f, 0x03}[i&1]
		}
		// In which pieces the environment is read is the implementation's choice,
		// and so is the byte that a page fault names.
		o.skip = func(_ []byte, _, _ *native.State, vec int, r native.Result) bool {
			return vec == x86.ExcPF && r.Vector == x86.ExcPF
		}
	case x.Opcode == 0xd9 && x.ModRM>>3 == 0o33 && f.FTW != 0xff:
		return false // an undocumented FSTP, which signals no stack fault
	case name == "fbld":
		// Digits above 9 are undefined.
		for i := range d.data {
			d.data[i] = byte(d.IntN(10) | d.IntN(10)<<4)
		}
	}
	if d.IntN(32) == 0 {
		f.FCW, f.FSW = 0x37e, f.FSW|0x8081 // an exception is pending
	}
	return true
}

func TestDiffX87(t *testing.T) {
	d := newDiff(t, 4)
	d.sweep(t, 60, x87, d.x87Case)
}
