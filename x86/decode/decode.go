// Package decode turns x86 machine code into instructions.
//
// # How it works
//
// The instruction set is data: tables of one line an encoding, written the way
// the opcode maps in SDM volume 2, appendix A are, for instance
//
//	0f np 58 addps Vo,Wo
//	v1 np 58 vaddps Vx,Hx,Wx
//
// which are parsed once, when the package is initialised, into lists of
// candidates for each opcode byte of each map. Decoding reads the prefixes,
// finds the list of the opcode, takes the first candidate whose conditions
// (mandatory prefix, ModRM fields, processor mode, VEX.W and VEX.L) hold, and
// then reads operands as the candidate says. The grammar of a line is in
// table.go.
//
// The result knows the operands by kind, register number and size, and the
// memory operand by its parts. Whether an instruction may run (privilege,
// CPUID features, LOCK on an operation that allows it) is mostly the engine's
// business; only what the encoding itself forbids is ErrUndefined here.
package decode

import (
	"encoding/binary"
	"errors"
)

// Mode is the size of code in bits, from CS.L and CS.D.
type Mode uint8

// The three code sizes.
const (
	Mode16 Mode = 16
	Mode32 Mode = 32
	Mode64 Mode = 64
)

// MaxLen is the longest an instruction may be, in bytes (SDM volume 2, 2.3.11).
const MaxLen = 15

// Errors of Decode.
var (
	ErrTruncated = errors.New("instruction continues past the end of the bytes")
	ErrTooLong   = errors.New("instruction is longer than 15 bytes")   // #GP(0)
	ErrUndefined = errors.New("no instruction has this encoding here") // #UD
)

// Kind tells what an operand is.
type Kind uint8

// Kinds of operand.
const (
	None  Kind = iota
	GPR        // Reg 0-15; 8-bit operands: Reg is the register whose low byte it is
	GPRHi      // AH, CH, DH, BH: Reg 0-3 is the register whose second byte it is
	Seg        // segment register: ES CS SS DS FS GS
	CR         // control register
	DR         // debug register
	Mem        // the memory operand
	Imm        // Inst.Imm, sign- or zero-extended to the operand's size
	Imm2       // Inst.Imm2: the second immediate of ENTER
	Rel        // a branch displacement, in Inst.Imm
	Far        // ptr16:16 or ptr16:32: the offset in Inst.Imm, the selector in Inst.Imm2
	MMX        // MM0-MM7
	XMM        // XMM0-XMM15, 16 bytes or the low Size bytes of one
	YMM        // YMM0-YMM15
	ST         // x87 stack register ST(Reg)
	One        // the constant 1 of the shift group
)

// Segment numbers, in the order of their encoding.
const (
	ES = iota
	CS
	SS
	DS
	FS
	GS
)

// NoReg as Base or Index says there is none; RIPReg as Base says that the
// displacement counts from the end of the instruction.
const (
	NoReg  = 16
	RIPReg = 17
)

// Slot tells where in the encoding an operand is named.
type Slot uint8

// The places of an operand (SDM volume 2, 2.1 and 2.3).
const (
	SlotNone   Slot = iota // nowhere: the opcode implies it (CL of a shift, ST(0), XMM0 of BLENDVPS)
	SlotReg                // ModRM.reg, with REX.R or VEX.R
	SlotRM                 // ModRM.rm: a register, with REX.B or VEX.B, or memory with SIB and displacement
	SlotVvvv               // VEX.vvvv
	SlotOpcode             // the low three bits of the opcode, with REX.B
	SlotImm                // the bytes after ModRM, SIB and displacement: an immediate, a branch displacement, an absolute address
	SlotIs4                // the upper four bits of the immediate byte
)

// Arg is one operand.
type Arg struct {
	Kind Kind
	Reg  uint8
	Size uint8 // bytes; 0 where it has none of its own (LEA, INVLPG, FXSAVE)
	Slot Slot
}

