package decode_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

var effectsTries = flag.Int("effects.tries", 16, "instructions of each encoding that the host runs")

const (
	bufSize   = 8192
	flagsAll  = x86.FlagsArith | x86.FlagDF
	flagOrder = "CF PF AF ZF SF DF OF"
)

var flagBits = []uint64{x86.FlagCF, x86.FlagPF, x86.FlagAF, x86.FlagZF, x86.FlagSF, x86.FlagDF, x86.FlagOF}

// bench runs instructions on the host.
type bench struct {
	*rand.Rand
	buf  []byte // between pages that are not mapped
	addr uint64
}

// outcome is all that an instruction leaves behind.
type outcome struct {
	native.State
	native.Result
	mem [bufSize]byte
}

// trial is an instruction with what it starts from.
type trial struct {
	code []byte
	x    decode.Inst
	e    decode.Effects
	st   native.State
	mem  [bufSize]byte
	ea   uint64 // of the memory operand
	lo   uint64 // where the access is in mem, by Effects: lo to hi
	hi   uint64
}

func (b *bench) run(c *trial) *outcome {
	o := &outcome{State: c.st}
	copy(b.buf, c.mem[:])
	o.Result = native.Run(c.code, &o.State)
	copy(o.mem[:], b.buf)
	o.RFLAGS &= flagsAll
	o.X87.FIP, o.X87.FDP, o.X87.FOP = 0, 0, 0
	return o
}

func (b *bench) gpr() uint64 {
	switch b.IntN(5) {
	case 0:
		return b.Uint64N(20)
	case 1:
		return -b.Uint64N(20)
	case 2:
		return b.Uint64() >> b.IntN(64)
	case 3:
		return b.Uint64() << b.IntN(64)
	}
	return b.Uint64()
}

// registers makes all of them.
func (b *bench) registers(gpr *[16]uint64) {
	for i := range gpr {
		gpr[i] = b.gpr()
	}
	gpr[x86.RSP] |= 1 << 20 // with zero the host would give it a stack of its own
}

// state makes a state in which nothing is unmasked or pending.
func (b *bench) state() native.State {
	s := native.NewState()
	b.registers(&s.GPR)
	s.RFLAGS = b.Uint64() & flagsAll
	for i := range s.YMM {
		for k := range s.YMM[i] {
			s.YMM[i][k] = b.word()
		}
	}
	s.X87.FTW = 0xff
	if b.IntN(2) == 0 {
		s.X87.FTW, s.X87.FSW = uint8(b.Uint32()), uint16(b.IntN(8))<<11
	}
	for i := range s.X87.ST {
		s.X87.ST[i] = native.F80{Frac: b.Uint64() | 1<<63, SE: 0x3ff0 + uint16(b.IntN(32))}
	}
	return *s
}

// word makes a vector element: a float64, two float32 or an integer.
func (b *bench) word() uint64 {
	switch b.IntN(3) {
	case 0:
		return (0x3f0+b.Uint64N(32))<<52 | b.Uint64()>>12
	case 1:
		return (0x70+b.Uint64N(32))<<23 | b.Uint64()>>41 | (0x70+b.Uint64N(32))<<55
	}
	return b.Uint64()
}

// controls are the instructions that load control registers.
var controls = map[string]bool{"ldmxcsr": true, "vldmxcsr": true, "fldcw": true, "fldenv": true, "frstor": true}

// fill makes memory. Where an instruction loads control registers, it is what
// they may hold.
func (b *bench) fill(x *decode.Inst, mem []byte) {
	zero := b.IntN(6) == 0
	for i := 0; i < len(mem); i += 8 {
		v := b.word()
		if zero {
			v = 0
		}
		switch n := x.Op.String(); {
		case strings.HasSuffix(n, "ldmxcsr"):
			v = 0x00001f8000001f80 | (b.Uint64()&0x3f)*0x100000001
		case controls[n]:
			v = 0x0001000100010001 * []uint64{0x37f, 0x27f, 0x77f, 0xb7f}[b.IntN(4)]
		}
		binary.LittleEndian.PutUint64(mem[i:], v)
	}
}

