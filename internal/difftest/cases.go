package difftest

import (
	"strings"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

func names(s string) map[decode.Op]bool {
	m := map[decode.Op]bool{}
	for n := range strings.FieldsSeq(s) {
		m[decode.MustOp(n)] = true
	}
	return m
}

// Status flags.
const (
	fC = x86.FlagCF
	fP = x86.FlagPF
	fA = x86.FlagAF
	fZ = x86.FlagZF
	fS = x86.FlagSF
	fO = x86.FlagOF
)

// undefined are the flags that the SDM leaves undefined.
var undefined = map[string]uint64{
	"and": fA, "or": fA, "xor": fA, "test": fA,
	"mul": fS | fZ | fA | fP, "imul": fS | fZ | fA | fP, "div": x86.FlagsArith, "idiv": x86.FlagsArith,
	"shl": fA, "shr": fA, "sar": fA, "shld": fA, "shrd": fA,
	"bsf": x86.FlagsArith &^ fZ, "bsr": x86.FlagsArith &^ fZ, "tzcnt": fO | fS | fP | fA, "lzcnt": fO | fS | fP | fA,
	"bt": fO | fS | fA | fP, "bts": fO | fS | fA | fP, "btr": fO | fS | fA | fP, "btc": fO | fS | fA | fP,
	"andn": fA | fP, "blsr": fA | fP, "blsi": fA | fP, "blsmsk": fA | fP, "bzhi": fA | fP, "bextr": fA | fS | fP,
}

// IntegerCase prepares registers and memory that integer instructions use
// implicitly. It reports false where they cannot be compared.
func (d *Source) IntegerCase(x *decode.Inst, st *native.State, o *Opts) bool {
	name := x.Op.String()
	o.Undefined = undefined[name]
	ptr := func() uint64 { return d.Addr + 1024 + d.Uint64N(Size-2048) }
	switch name {
	case "movs", "cmps", "scas", "stos", "lods":
		if x.AddrSize != 8 {
			return false
		}
		st.GPR[x86.RSI], st.GPR[x86.RDI] = ptr(), ptr()
		if d.IntN(8) == 0 {
			st.GPR[x86.RSI] = d.Addr + d.Uint64N(Size)
		}
		if d.IntN(8) == 0 {
			st.GPR[x86.RDI] = d.Addr + d.Uint64N(Size)
		}
		if d.IntN(8) == 0 {
			st.GPR[x86.RDI] = st.GPR[x86.RSI] + d.Uint64N(16) - 8
		}
		st.GPR[x86.RCX] = d.Uint64N(40)
		if d.IntN(8) == 0 {
			st.GPR[x86.RCX] = d.Uint64N(1500)
		}
		if name == "cmps" || name == "scas" { // long runs that are equal
			v := byte(d.IntN(2))
			for i := range d.Data {
				d.Data[i] = v
			}
			for range d.IntN(4) {
				d.Data[d.IntN(Size)] ^= 1
			}
			if name == "scas" && d.IntN(2) == 0 {
				st.GPR[x86.RAX] = uint64(v) * 0x0101010101010101
			}
		}
	case "xlat":
		st.GPR[x86.RBX] = ptr()
		if x.AddrSize != 8 {
			return false
		}
	case "leave":
		st.GPR[x86.RBP] = ptr()
	case "push", "pop":
		return x.Base != x86.RSP && x.Index != x86.RSP
	case "enter":
		st.GPR[x86.RBP] = ptr()
		if s := st.GPR[x86.RSP] - st.GPR[x86.RBP] + 300; s < 600 { // copies from where it pushes to
			return false
		}
		if x.Imm > 512 { // Intel's test whether the new stack can be written, AMD's do not
			return false
		}
	case "nop":
		return x.Opcode != 0x0d || x.HasMem() // reserved, on AMD's without memory undefined
	case "bt", "bts", "btr", "btc":
		if x.HasMem() && x.Args[1].Kind == decode.GPR {
			r := x.Args[1].Reg
			if r == x.Base || r == x.Index || r == x86.RSP {
				return false
			}
			st.GPR[r] = uint64(d.IntN(20000) - 10000)
		}
	case "div", "idiv":
		if d.IntN(2) == 0 && !x.HasMem() { // a quotient that fits
			st.GPR[x86.RDX] = uint64(d.IntN(16))
			if name == "idiv" && d.IntN(2) == 0 {
				st.GPR[x86.RDX] = uint64(int64(st.GPR[x86.RAX]) >> 63)
			}
		}
	case "shld", "shrd":
		n := st.GPR[x86.RCX]
		if x.Args[2].Kind == decode.Imm {
			n = x.Imm
		}
		switch n &= uint64(31 | x.OpSize&8<<2); {
		case n == 0:
			o.Undefined = 0
		case n > uint64(x.OpSize)*8: // all undefined, the result too
			return false
		case n > 1:
			o.Undefined |= fO
		}
	case "shl", "shr", "sar", "rol", "ror", "rcl", "rcr":
		n := st.GPR[x86.RCX]
		switch x.Args[1].Kind {
		case decode.Imm:
			n = x.Imm
		case decode.One:
			n = 1
		}
		size := x.Args[0].Size
		switch n &= uint64(31 | size&8<<2); {
		case n == 0:
			o.Undefined = 0
		case n > 1:
			o.Undefined |= fO
		}
		if n > uint64(size)*8-1 && strings.HasPrefix(name, "sh") && n > uint64(size)*8 {
			o.Undefined |= fC
		}
	case "cmpxchg8b":
		if d.IntN(2) == 0 && x.HasMem() { // often equal
			for i := 0; i < len(d.Data); i += 8 {
				copy(d.Data[i:], "\x01\x02\x03\x04\x05\x06\x07\x08")
			}
			st.GPR[x86.RAX], st.GPR[x86.RDX] = 0x0807060504030201, 0x0807060504030201
			if !x.RexW {
				st.GPR[x86.RAX], st.GPR[x86.RDX] = 0x04030201, 0x08070605
			}
			if x.Base == x86.RAX || x.Base == x86.RDX || x.Index == x86.RAX || x.Index == x86.RDX {
				return false
			}
		}
	case "cmpxchg":
		if d.IntN(2) == 0 && x.Args[0].Kind == decode.GPR {
			st.GPR[x86.RAX] = st.GPR[x.Args[0].Reg]
		}
	case "ud0", "ud1", "ud2":
		return true
	case "bsf", "bsr":
		// With a source of zero the flags but ZF and the destination are undefined;
		// all processors leave the destination alone.
	}
	return true
}

// VectorCase prepares registers that vector instructions use implicitly.
func (d *Source) VectorCase(x *decode.Inst, st *native.State, o *Opts) bool {
	o.X87 = true
	name := x.Op.String()
	switch {
	case strings.Contains(name, "maskmov") && !x.HasMem():
		st.GPR[x86.RDI] = d.Addr + d.Uint64N(Size)
		if x.AddrSize != 8 {
			return false
		}
		// Whether bytes that are masked off can fault is the implementation's
		// choice (SDM volume 2, MASKMOVQ).
		o.Skip = func(_ []byte, _, _ *native.State, _ int, r native.Result) bool { return r.Vector == x86.ExcPF }
	case strings.HasSuffix(name, "ldmxcsr"):
		for i := 0; i < len(d.Data); i += 4 {
			d.Data[i+3], d.Data[i+2] = 0, byte(d.IntN(16)/15)
		}
		// AMD has bit 17.
		o.Skip = func(_ []byte, _, host *native.State, _ int, _ native.Result) bool { return host.MXCSR > 0xffff }
	}
	if strings.HasPrefix(name, "sha") && x.HasMem() {
		// Intel's want their operands aligned, as the SDM says, and AMD's do not.
		o.Skip = func(_ []byte, _, _ *native.State, vec int, _ native.Result) bool { return vec == x86.ExcGP }
	}
	if d.IntN(2) == 0 {
		st.X87.FSW = uint16(d.IntN(8)) << 11
	}
	st.X87.FTW = uint8(d.Uint32())
	for i := range st.X87.ST {
		st.X87.ST[i] = native.F80{Frac: d.Vec()[0], SE: uint16(d.Uint32())}
	}
	if d.IntN(16) == 0 {
		// A pending x87 exception.
		st.X87.FCW, st.X87.FSW = 0x37e, 0x8081
	}
	return true
}

// F80 makes an x87 register: ordinary numbers, and everything that is not.
func (d *Source) F80() native.F80 {
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

// X87Case prepares the register stack.
func (d *Source) X87Case(x *decode.Inst, st *native.State, o *Opts) bool {
	o.X87 = true
	name := x.Op.String()
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
		f.ST[i] = d.F80()
	}
	if d.IntN(3) == 0 { // memory with numbers in it
		for i := 0; i+10 <= len(d.Data); i += 10 {
			v := d.F80()
			for k := range 8 {
				d.Data[i+k] = byte(v.Frac >> (8 * k))
			}
			d.Data[i+8], d.Data[i+9] = byte(v.SE), byte(v.SE>>8)
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
		for i := range d.Data {
			d.Data[i] = []byte{0x7f, 0x03}[i&1]
		}
		// In which pieces the environment is read is the implementation's choice,
		// and so is the byte that a page fault names.
		o.Skip = func(_ []byte, _, _ *native.State, vec int, r native.Result) bool {
			return vec == x86.ExcPF && r.Vector == x86.ExcPF
		}
	case x.Opcode == 0xd9 && x.ModRM>>3 == 0o33 && f.FTW != 0xff:
		return false // an undocumented FSTP, which signals no stack fault
	case name == "fbld":
		// Digits above 9 are undefined.
		for i := range d.Data {
			d.Data[i] = byte(d.IntN(10) | d.IntN(10)<<4)
		}
	}
	if d.IntN(32) == 0 {
		f.FCW, f.FSW = 0x37e, f.FSW|0x8081 // an exception is pending
	}
	return true
}