// Inst is a decoded instruction.
type Inst struct {
	Op       Op
	Len      uint8
	Mode     Mode
	OpSize   uint8 // effective operand size: 2, 4 or 8 bytes; 1 for byte string and I/O instructions
	AddrSize uint8 // effective address size: 2, 4 or 8 bytes
	Rep      uint8 // the last of 0xf2 and 0xf3, or 0
	Prefix66 bool
	Lock     bool
	HasRex   bool
	RexW     bool // REX.W or VEX.W
	Vex      bool
	VexL     uint8 // 0: 128 bits, 1: 256 bits
	NArgs    uint8
	SegOver  bool  // Seg comes from a prefix
	Seg      uint8 // segment of the memory operand, or of a string instruction's source
	Base     uint8
	Index    uint8
	VIndex   Arg   // of a gather: the register of indices, with Size that of one element; Index is NoReg
	Scale    uint8 // shift count, 0-3
	Map      uint8 // opcode map, VEX or not: 0 one-byte opcodes, 1 0F, 2 0F 38, 3 0F 3A
	PP       uint8 // VEX.pp, the prefix that VEX implies: 0 none, 1 66, 2 F3, 3 F2
	Opcode   uint8 // last opcode byte
	HasModRM bool
	ModRM    uint8
	ImmLen   uint8 // bytes after ModRM, SIB and displacement, for all operands in SlotImm and SlotIs4
	Attr     Attr
	Feature  uint8 // what it needs of CPUID: see FeatureNames; 0 is nothing
	Disp     int64
	Imm      uint64
	Imm2     uint64
	Args     [4]Arg
}

// FeatureNames returns the names of the CPUID features by Inst.Feature; a name
// with + in it means several. Names are those of package x86.
func FeatureNames() []string { return features }

// HasMem reports whether an operand is in memory.
func (i *Inst) HasMem() bool {
	for n := range i.NArgs {
		if i.Args[n].Kind == Mem {
			return true
		}
	}
	return false
}

// A reader reads an instruction's bytes, MaxLen at most. Behind their end it reads
// zeroes, and has failed.
type reader struct {
	b      []byte
	pos    int
	failed bool
}

func (r *reader) u8() uint8 {
	if r.pos >= len(r.b) {
		r.failed = true
		return 0
	}
	v := r.b[r.pos]
	r.pos++
	return v
}

// err says why a reader has failed.
func (r *reader) err() error {
	if len(r.b) == MaxLen {
		return ErrTooLong
	}
	return ErrTruncated
}

func (r *reader) u16() uint16 { lo := r.u8(); return uint16(lo) | uint16(r.u8())<<8 }

func (r *reader) u32() uint32 {
	if end := r.pos + 4; end <= len(r.b) {
		v := binary.LittleEndian.Uint32(r.b[r.pos:])
		r.pos = end
		return v
	}
	lo := r.u16()
	return uint32(lo) | uint32(r.u16())<<16
}

func (r *reader) u64() uint64 { lo := r.u32(); return uint64(lo) | uint64(r.u32())<<32 }

// sImm reads an immediate of n bytes and sign-extends it.
func (r *reader) sImm(n uint8) uint64 {
	switch n {
	case 1:
		return uint64(int8(r.u8()))
	case 2:
		return uint64(int16(r.u16()))
	case 4:
		return uint64(int32(r.u32()))
	}
	return r.u64()
}

// isPrefix reports whether a byte is a prefix.
func isPrefix(op uint8, mode Mode) bool {
	return prefixBits[op>>6]>>(op&63)&1 != 0 || mode == Mode64 && op&0xf0 == 0x40
}

// prefixBits has a bit for each byte that is a prefix in all modes.
var prefixBits = [4]uint64{0: 1<<0x26 | 1<<0x2e | 1<<0x36 | 1<<0x3e, 1: 1<<(0x64-64) | 1<<(0x65-64) | 1<<(0x66-64) | 1<<(0x67-64), 3: 1<<(0xf0-192) | 1<<(0xf2-192) | 1<<(0xf3-192)}