// aim makes the registers such that the memory operand is at ea, and notes where
// the access should be. It reports false where the encoding has no free base.
func (c *trial) aim(b *bench, ea uint64) bool {
	x := &c.x
	if !x.HasMem() {
		return true
	}
	c.ea = ea
	switch {
	case !x.HasModRM && x.Base == decode.NoReg && x.ImmLen == 8: // absolute
		binary.LittleEndian.PutUint64(c.code[len(c.code)-8:], ea)
	case x.Base >= decode.NoReg || x.Index == x.Base || x.VIndex.Kind != decode.None:
		return false
	default:
		t := ea - uint64(x.Disp)
		if x.Index != decode.NoReg {
			c.st.GPR[x.Index] = b.Uint64N(1000) + 1
			t -= c.st.GPR[x.Index] << x.Scale
		}
		c.st.GPR[x.Base] = t
	}
	if c.e.BitString {
		// The element is the one that the signed bit offset is in.
		n := uint64(c.e.MemSize)
		off := int64(c.st.GPR[x.Args[1].Reg])
		switch n {
		case 2:
			off = int64(int16(off))
		case 4:
			off = int64(int32(off))
		}
		i := off / int64(8*n)
		if off%int64(8*n) < 0 {
			i--
		}
		ea += uint64(i) * n
	}
	c.lo = ea - b.addr
	c.hi = c.lo + uint64(c.e.MemSize)
	return true
}

// trial makes a random instruction of an encoding with a start; ok is false where
// it cannot be tried.
func (b *bench) trial(e *decode.Encoding, want func(c *trial) bool) (c *trial, ok bool) {
	c = &trial{}
	if c.code, c.x, ok = random(b.Rand, e, decode.Mode64); !ok {
		return nil, false
	}
	x := &c.x
	c.e = x.Effects()
	if !want(c) || x.SegOver {
		return nil, false
	}
	if x.HasMem() && x.AddrSize != 8 && c.e.Mem != decode.AccessAddress {
		return nil, false
	}
	c.st = b.state()
	switch x.Op.String() {
	case "div", "idiv":
		c.st.GPR[x86.RDX] = 0
		c.st.GPR[x86.RAX] &= 0xff
	case "bextr":
		c.st.GPR[x.Args[2].Reg] = b.Uint64N(16) | b.Uint64N(64)<<8
	case "pcmpestri", "pcmpestrm", "vpcmpestri", "vpcmpestrm": // lengths
		c.st.GPR[x86.RAX], c.st.GPR[x86.RDX] = b.Uint64N(18), b.Uint64N(18)
	case "shl", "shr", "sar", "rol", "ror", "rcl", "rcr", "shld", "shrd":
		if b.IntN(2) == 0 {
			c.st.GPR[x86.RCX] = b.Uint64N(3)
		}
	}
	b.fill(x, c.mem[:])
	if c.e.BitString {
		r := x.Args[1].Reg
		if r == x.Base || r == x.Index {
			return nil, false
		}
		c.st.GPR[r] = uint64(b.IntN(16000) - 8000)
	}
	ea := b.addr + 2048 + b.Uint64N(32)*64
	if c.e.Align == 0 && b.IntN(2) == 0 && !controls[x.Op.String()] {
		ea += b.Uint64N(64)
	}
	if c.e.Class == decode.ClassString || x.Op.String() == "xlat" {
		if x.AddrSize != 8 {
			return nil, false
		}
		c.st.GPR[x86.RSI], c.st.GPR[x86.RDI] = b.addr+2048+b.Uint64N(4096), b.addr+2048+b.Uint64N(4096)
		c.st.GPR[x86.RCX] = b.Uint64N(20)
		if x.Op.String() == "xlat" {
			c.st.GPR[x86.RBX] = ea
		}
	}
	if c.e.Class == decode.ClassStack {
		c.st.GPR[x86.RSP] = b.addr + 4096 + b.Uint64N(128)*8
		c.st.GPR[x86.RBP] = b.addr + 4096 + b.Uint64N(128)*8
		if x.HasMem() && (x.Base == x86.RSP || x.Base == x86.RBP || x.Index == x86.RBP) || x.Op.String() == "enter" && x.Imm > 1024 {
			return nil, false
		}
	}
	if !c.aim(b, ea) {
		return nil, false
	}
	// No bit to scan for, and a comparison with rAX that holds, sometimes.
	name := x.Op.String()
	if (name == "bsf" || name == "bsr") && b.IntN(2) == 0 {
		if x.HasMem() {
			clear(c.mem[c.lo:c.hi])
		} else if r := x.Args[1].Reg; r != x86.RSP {
			c.st.GPR[r] = 0
		}
	}
	if name == "cmpxchg" && b.IntN(2) == 0 {
		if x.HasMem() {
			copy(c.mem[c.lo:c.hi], binary.LittleEndian.AppendUint64(nil, c.st.GPR[x86.RAX])[:c.e.MemSize])
		} else {
			c.st.GPR[x86.RAX] = c.st.GPR[x.Args[0].Reg]
		}
	} else if name == "cmpxchg8b" && b.IntN(2) == 0 {
		n := c.e.MemSize / 2
		for i, r := range []int{x86.RAX, x86.RDX} {
			copy(c.mem[c.lo+uint64(i)*uint64(n):], binary.LittleEndian.AppendUint64(nil, c.st.GPR[r])[:n])
		}
	}
	return c, true
}

