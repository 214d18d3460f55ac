package interp

import (
	"strings"
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// Integer instructions that cannot be compared: control transfers, privileged
// ones, what depends on the system, and what would change the host's segments or
// trap it.
var notCompared = names(`callf jmpf call jmp ret retf int int1 int3 into iret syscall sysret sysenter sysexit
	loop loope loopne jcxz hlt in out ins outs cli sti popf pushf
	sldt str lldt ltr verr verw sgdt sidt lgdt lidt smsw lmsw lar lsl invlpg invpcid clts invd wbinvd wbnoinvd
	vmcall vmmcall monitor mwait clac stac xgetbv xsetbv rdpkru wrpkru swapgs rdtsc rdtscp rdpmc rdmsr wrmsr cpuid rsm
	rdrand rdseed rdpid rdfsbase rdgsbase wrfsbase wrgsbase lss lfs lgs
	fxsave fxrstor xsave xrstor xsaveopt xsavec xsaves xrstors fwait`)

func integer(e *decode.Encoding) bool {
	n := e.Op.String()
	if vector(e) || notCompared[e.Op] || n[0] == 'j' || e.Map == "1" && e.Opcode >= 0xd8 && e.Opcode <= 0xdf {
		return false
	}
	switch {
	case e.Map == "1" && (e.Opcode == 0x8e || e.Opcode == 0xa0 || e.Opcode == 0xa1 || e.Opcode == 0xa2 || e.Opcode == 0xa3): // to segment registers, absolute addresses
		return false
	case e.Map == "0f" && e.Opcode == 0x0d && e.Mod == 'r':
		return false
	case e.Map == "0f" && (e.Opcode >= 0x20 && e.Opcode <= 0x23 || e.Opcode&0xf6 == 0xa0): // control registers; push and pop FS, GS
		return false
	}
	return true
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

func (d *diff) integerCase(x *decode.Inst, st *native.State, o *diffOpts) bool {
	name := opName(x)
	o.flags = undefined[name]
	ptr := func() uint64 { return d.addr + 1024 + d.Uint64N(diffData-2048) }
	switch name {
	case "movs", "cmps", "scas", "stos", "lods":
		if x.AddrSize != 8 {
			return false
		}
		st.GPR[x86.RSI], st.GPR[x86.RDI] = ptr(), ptr()
		if d.IntN(8) == 0 {
			st.GPR[x86.RSI] = d.addr + d.Uint64N(diffData)
		}
		if d.IntN(8) == 0 {
			st.GPR[x86.RDI] = d.addr + d.Uint64N(diffData)
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
			for i := range d.data {
				d.data[i] = v
			}
			for range d.IntN(4) {
				d.data[d.IntN(diffData)] ^= 1
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
			o.flags = 0
		case n > uint64(x.OpSize)*8: // all undefined, the result too
			return false
		case n > 1:
			o.flags |= fO
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
			o.flags = 0
		case n > 1:
			o.flags |= fO
		}
		if n > uint64(size)*8-1 && strings.HasPrefix(name, "sh") && n > uint64(size)*8 {
			o.flags |= fC
		}
	case "cmpxchg8b":
		if d.IntN(2) == 0 && x.HasMem() { // often equal
			for i := 0; i < len(d.data); i += 8 {
				copy(d.data[i:], "\x01\x02\x03\x04\x05\x06\x07\x08")
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

func TestDiffInteger(t *testing.T) {
	d := newDiff(t, 3)
	d.sweep(t, 30, integer, d.integerCase)
}
