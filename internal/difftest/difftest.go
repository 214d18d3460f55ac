// Package difftest makes random instructions, and states for them to start
// from, out of the decoder's tables. Tests run them on two of the host CPU, the
// interpreter and translated code, and compare.
package difftest

import (
	"encoding/binary"
	"math/rand/v2"

	"hotblock/internal/native"
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// Size is how many bytes of data instructions have to work on.
const Size = 2 * mmu.PageSize

// A Source makes instructions and states.
type Source struct {
	*rand.Rand
	Addr uint64     // linear address of the data
	Data [Size]byte // what it holds at the start
	// Compat asks for what means the same in compatibility mode as in 64-bit mode.
	Compat bool
	// Mode32 asks for 32-bit code, whatever it means in 64-bit mode.
	Mode32 bool
	Seed   uint64

	pool []byte // what Data is filled from
}

// Opts says what not to compare.
type Opts struct {
	Undefined uint64                                                                   // flags
	X87       bool                                                                     // compare the x87 state
	Skip      func(code []byte, in, host *native.State, vec int, r native.Result) bool // vec is what the guest raised
}

// New returns a Source of data at an address.
func New(seed, addr uint64) *Source {
	d := &Source{Rand: rand.New(rand.NewPCG(seed, 3)), Addr: addr, Seed: seed, pool: make([]byte, 4*Size)}
	for i := 0; i < len(d.pool); i += 16 {
		v := d.Vec()
		binary.LittleEndian.PutUint64(d.pool[i:], v[0])
		binary.LittleEndian.PutUint64(d.pool[i+8:], v[1])
	}
	return d
}

// Fill makes new contents of memory.
func (d *Source) Fill() {
	o := d.IntN(len(d.pool)-Size) &^ 7
	copy(d.Data[:], d.pool[o:])
}

// Values.

func (d *Source) GPR() uint64 {
	switch d.IntN(8) {
	case 0:
		return d.Uint64N(70)
	case 1:
		return -d.Uint64N(70)
	case 2:
		return []uint64{0, 1<<63 - 1, 1 << 63, 1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 15, 0x7fff, 0x80, 0x7f, 0xffff, ^uint64(0)}[d.IntN(12)]
	case 3:
		return d.Uint64() >> d.IntN(64)
	case 4:
		return 1 << d.IntN(64)
	}
	return d.Uint64()
}

func (d *Source) float64() uint64 {
	e := []uint64{0, 0x7ff, 0x3ff, 0x3fe, 0x400, 0x7fe, 1, 0x41d, 0x43d, 0x43e, 0x433, 0x380, 0x47f, d.Uint64N(2048), 0x3ff + d.Uint64N(64), 0x3ff - d.Uint64N(64)}[d.IntN(16)]
	f := d.Uint64()
	switch d.IntN(4) {
	case 0:
		f = 0
	case 1:
		f = 1 << d.IntN(52)
	case 2:
		f <<= d.IntN(52)
	}
	return d.Uint64()&(1<<63) | e<<52 | f&(1<<52-1)
}

func (d *Source) float32() uint64 {
	e := []uint64{0, 0xff, 0x7f, 0x7e, 0x80, 0xfe, 1, 0x9d, 0x9e, 0xbe, 0x96, 0x70, 0x8e, d.Uint64N(256), 0x7f + d.Uint64N(32), 0x7f - d.Uint64N(32)}[d.IntN(16)]
	f := d.Uint64()
	switch d.IntN(4) {
	case 0:
		f = 0
	case 1:
		f = 1 << d.IntN(23)
	case 2:
		f <<= d.IntN(23)
	}
	return d.Uint64()&(1<<31) | e<<23 | f&(1<<23-1)
}

// vec makes a vector register: integers, float32s or float64s.
func (d *Source) Vec() (v [4]uint64) {
	kind := d.IntN(4)
	for i := range v {
		switch kind {
		case 0:
			v[i] = d.float32() | d.float32()<<32
		case 1:
			v[i] = d.float64()
		case 2:
			v[i] = d.Uint64()
		default:
			v[i] = d.GPR()
			if d.IntN(2) == 0 {
				v[i] |= d.GPR() << 32
			}
		}
	}
	return v
}

func (d *Source) MXCSR() uint32 {
	m := uint32(0x1f80) | uint32(d.IntN(64))*uint32(d.IntN(2))
	switch d.IntN(6) {
	case 0:
		m |= uint32(d.IntN(4))<<13 | uint32(d.IntN(2))<<15 | uint32(d.IntN(2))<<6
	case 1:
		m = d.Uint32() & 0xffff
	case 2:
		m &^= 0x80 << d.IntN(6)
	}
	return m
}

// state makes a random state; every register is as likely a number as a pointer
// to data.
func (d *Source) State() *native.State {
	s := native.NewState()
	for i := range s.GPR {
		s.GPR[i] = d.GPR()
	}
	s.GPR[x86.RSP] = d.Addr + Size/2 + d.Uint64N(64)*8
	s.RFLAGS = d.Uint64() & 0xcd5
	if d.IntN(4) != 0 {
		s.RFLAGS &^= x86.FlagDF
	}
	s.MXCSR = d.MXCSR()
	for i := range s.YMM {
		s.YMM[i] = d.Vec()
	}
	return s
}

// Instructions.

// encode makes a random instruction of an encoding: prefixes, ModRM, SIB,
// displacement and immediate. ok is false where chance asked for what the
// encoding does not allow.
func (d *Source) Encode(e *decode.Encoding) (code []byte, x decode.Inst, ok bool) {
	modrm := uint8(d.Uint32())
	if d.IntN(3) != 0 && e.Mod != 'm' {
		modrm |= 0xc0
	}
	if e.Mod == 'm' && modrm >= 0xc0 {
		modrm &^= 0x40 << d.IntN(2)
	}
	if e.Mod == 'r' {
		modrm |= 0xc0
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
	w := uint8(d.IntN(2))
	if v := e.Attr.W1(); v >= 0 {
		w = uint8(v)
	}
	rex := uint8(d.Uint32()) & 7
	if d.Compat || d.Mode32 {
		rex = 0
		if !d.Mode32 || e.Map[0] != 'v' || e.Attr.W1() >= 0 { // VEX.W may be set and without effect there
			w = max(0, uint8(e.Attr.W1()+1)/2)
		}
	}
	if e.Map[0] == 'v' {
		l := uint8(d.IntN(2))
		if v := e.Attr.L1(); v >= 0 {
			l = uint8(v)
		}
		pp := map[uint8]uint8{0: 0, 1: 0, 0x66: 1, 0xf3: 2, 0xf2: 3}[e.Prefix]
		vvvv := uint8(15)
		if e.Attr.UsesVvvv() {
			vvvv = uint8(d.IntN(16))
			if d.Compat || d.Mode32 {
				vvvv |= 8
			}
		}
		code = []byte{0xc4, ^rex<<5 | e.Map[1] - '0', w<<7 | vvvv<<3 | l<<2 | pp, e.Opcode}
		if e.Map == "v1" && rex&3 == 0 && w == 0 && d.IntN(2) == 0 {
			code = []byte{0xc5, ^rex&4<<5 | vvvv<<3 | l<<2 | pp, e.Opcode}
		}
	} else {
		if d.IntN(16) == 0 {
			p := []byte{0x3e, 0x26, 0x36, 0x2e}[d.IntN(4)]
			if d.Compat {
				p = 0x3e // CS is not for writing there
			}
			code = append(code, p)
		}
		if e.Attr&decode.LockOK != 0 && modrm < 0xc0 && d.IntN(4) == 0 {
			code = append(code, 0xf0)
		}
		switch {
		case e.Prefix > 1:
			code = append(code, e.Prefix)
			if e.Prefix != 0x66 && e.Map == "38" && d.IntN(3) == 0 || e.Prefix == 0xf3 && e.Map == "0f" && e.Opcode >= 0xb8 && e.Opcode <= 0xbd && d.IntN(3) == 0 {
				code = append([]byte{0x66}, code...) // CRC32, POPCNT and their like have a 16-bit form
			}
		case e.Prefix == 0:
			if d.IntN(4) == 0 {
				code = append(code, 0x66)
			}
			if e.Map == "1" && e.Opcode >= 0xa4 && e.Opcode <= 0xaf && e.Opcode != 0xa8 && e.Opcode != 0xa9 {
				if n := d.IntN(3); n > 0 {
					code = append(code, 0xf1+byte(n))
				}
			}
		}
		if w != 0 {
			rex |= 8
		}
		if rex != 0 || d.IntN(4) == 0 && !d.Compat && !d.Mode32 {
			code = append(code, 0x40|rex)
		}
		switch e.Map {
		case "0f":
			code = append(code, 0x0f)
		case "38":
			code = append(code, 0x0f, 0x38)
		case "3a":
			code = append(code, 0x0f, 0x3a)
		}
		code = append(code, e.Opcode)
	}
	if e.HasRM {
		code = append(code, modrm)
	}
	for range 14 {
		code = append(code, uint8(d.Uint32()))
	}
	if d.IntN(3) == 0 { // small displacements and immediates
		for i := len(code) - 10; i < len(code); i++ {
			code[i] = 0
		}
	}
	mode := decode.Mode64
	if d.Mode32 {
		mode = decode.Mode32
	}
	if decode.Decode(code, mode, &x) != nil || x.Op != e.Op {
		return nil, x, false
	}
	if d.Compat {
		// The same operands of the same size, or it is another instruction.
		var y decode.Inst
		if decode.Decode(code, decode.Mode32, &y) != nil || y.Op != x.Op || y.Len != x.Len || y.OpSize != x.OpSize || y.Args != x.Args || y.Base != x.Base {
			return nil, x, false
		}
	}
	return code[:x.Len], x, true
}

// lower makes a state fit for compatibility mode; it reports false where the
// address of the memory operand would not be the same there.
func (d *Source) Lower(x *decode.Inst, st *native.State) bool {
	for i := range st.GPR {
		if v := st.GPR[i]; v>>32 != 0 && x.HasMem() && (uint8(i) == x.Base || uint8(i) == x.Index) {
			return false
		}
		st.GPR[i] &= 0xffffffff
		if i >= 8 {
			st.GPR[i], st.YMM[i] = 0, [4]uint64{}
		}
	}
	return true
}

// aim makes the registers of st such that the memory operand and the implicit
// ones lie in the data, mostly. It reports whether the instruction can be tried
// at all.
func (d *Source) Aim(x *decode.Inst, st *native.State) bool {
	size := uint64(16)
	for i := range x.NArgs {
		if x.Args[i].Kind == decode.Mem {
			size = uint64(max(x.Args[i].Size, 1))
		}
	}
	off := d.Uint64N(Size - 256)
	switch d.IntN(16) {
	case 0: // across the end
		off = Size - d.Uint64N(size+1)
	case 1: // across the page boundary
		off = mmu.PageSize - d.Uint64N(size+1)
	case 2:
	default:
		off &^= 31
	}
	target := d.Addr + off
	if x.Base == decode.RIPReg {
		return false // the code is at another address
	}
	if x.HasMem() && x.AddrSize != 8 && x.Op.String() != "lea" {
		return false
	}
	if x.HasMem() && x.Op.String() != "lea" {
		if x.Base == decode.NoReg {
			return false
		}
		if x.SegOver && x.Seg >= x86.FS {
			return false
		}
		t := target - uint64(x.Disp)
		if x.VIndex.Kind != decode.None {
			// Few bits to each index, and masks that are all or random.
			v := &st.YMM[x.VIndex.Reg]
			for i := range v {
				k := uint64(d.IntN(200)) | uint64(d.IntN(200))<<32
				if x.VIndex.Size == 8 {
					k &= 0xffff
				}
				v[i] = k
				if d.IntN(8) == 0 && x.VIndex.Size == 4 {
					v[i] |= 0xffffff00 // negative
				}
			}
			t = d.Addr - uint64(x.Disp) + d.Uint64N(2048) + 1024
			if d.IntN(8) == 0 {
				t += Size - 2500
			}
		} else if x.Index != decode.NoReg {
			i := &st.GPR[x.Index]
			*i = d.Uint64N(4096)
			if d.IntN(2) == 0 {
				*i = -*i
			}
			if x.Index == x.Base {
				if t%(1+1<<x.Scale) != 0 {
					t -= t % (1 + 1<<x.Scale)
				}
				*i = t / (1 + 1<<x.Scale)
				t = 0
			} else {
				t -= *i << x.Scale
			}
		}
		if t != 0 {
			st.GPR[x.Base] = t
		}
	}
	return true
}

// Target is an address for an access of size bytes, mostly inside the data.
func (d *Source) Target(size uint64) uint64 {
	off := d.Uint64N(Size - 256)
	switch d.IntN(16) {
	case 0: // across the end
		off = Size - d.Uint64N(size+1)
	case 1: // across the page boundary
		off = mmu.PageSize - d.Uint64N(size+1)
	case 2:
	default:
		off &^= 31
	}
	return d.Addr + off
}

// Place makes the memory operand of an instruction that is to be at address at lie
// at target, by changing registers of st or the displacement in the code. It does
// that for every form of address; where registers of 32 bits are used, their upper
// halves are random. segBase is the base of the operand's segment. It reports
// false where the form does not reach.
func (d *Source) Place(code []byte, x *decode.Inst, st *native.State, at, target, segBase uint64) bool {
	put := func(pos, n int, v uint64) {
		for i := range n {
			code[pos+i] = byte(v >> (8 * i))
		}
	}
	mask := ^uint64(0)
	if x.AddrSize == 4 || x.Mode == decode.Mode32 {
		mask = 0xffffffff
	}
	if x.AddrSize == 2 || x.VIndex.Kind != decode.None {
		return false
	}
	t := target - segBase
	end := len(code)
	for i := range x.NArgs {
		if a := &x.Args[i]; a.Kind == decode.Mem && a.Slot == decode.SlotImm {
			put(end-int(x.ImmLen), int(x.ImmLen), t)
			return t&mask == t
		}
	}
	disp := end - int(x.ImmLen) - 4
	high := func(v uint64) uint64 {
		if x.AddrSize == 4 && x.Mode == decode.Mode64 {
			return v&0xffffffff | d.Uint64()<<32
		}
		return v & mask
	}
	switch {
	case x.Base == decode.RIPReg:
		t -= at + uint64(len(code))
		put(disp, 4, t)
		return t == uint64(int64(int32(t))) || mask == 0xffffffff
	case x.Base == decode.NoReg:
		if x.Index != decode.NoReg {
			i := d.Uint64N(4096)
			st.GPR[x.Index] = high(i)
			t -= i << x.Scale
		}
		put(disp, 4, t)
		return t == uint64(int64(int32(t))) || mask == 0xffffffff
	case x.Index == x.Base:
		n := uint64(1 + 1<<x.Scale)
		st.GPR[x.Base] = high((t - uint64(x.Disp)) & mask / n)
		return true
	case x.Index != decode.NoReg:
		i := d.Uint64N(4096)
		if d.IntN(2) == 0 {
			i = -i
		}
		st.GPR[x.Index] = high(i)
		t -= i << x.Scale
	}
	st.GPR[x.Base] = high(t - uint64(x.Disp))
	return true
}
