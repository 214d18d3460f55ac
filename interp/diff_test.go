package interp

// Differential tests: the same instruction from the same state on the host CPU
// and in the interpreter. This file is the harness; it knows how to make
// instructions from the decode tables, registers and memory that suit them, and
// how to compare what comes out. Which instructions, and what is not compared,
// is the business of the tests that use it.
//
// Data pages have the same linear address in the guest as on the host, so that
// pointers need no translation; the pages around them are mapped in neither.

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"hotblock/internal/native"
	"hotblock/mmu"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var diffTime = flag.Duration("difftime", 0, "how long each differential test runs, in place of a fixed number of cases")

const (
	diffData   = 2 * mmu.PageSize // bytes of data at the address the host gave
	diffCodeVA = 0x400000
	diffCodePA = 0x20000
	diffDataPA = 0x30000
	diffArith  = x86.FlagsArith | x86.FlagDF
)

// diff is a guest with one CPU in 64-bit mode at CPL 3, ready to run one
// instruction at a time.
type diff struct {
	*rand.Rand
	c     *CPU
	guest []byte // the data pages as the guest has them
	host  []byte // and as the host has them
	addr  uint64 // of both
	code  []byte // the guest's page of code
	pool  []byte // what memory is filled from
	data  [diffData]byte
	seed  uint64
	// compat: the guest is in compatibility mode, and runs what means the same
	// there as in the host's 64-bit mode.
	compat bool
}

var diffHost, diffHostLow struct {
	buf  []byte
	addr uint64
}

func newDiff(t testing.TB, seed uint64) *diff {
	t.Helper()
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
	if diffHost.buf == nil {
		diffHost.buf, diffHost.addr = native.Alloc(diffData)
	}
	return newDiffAt(t, seed, diffHost.buf, diffHost.addr)
}

// newDiffCompat has the guest in compatibility mode, with flat 32-bit segments.
func newDiffCompat(t testing.TB, seed uint64) *diff {
	t.Helper()
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
	if diffHostLow.buf == nil {
		var err error
		if diffHostLow.buf, diffHostLow.addr, err = allocLow(diffData); err != nil {
			t.Skipf("no memory below 4 GiB: %v", err)
		}
	}
	d := newDiffAt(t, seed, diffHostLow.buf, diffHostLow.addr)
	d.compat = true
	d.c.Seg[x86.CS].Attr = d.c.Seg[x86.CS].Attr&^x86.SegL | x86.SegD
	d.c.Refresh()
	d.c.recheck = false
	return d
}