func (c *trial) String() string {
	return fmt.Sprintf("%v [% x] %+v", c.x.Op, c.code, c.e)
}

// unchanged says what o changed that Effects does not let it change.
func (c *trial) unchanged(o *outcome) (bad []string) {
	for i := range o.GPR {
		if c.e.GPRWritten>>i&1 == 0 && o.GPR[i] != c.st.GPR[i] {
			bad = append(bad, fmt.Sprintf("register %d is written", i))
		}
	}
	if f := (o.RFLAGS ^ c.st.RFLAGS) & flagsAll &^ uint64(c.e.FlagsWritten|c.e.FlagsMaybe|c.e.FlagsUndefined); f != 0 {
		bad = append(bad, fmt.Sprintf("flags %#x are written", f))
	}
	before, after := c.st.X87, o.X87
	before.FIP, before.FDP, before.FOP = 0, 0, 0
	if !c.e.X87 && before != after {
		bad = append(bad, "the x87 state is written")
	}
	for i := range o.YMM {
		v, w := c.st.YMM[i], o.YMM[i]
		if !c.e.Vector && v != w {
			bad = append(bad, fmt.Sprintf("YMM%d is written", i))
		} else if !c.e.AVX && (v[2] != w[2] || v[3] != w[3]) {
			bad = append(bad, fmt.Sprintf("the upper half of YMM%d is written", i))
		}
	}
	if !c.e.Vector && o.MXCSR != c.st.MXCSR {
		bad = append(bad, "MXCSR is written")
	}
	if c.e.Class != decode.ClassPlain && !c.x.HasMem() || c.e.Class == decode.ClassStack {
		return bad // it has implicit memory operands
	}
	lo, hi := c.lo, c.hi
	if c.e.Mem&decode.AccessWrite == 0 || c.e.Mem == decode.AccessAddress {
		lo, hi = 0, 0
	}
	if !bytes.Equal(c.mem[:lo], o.mem[:lo]) || !bytes.Equal(c.mem[hi:], o.mem[hi:]) {
		bad = append(bad, "memory is written")
	}
	return bad
}