// Decode reads the instruction at the start of b into in. b should hold at
// least 15 bytes; with fewer it may give ErrTruncated. On ErrTooLong and
// ErrUndefined in.Len is meaningless.
func Decode(b []byte, mode Mode, in *Inst) error {
	*in = Inst{Mode: mode, Base: NoReg, Index: NoReg, Seg: DS}
	r := reader{b: b[:min(len(b), MaxLen)]}
	var rex, op uint8
	var pfxAddr bool
	for {
		op = r.u8()
		if r.failed {
			return r.err()
		}
		if !isPrefix(op, mode) {
			break
		}
		switch op {
		case 0x26, 0x2e, 0x36, 0x3e:
			// In 64-bit mode these four are ignored and do not cancel FS or GS.
			if mode != Mode64 {
				in.Seg, in.SegOver = op>>3&3, true
			}
			rex = 0
		case 0x64, 0x65:
			in.Seg, in.SegOver = op&7, true
			rex = 0
		case 0x66:
			in.Prefix66 = true
			rex = 0
		case 0x67:
			pfxAddr = true
			rex = 0
		case 0xf0:
			in.Lock = true
			rex = 0
		case 0xf2, 0xf3:
			in.Rep = op
			rex = 0
		default:
			rex = op // counts only if it is the last prefix
		}
	}
	m := mapOne
	var vvvv uint8
	pfx := pfxNone
	switch {
	case in.Rep == 0xf2:
		pfx = pfxF2
	case in.Rep == 0xf3:
		pfx = pfxF3
	case in.Prefix66:
		pfx = pfx66
	}
	if (op == 0xc4 || op == 0xc5) && (mode == Mode64 || r.pos < len(b) && b[r.pos] >= 0xc0) {
		if in.Lock || pfx != pfxNone || rex != 0 {
			return ErrUndefined
		}
		in.Vex = true
		p := r.u8()
		rex = ^p >> 5 & 4 // R
		m = mapVex1
		if op == 0xc4 {
			rex = ^p >> 5
			m = mapVex1 + opmap(p&31) - 1
			if p&31 == 0 || p&31 > 3 {
				if r.failed {
					return r.err()
				}
				return ErrUndefined
			}
			p = r.u8()
			rex |= p >> 4 & 8
		}
		vvvv = ^p >> 3 & 15
		in.VexL = p >> 2 & 1
		in.PP = p & 3
		pfx = [4]prefix{pfxNone, pfx66, pfxF3, pfxF2}[p&3]
		if mode != Mode64 {
			rex &^= 7
			vvvv &= 7
		}
		op = r.u8()
	} else {
		in.HasRex = rex != 0
		if op == 0x0f {
			m, op = map0F, r.u8()
			switch op {
			case 0x38:
				m, op = map38, r.u8()
			case 0x3a:
				m, op = map3A, r.u8()
			}
		}
	}
	if r.failed {
		return r.err()
	}
	in.RexW = rex&8 != 0
	in.Opcode = op
	in.Map = uint8(m)
	if in.Vex {
		in.Map -= uint8(mapVex1 - map0F)
	}

	cands := maps[m][op]
	if len(cands) == 0 {
		return ErrUndefined
	}
	var modrm uint8
	if cands[0].modrm {
		modrm = r.u8()
		if r.failed {
			return r.err()
		}
		in.ModRM, in.HasModRM = modrm, true
	}
	var d *def
	for i := range cands {
		c := &cands[i]
		if c.always || c.matches(pfx, modrm, mode, in.RexW, in.VexL) && (c.attr&noRexB == 0 || rex&1 == 0) {
			d = c
			break
		}
	}
	if d == nil {
		return ErrUndefined
	}
	in.Op, in.Attr, in.Feature = d.op, d.attr, d.feat[in.VexL]

	// Sizes (SDM volume 1, 3.6).
	in.AddrSize = uint8(mode) / 8
	if pfxAddr {
		switch mode {
		case Mode64, Mode16:
			in.AddrSize = 4
		default:
			in.AddrSize = 2
		}
	}
	switch {
	case mode == Mode64:
		in.OpSize = 4
		if in.Prefix66 {
			in.OpSize = 2
		}
		switch {
		case d.attr&Force64 != 0, in.RexW, d.attr&Default64 != 0 && !in.Prefix66:
			in.OpSize = 8
		}
	case (mode == Mode32) != in.Prefix66:
		in.OpSize = 4
	default:
		in.OpSize = 2
	}
	if d.attr&ByteOp != 0 {
		in.OpSize = 1
	}
	if in.Lock && d.attr&LockOK == 0 {
		return ErrUndefined
	}

	if d.modrm && modrm < 0xc0 && d.attr&RegOnly == 0 {
		in.readMem(&r, modrm, rex)
		if d.attr&vsib != 0 && (in.AddrSize == 2 || modrm&7 != 4) {
			return ErrUndefined
		}
	}
	if d.attr&vsib == 0 {
		in.VIndex = Arg{}
	}
	if in.Vex && d.attr&useVvvv == 0 && vvvv != 0 {
		return ErrUndefined
	}
	in.NArgs = d.nargs
	imm := r.pos
	for n := range d.nargs & 7 {
		a := &d.args[n&3]
		in.Args[n&3].Slot = a.slot
		if !in.readArg(&r, &in.Args[n&3], a, op, modrm, rex, vvvv) {
			if r.failed {
				return r.err()
			}
			return ErrUndefined
		}
	}
	if r.failed {
		return r.err()
	}
	if d.attr&vsib != 0 {
		// The three registers of a gather must differ.
		if v, m, x := in.Args[0].Reg, in.Args[2].Reg, in.VIndex.Reg; v == m || v == x || m == x {
			return ErrUndefined
		}
	}
	if in.Lock && in.Args[0].Kind != Mem {
		return ErrUndefined
	}
	in.Len = uint8(r.pos)
	in.ImmLen = uint8(r.pos - imm)
	return nil
}