func newDiffAt(t testing.TB, seed uint64, host []byte, addr uint64) *diff {
	t.Helper()
	mem := new(mmu.Memory)
	blk, err := mmu.NewBlock("ram", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	mem.Map(mmu.Region{Name: "ram", Size: 1 << 20, Kind: mmu.RAM, Blk: blk})
	model, err := x86.ParseModel("max", Supports)
	if err != nil {
		t.Fatal(err)
	}
	c := New(mem, model)
	c.TSC = func() uint64 { return 0 }
	d := &diff{Rand: rand.New(rand.NewPCG(seed, 3)), c: c, host: host, addr: addr, seed: seed,
		guest: blk.Bytes[diffDataPA : diffDataPA+diffData], code: blk.Bytes[diffCodePA : diffCodePA+mmu.PageSize]}
	next := uint64(0x2000)
	mapPage := func(va, pa uint64) {
		table := uint64(0x1000)
		for shift := 39; ; shift -= 9 {
			e := blk.Bytes[table+va>>shift&511*8:]
			if shift == 12 {
				binary.LittleEndian.PutUint64(e, pa|7)
				return
			}
			v := binary.LittleEndian.Uint64(e)
			if v == 0 {
				v = next | 7
				next += mmu.PageSize
				binary.LittleEndian.PutUint64(e, v)
			}
			table = v &^ 0xfff
		}
	}
	mapPage(diffCodeVA, diffCodePA)
	for o := uint64(0); o < diffData; o += mmu.PageSize {
		mapPage(d.addr+o, diffDataPA+o)
	}
	c.CR0 = x86.CR0PE | x86.CR0PG | x86.CR0WP | x86.CR0NE | x86.CR0MP | x86.CR0ET
	c.CR3 = 0x1000
	c.CR4 = x86.CR4PAE | x86.CR4OSFXSR | x86.CR4OSXMMEXCPT | x86.CR4OSXSAVE
	c.EFER = x86.EFERLME | x86.EFERLMA | x86.EFERNXE | x86.EFERSCE
	c.XCR0 = model.XCR0Mask()
	c.CPL = 3
	for i := range c.Seg {
		c.Seg[i] = x86.Segment{Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegDPL | x86.SegWritable | x86.SegAccessed | x86.SegD | x86.SegG}
	}
	c.Seg[x86.SS].Sel = 0x2b // as Linux has them
	c.Seg[x86.CS] = x86.Segment{Sel: 0x33, Limit: 0xffffffff, Attr: x86.SegP | x86.SegS | x86.SegDPL | x86.SegCode | x86.SegWritable | x86.SegAccessed | x86.SegL | x86.SegG}
	c.Refresh()
	c.recheck = false
	d.pool = make([]byte, 4*diffData)
	for i := 0; i < len(d.pool); i += 16 {
		v := d.vec()
		binary.LittleEndian.PutUint64(d.pool[i:], v[0])
		binary.LittleEndian.PutUint64(d.pool[i+8:], v[1])
	}
	return d
}

// diffOpts says what not to compare.
type diffOpts struct {
	flags uint64                                                                   // undefined flags
	x87   bool                                                                     // compare the x87 state
	skip  func(code []byte, in, host *native.State, vec int, r native.Result) bool // vec is what the guest raised
}

// step runs one instruction in the guest, repeated string instructions to their
// end, and returns the exception vector or -1.
func (d *diff) step() (vec int, code uint32) {
	c := d.c
	defer func() {
		if r := recover(); r != nil {
			f, ok := r.(*fault)
			if !ok {
				panic(r)
			}
			c.stepping = false
			vec, code = int(f.vec), f.code
		}
	}()
	for range 100_000 {
		c.step()
		if c.RIP != diffCodeVA {
			break
		}
	}
	return -1, 0
}

// compare runs code, one instruction, from state in with memory d.data on both
// sides, and returns what differs, or "".
func (d *diff) compare(code []byte, in *native.State, o *diffOpts) string {
	copy(d.host, d.data[:])
	copy(d.guest, d.data[:])
	host := *in
	r := native.Run(code, &host)

	c := d.c
	if !bytes.Equal(d.code[:len(code)], code) {
		copy(d.code, code)
		c.DropCode()
	}
	copy(c.R[:16], in.GPR[:])
	c.RIP = diffCodeVA
	c.SetRFLAGS(in.RFLAGS&0xcd5 | 0x202)
	c.MXCSR = in.MXCSR
	for i := range c.V {
		c.V[i] = in.YMM[i]
	}
	x := &in.X87
	c.FCW, c.FSW, c.FTW, c.FOP, c.FIP, c.FDP = x.FCW, x.FSW, x.FTW, x.FOP, x.FIP, x.FDP
	top := int(x.FSW >> 11 & 7)
	for i, s := range x.ST {
		c.FPFrac[(top+i)&7], c.FPExp[(top+i)&7] = s.Frac, s.SE
	}
	c.CR2 = 0
	vec, errCode := d.step()

	if o.skip != nil && o.skip(code, in, &host, vec, r) {
		return ""
	}
	var out bytes.Buffer
	differ := func(format string, a ...any) { fmt.Fprintf(&out, "\n\t"+format, a...) }
	if vec != r.Vector {
		differ("exception %d, host %d (address %#x)", vec, r.Vector, r.Addr)
	} else if vec == x86.ExcPF {
		if c.CR2 != r.Addr {
			differ("page fault at %#x, host %#x", c.CR2, r.Addr)
		}
		if uint64(errCode)&7 != r.Error&7 {
			differ("page fault code %#x, host %#x", errCode, r.Error)
		}
	} else if vec < 0 && c.RIP != diffCodeVA+uint64(len(code)) {
		differ("RIP +%#x after %d bytes", c.RIP-diffCodeVA, len(code))
	}
	for i := range host.GPR {
		if c.R[i] != host.GPR[i] {
			differ("%s = %#x, host %#x, before %#x", regNames[i], c.R[i], host.GPR[i], in.GPR[i])
		}
	}
	m := diffArith &^ o.flags
	if f := c.RFLAGS(); (f^host.RFLAGS)&m != 0 {
		differ("flags %#x, host %#x, before %#x", f&m, host.RFLAGS&m, in.RFLAGS&m)
	}
	if c.MXCSR != host.MXCSR {
		differ("MXCSR = %#x, host %#x, before %#x", c.MXCSR, host.MXCSR, in.MXCSR)
	}
	for i := range host.YMM {
		if c.V[i] != host.YMM[i] {
			differ("YMM%d = %x\n\t\thost %x\n\t\twas  %x", i, c.V[i], host.YMM[i], in.YMM[i])
		}
	}
	if !bytes.Equal(d.guest, d.host) {
		for i := range d.guest {
			if d.guest[i] != d.host[i] {
				e := min(i&^15+32, len(d.guest))
				b := i &^ 15
				differ("memory +%#x = % x\n\t\thost % x\n\t\twas  % x", b, d.guest[b:e], d.host[b:e], d.data[b:e])
				break
			}
		}
	}
	if o.x87 {
		h := &host.X87
		if c.FSW != h.FSW || c.FCW != h.FCW || c.FTW != h.FTW {
			differ("x87 status %#x control %#x tags %#x, host %#x %#x %#x, before %#x %#x %#x", c.FSW, c.FCW, c.FTW, h.FSW, h.FCW, h.FTW, x.FSW, x.FCW, x.FTW)
		}
		top := int(h.FSW >> 11 & 7)
		for i, s := range h.ST {
			p := (top + i) & 7
			if c.FPFrac[p] != s.Frac || c.FPExp[p] != s.SE {
				differ("R%d = %x:%x, host %x:%x", p, c.FPExp[p], c.FPFrac[p], s.SE, s.Frac)
			}
		}
	}
	if out.Len() == 0 {
		return ""
	}
	var inst decode.Inst
	name := "(undecodable)"
	if decode.Decode(append(append([]byte(nil), code...), make([]byte, 15)...), decode.Mode64, &inst) == nil {
		name = inst.Op.String()
	}
	return fmt.Sprintf("%s [% x]: %s", name, code, out.String())
}

var regNames = [16]string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// Values.

func (d *diff) gpr() uint64 {
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

func (d *diff) float64() uint64 {
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

func (d *diff) float32() uint64 {
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
func (d *diff) vec() (v [4]uint64) {
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
			v[i] = d.gpr()
			if d.IntN(2) == 0 {
				v[i] |= d.gpr() << 32
			}
		}
	}
	return v
}

func (d *diff) mxcsr() uint32 {
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
func (d *diff) state() *native.State {
	s := native.NewState()
	for i := range s.GPR {
		s.GPR[i] = d.gpr()
	}
	s.GPR[x86.RSP] = d.addr + diffData/2 + d.Uint64N(64)*8
	s.RFLAGS = d.Uint64() & 0xcd5
	if d.IntN(4) != 0 {
		s.RFLAGS &^= x86.FlagDF
	}
	s.MXCSR = d.mxcsr()
	for i := range s.YMM {
		s.YMM[i] = d.vec()
	}
	return s
}

// Instructions.

// encode makes a random instruction of an encoding: prefixes, ModRM, SIB,
// displacement and immediate. ok is false where chance asked for what the
// encoding does not allow.
func (d *diff) encode(e *decode.Encoding) (code []byte, x decode.Inst, ok bool) {
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
	if d.compat {
		rex, w = 0, max(0, uint8(e.Attr.W1()+1)/2)
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
			if d.compat {
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
			if d.compat {
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
		if rex != 0 || d.IntN(4) == 0 && !d.compat {
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
	if decode.Decode(code, decode.Mode64, &x) != nil || x.Op != e.Op {
		return nil, x, false
	}
	if d.compat {
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
func (d *diff) lower(x *decode.Inst, st *native.State) bool {
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
func (d *diff) aim(x *decode.Inst, st *native.State) bool {
	size := uint64(16)
	for i := range x.NArgs {
		if x.Args[i].Kind == decode.Mem {
			size = uint64(max(x.Args[i].Size, 1))
		}
	}
	off := d.Uint64N(diffData - 256)
	switch d.IntN(16) {
	case 0: // across the end
		off = diffData - d.Uint64N(size+1)
	case 1: // across the page boundary
		off = mmu.PageSize - d.Uint64N(size+1)
	case 2:
	default:
		off &^= 31
	}
	target := d.addr + off
	if x.Base == decode.RIPReg {
		return false // the code is at another address
	}
	if x.HasMem() && x.AddrSize != 8 && opName(x) != "lea" {
		return false
	}
	if x.HasMem() && opName(x) != "lea" {
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
			t = d.addr - uint64(x.Disp) + d.Uint64N(2048) + 1024
			if d.IntN(8) == 0 {
				t += diffData - 2500
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

func opName(x *decode.Inst) string { return x.Op.String() }

// fillData makes new contents of memory.
func (d *diff) fillData() {
	o := d.IntN(len(d.pool)-diffData) &^ 7
	copy(d.data[:], d.pool[o:])
}

// sweep compares n random instructions of each encoding that pick takes, each
// from several states.
func (d *diff) sweep(t *testing.T, n int, pick func(e *decode.Encoding) bool, prepare func(x *decode.Inst, st *native.State, o *diffOpts) bool) {
	t.Helper()
	start := time.Now()
	bad := map[decode.Op]int{}
	tried := map[decode.Op]int{}
	all := 0
	for first := true; first || *diffTime > 0 && time.Since(start) < *diffTime; first = false {
		for _, e := range decode.Encodings() {
			if !pick(&e) || e.Attr&decode.Not64 != 0 || bad[e.Op] > 2 {
				continue
			}
			for k, fails := 0, 0; k < n && bad[e.Op] < 3; k++ {
				code, x, ok := d.encode(&e)
				if !ok {
					if fails++; fails > 20*n {
						break
					}
					k--
					continue
				}
				for range 4 {
					st := d.state()
					d.fillData()
					var o diffOpts
					if !d.aim(&x, st) || !prepare(&x, st, &o) {
						break
					}
					if d.compat && !d.lower(&x, st) {
						continue
					}
					all++
					tried[e.Op]++
					if msg := d.compare(code, st, &o); msg != "" {
						t.Errorf("seed %d: %s", d.seed, msg)
						if bad[e.Op]++; bad[e.Op] > 2 {
							break
						}
					}
				}
				if len(bad) > 40 {
					t.Fatal("too many instructions differ")
				}
			}
			if tried[e.Op] == 0 && *diffTime == 0 && !d.compat {
				t.Errorf("%v (map %s, %02x) was not tried", e.Op, e.Map, e.Opcode)
				tried[e.Op] = 1
			}
		}
	}
	t.Logf("%d cases", all)
}