// depends says in which ways the outcomes of c and d differ other than by what was
// different before and is not written.
func depends(c, d *trial, o, p *outcome) (bad []string) {
	if o.Result != p.Result {
		return []string{fmt.Sprintf("%+v and %+v", o.Result, p.Result)}
	}
	for i := range o.GPR {
		if o.GPR[i] != p.GPR[i] && (c.e.GPRWritten>>i&1 != 0 || c.st.GPR[i] == d.st.GPR[i]) {
			bad = append(bad, fmt.Sprintf("register %d is %#x and %#x", i, o.GPR[i], p.GPR[i]))
		}
	}
	for i, f := range flagBits {
		before := (c.st.RFLAGS^d.st.RFLAGS)&f != 0
		if (o.RFLAGS^p.RFLAGS)&f == 0 || uint64(c.e.FlagsUndefined)&f != 0 || before && uint64(c.e.FlagsWritten)&f == 0 {
			continue
		}
		bad = append(bad, "flag "+strings.Fields(flagOrder)[i])
	}
	if o.YMM != p.YMM || o.MXCSR != p.MXCSR {
		bad = append(bad, "vector registers")
	}
	if o.X87 != p.X87 {
		bad = append(bad, "x87 registers")
	}
	lo, hi := c.lo, c.hi
	if c.e.Mem == decode.AccessNone {
		lo, hi = 0, 0
	}
	if !bytes.Equal(o.mem[lo:hi], p.mem[lo:hi]) {
		bad = append(bad, "memory")
	}
	return bad
}

// others changes everything that the instruction should not look at.
func (c *trial) others(b *bench) *trial {
	d := *c
	b.registers(&d.st.GPR)
	for i := range d.st.GPR {
		if c.e.GPRRead>>i&1 != 0 {
			d.st.GPR[i] = c.st.GPR[i]
		}
	}
	d.st.RFLAGS ^= b.Uint64() & flagsAll &^ uint64(c.e.FlagsRead)
	if c.e.Class != decode.ClassPlain {
		return &d // memory may be an operand
	}
	b.fill(&d.x, d.mem[:])
	if c.e.Mem&decode.AccessRead != 0 && c.e.Mem != decode.AccessAddress {
		copy(d.mem[c.lo:c.hi], c.mem[c.lo:c.hi])
	}
	return &d
}

// seen notes of a mnemonic which of the effects claimed showed up; of registers
// those that are no operands, and which operands are read.
type seen struct {
	claimed, shown struct {
		args                    uint8
		gprRead, gprWritten     uint32
		flagsRead, flagsWritten uint64
		memRead, memWritten     bool
	}
}