// readMem reads the SIB byte and displacement of a memory operand.
func (in *Inst) readMem(r *reader, modrm, rex uint8) {
	mod, rm := modrm>>6, modrm&7
	seg := uint8(DS)
	if in.AddrSize == 2 {
		t := [8][3]uint8{{3, 6, DS}, {3, 7, DS}, {5, 6, SS}, {5, 7, SS}, {6, NoReg, DS}, {7, NoReg, DS}, {5, NoReg, SS}, {3, NoReg, DS}}[rm]
		in.Base, in.Index, seg = t[0], t[1], t[2]
		switch {
		case mod == 0 && rm == 6:
			in.Base, seg = NoReg, DS
			in.Disp = int64(r.sImm(2))
		case mod == 1:
			in.Disp = int64(r.sImm(1))
		case mod == 2:
			in.Disp = int64(r.sImm(2))
		}
	} else {
		in.Base = rm | rex<<3&8
		disp := [3]uint8{0, 1, 4}[mod]
		if rm == 4 {
			sib := r.u8()
			in.Scale = sib >> 6
			i := sib>>3&7 | rex<<2&8
			in.VIndex.Reg = i
			if i != 4 {
				in.Index = i
			}
			in.Base = sib&7 | rex<<3&8
			if sib&7 == 5 && mod == 0 {
				in.Base = NoReg
				disp = 4
			}
		} else if rm == 5 && mod == 0 {
			in.Base = NoReg
			disp = 4
			if in.Mode == Mode64 {
				in.Base = RIPReg
			}
		}
		if in.Base == 4 || in.Base == 5 {
			seg = SS
		}
		if disp != 0 {
			in.Disp = int64(r.sImm(disp))
		}
	}
	if !in.SegOver {
		in.Seg = seg
	}
}

// size gives an operand size code its number of bytes in this instruction.
func (in *Inst) size(s sizeCode) uint8 {
	switch s {
	case szV:
		return in.OpSize
	case szZ:
		return min(in.OpSize, 4)
	case szY:
		if in.RexW && in.Mode == Mode64 {
			return 8
		}
		return 4
	case szX:
		return 16 << in.VexL
	case szH: // half of a vector
		return 8 << in.VexL
	case szF: // a quarter of a vector
		return 4 << in.VexL
	case szE: // an eighth of a vector
		return 2 << in.VexL
	case szP:
		return in.OpSize + 2
	case szA:
		return 2 * in.OpSize
	case szS:
		if in.Mode == Mode64 {
			return 10
		}
		return 6
	case szM: // the mode's natural size
		if in.Mode == Mode64 {
			return 8
		}
		return 4
	}
	return uint8(s)
}

func (in *Inst) gpr(a *Arg, reg, size uint8, rexSeen bool) {
	a.Kind, a.Reg, a.Size = GPR, reg, size
	if size == 1 && !rexSeen && reg >= 4 && reg < 8 {
		a.Kind, a.Reg = GPRHi, reg-4
	}
}

func (in *Inst) vec(a *Arg, reg, size uint8) {
	a.Kind, a.Reg, a.Size = XMM, reg, size
	if size == 32 {
		a.Kind = YMM
	}
}

// mem makes a the memory operand.
func (a *Arg) mem(size uint8) { a.Kind, a.Size = Mem, size }