func (s *seen) note(b *bench, c *trial, o *outcome) {
	// matters reports whether another value of a register changes something.
	matters := func(reg int) bool {
		d := *c
		if d.st.GPR[reg] = b.gpr() | 1; b.IntN(2) == 0 {
			d.st.GPR[reg] = ^c.st.GPR[reg] | 1
		}
		p := b.run(&d)
		return len(depends(c, &d, o, p)) != 0 || o.mem != p.mem
	}
	named, twice := uint32(0), uint32(0)
	if c.x.HasMem() {
		named |= (1<<c.x.Base | 1<<c.x.Index) & 0xffff
	}
	for i := range c.x.NArgs {
		if a := &c.x.Args[i]; (a.Kind == decode.GPR || a.Kind == decode.GPRHi) && a.Slot != decode.SlotNone {
			twice |= named & (1 << a.Reg)
			named |= 1 << a.Reg
		}
	}
	for i := range c.x.NArgs {
		a := &c.x.Args[i]
		if a.Kind == decode.GPR && a.Size >= 4 && a.Slot != decode.SlotNone && twice>>a.Reg&1 == 0 && c.e.GPRRead>>a.Reg&1 != 0 {
			if s.claimed.args |= 1 << i; s.shown.args>>i&1 == 0 && matters(int(a.Reg)) {
				s.shown.args |= 1 << i
			}
		}
	}
	s.claimed.gprWritten |= c.e.GPRWritten &^ named
	s.claimed.flagsWritten |= uint64(c.e.FlagsWritten | c.e.FlagsMaybe)
	for i := range o.GPR {
		if o.GPR[i] != c.st.GPR[i] {
			s.shown.gprWritten |= 1 << i
		}
	}
	s.shown.flagsWritten |= o.RFLAGS ^ c.st.RFLAGS
	if c.e.Mem != decode.AccessAddress && c.e.Mem&decode.AccessWrite != 0 {
		s.claimed.memWritten = true
		s.shown.memWritten = s.shown.memWritten || o.mem != c.mem
	}
	for i := range c.st.GPR {
		if bit := uint32(1) << i; c.e.GPRRead&^named&bit != 0 {
			s.claimed.gprRead |= bit
			if s.shown.gprRead&bit == 0 && matters(i) {
				s.shown.gprRead |= bit
			}
		}
	}
	for _, f := range flagBits {
		if uint64(c.e.FlagsRead)&f != 0 {
			s.claimed.flagsRead |= f
			if s.shown.flagsRead&f == 0 {
				d := *c
				d.st.RFLAGS ^= f
				if p := b.run(&d); len(depends(c, &d, o, p)) != 0 || o.mem != p.mem {
					s.shown.flagsRead |= f
				}
			}
		}
	}
	if c.e.Mem != decode.AccessAddress && c.e.Mem&decode.AccessRead != 0 && c.e.Class == decode.ClassPlain {
		s.claimed.memRead = true
		if !s.shown.memRead {
			d := *c
			b.fill(&d.x, d.mem[:])
			if p := b.run(&d); len(depends(c, &d, o, p)) != 0 {
				s.shown.memRead = true
			}
		}
	}
}

// faults checks which bytes of memory the instruction touches, and how.
func (c *trial) faults(b *bench) (bad []string) {
	if c.x.Op.String() == "movsxd" && c.x.OpSize == 2 {
		return nil // reads two bytes by the manual, four on AMD's processors
	}
	at := func(ea uint64) native.Result {
		d := *c
		d.code = bytes.Clone(c.code)
		d.st.GPR = c.st.GPR
		d.aim(b, ea)
		return b.run(&d).Result
	}
	end := b.addr + bufSize
	if c.e.Mem == decode.AccessAddress {
		if r := at(end + 64); r.Vector >= 0 {
			bad = append(bad, fmt.Sprintf("an address raises %+v", r))
		}
		return bad
	}
	size := uint64(c.e.MemSize)
	if size == 0 {
		return append(bad, "no size")
	}
	if r := at(end - size); r.Vector == x86.ExcPF || r.Vector == x86.ExcGP {
		bad = append(bad, fmt.Sprintf("the last %d bytes of a page raise %+v", size, r))
	}
	over := end - size + 1
	if c.e.Align != 0 {
		over = end
	}
	switch r := at(over); {
	case r.Vector != x86.ExcPF:
		bad = append(bad, fmt.Sprintf("a byte over the end of the page is not accessed: %+v", r))
	case c.e.Mem == decode.AccessRead && r.Error&2 != 0:
		bad = append(bad, "it is a write")
	case c.e.Mem == decode.AccessWrite && r.Error&2 == 0:
		bad = append(bad, "it is a read")
	}
	if strings.HasPrefix(c.x.Op.String(), "sha") {
		return bad // AMD's processors do not ask for the alignment that the manual gives
	}
	if r := at(b.addr + 64 + 8); c.e.Align > 8 != (r.Vector == x86.ExcGP) {
		bad = append(bad, fmt.Sprintf("an address that is a multiple of 8 raises %+v", r))
	}
	if r := at(b.addr + 64 + 16); c.e.Align > 16 != (r.Vector == x86.ExcGP) {
		bad = append(bad, fmt.Sprintf("an address that is a multiple of 16 raises %+v", r))
	}
	return bad
}