func (in *Inst) readArg(r *reader, a *Arg, s *argSpec, op, modrm, rex, vvvv uint8) bool {
	size := uint8(s.size)
	if s.size >= szV {
		size = in.size(s.size)
	}
	reg := modrm>>3&7 | rex<<1&8
	rm := modrm&7 | rex<<3&8
	isMem := modrm < 0xc0
	switch s.code {
	case 'E':
		if isMem {
			a.mem(size)
		} else {
			in.gpr(a, rm, size, in.HasRex)
		}
	case 'R':
		in.gpr(a, rm, size, true)
	case 'G':
		in.gpr(a, reg, size, in.HasRex)
	case 'Z':
		in.gpr(a, op&7|rex<<3&8, size, in.HasRex)
	case 'B':
		in.gpr(a, vvvv, size, true)
	case 'M':
		if !isMem {
			return false
		}
		a.mem(size)
	case 'X', 'Y':
		a.mem(size)
		in.Index = NoReg
		in.VIndex.Kind, in.VIndex.Size = XMM, 8
		if s.code == 'Y' {
			in.VIndex.Kind = YMM
		}
		if op&1 == 0 { // 90 and 92 have doublewords as indices
			in.VIndex.Size = 4
		}
	case 'r': // a fixed general register
		in.gpr(a, s.reg, size, true)
	case 'I':
		a.Kind, a.Size = Imm, size
		in.Imm = r.sImm(size)
		if size < 8 {
			in.Imm &= 1<<(size*8) - 1
		}
	case 'i': // sign-extended to the operand size
		a.Kind, a.Size = Imm, in.OpSize
		in.Imm = r.sImm(size)
	case 'J':
		a.Kind, a.Size = Rel, size
		in.Imm = r.sImm(size)
	case 'K': // second immediate byte of ENTER
		a.Kind, a.Size = Imm2, size
		in.Imm2 = r.sImm(size) & 0xff
	case '1':
		a.Kind, a.Size = One, 1
		in.Imm = 1
	case 'A':
		a.Kind, a.Size = Far, size
		if in.OpSize == 2 {
			in.Imm = uint64(r.u16())
		} else {
			in.Imm = uint64(r.u32())
		}
		in.Imm2 = uint64(r.u16())
	case 'O':
		a.mem(size)
		switch in.AddrSize {
		case 2:
			in.Disp = int64(r.u16())
		case 4:
			in.Disp = int64(r.u32())
		default:
			in.Disp = int64(r.u64())
		}
	case 'S':
		if reg&7 > 5 {
			return false
		}
		a.Kind, a.Reg, a.Size = Seg, reg&7, 2
	case 's':
		a.Kind, a.Reg, a.Size = Seg, s.reg, 2
	case 'C':
		// CR8 is also LOCK MOV CR0 on AMD only; here REX.R alone reaches it.
		if reg != 0 && reg != 2 && reg != 3 && reg != 4 && reg != 8 {
			return false
		}
		a.Kind, a.Reg, a.Size = CR, reg, size
	case 'D':
		if reg > 7 {
			return false
		}
		a.Kind, a.Reg, a.Size = DR, reg, size
	case 'V':
		in.vec(a, reg, size)
	case 'W':
		if isMem {
			a.mem(size)
		} else {
			in.vec(a, rm, size)
		}
	case 'U':
		in.vec(a, rm, size)
	case 'H':
		in.vec(a, vvvv, size)
	case 'L':
		n := r.u8() >> 4
		if in.Mode != Mode64 {
			n &= 7
		}
		in.vec(a, n, size)
	case 'x': // a fixed XMM register
		in.vec(a, s.reg, size)
	case 'P':
		a.Kind, a.Reg, a.Size = MMX, modrm>>3&7, 8
	case 'Q':
		if isMem {
			a.mem(size)
		} else {
			a.Kind, a.Reg, a.Size = MMX, modrm&7, 8
		}
	case 'N':
		a.Kind, a.Reg, a.Size = MMX, modrm&7, 8
	case 'T': // ST(i)
		a.Kind, a.Reg, a.Size = ST, modrm&7, 10
	case 't':
		a.Kind, a.Reg, a.Size = ST, s.reg, 10
	default:
		panic("decode: operand code " + string(s.code))
	}
	return true
}