// TestEffectsHost holds what Effects says against what the host does.
func TestEffectsHost(t *testing.T) {
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
	b := &bench{}
	b.buf, b.addr = native.Alloc(bufSize)
	want := func(c *trial) bool {
		switch c.e.Class {
		case decode.ClassPlain:
			return true
		case decode.ClassString, decode.ClassStack:
			n := c.x.Op.String()
			return n != "ins" && n != "outs" && n != "popf"
		}
		return c.x.Op.String() == "xlat"
	}
	type form struct {
		op    decode.Op
		nargs uint8 // those of IMUL differ
	}
	all := map[form]*seen{}
	failures := map[decode.Op]int{}
	runs := 0
	for i, e := range decode.Encodings() {
		if e.Attr&decode.Not64 != 0 {
			continue
		}
		b.Rand = rand.New(rand.NewPCG(1, uint64(i))) // the same on all hosts, whatever they lack
		fail := func(c *trial, bad []string) {
			if len(bad) != 0 {
				if failures[e.Op]++; failures[e.Op] <= 2 {
					t.Errorf("%v: %s", c, strings.Join(bad, ", "))
				}
			}
		}
		for tried, n := 0, 0; n < 60**effectsTries && tried < *effectsTries; n++ {
			c, ok := b.trial(&e, want)
			if !ok {
				continue
			}
			o := b.run(c)
			switch o.Vector {
			case x86.ExcUD: // the host does not have it
				tried = 1 << 20
				continue
			case x86.ExcDE:
				continue
			case -1:
			case x86.ExcPF:
				if c.e.BitString {
					continue
				}
				fallthrough
			default:
				fail(c, []string{fmt.Sprintf("raises %+v", o.Result)})
				continue
			}
			tried++
			runs++
			fail(c, c.unchanged(o))
			for range 3 {
				d := c.others(b)
				fail(c, depends(c, d, o, b.run(d)))
			}
			f := form{e.Op, c.x.NArgs}
			s := all[f]
			if s == nil {
				s = &seen{}
				all[f] = s
			}
			s.note(b, c, o)
			if c.e.Mem != decode.AccessNone && !c.e.BitString && c.e.Class == decode.ClassPlain && n%4 == 0 {
				fail(c, c.faults(b))
			}
		}
	}
	for f, s := range all {
		op := f.op
		if s.claimed.args != s.shown.args {
			t.Errorf("%v: operands %b read by Effects, %b seen", op, s.claimed.args, s.shown.args)
		}
		if s.claimed.gprRead&^s.shown.gprRead != 0 || s.claimed.gprWritten&^s.shown.gprWritten != 0 {
			t.Errorf("%v: registers %#x read, %#x written by Effects, %#x, %#x seen", op, s.claimed.gprRead, s.claimed.gprWritten, s.shown.gprRead, s.shown.gprWritten)
		}
		if s.claimed.flagsRead&^s.shown.flagsRead != 0 || s.claimed.flagsWritten&^s.shown.flagsWritten != 0 {
			t.Errorf("%v: flags %#x read, %#x written by Effects, %#x, %#x seen", op, s.claimed.flagsRead, s.claimed.flagsWritten, s.shown.flagsRead, s.shown.flagsWritten)
		}
		if s.claimed.memRead && !s.shown.memRead || s.claimed.memWritten && !s.shown.memWritten {
			t.Errorf("%v: memory %+v by Effects, %+v seen", op, s.claimed, s.shown)
		}
	}
	t.Logf("%d cases, %d mnemonics", runs, len(all))
	if len(all) < 400 {
		t.Errorf("only %d mnemonics were tried", len(all))
	}
}

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
				if e := in.Effects(); e.GPRRead == 0 {
					b.Fatal("reads nothing")
				}
			}
		})
	}
}
