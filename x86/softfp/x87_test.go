package softfp

import (
	"testing"

	"hotblock/internal/native"
)

// f80 makes an operand, an encoding that the unit does not support at times.
func (g gen) f80() F80 {
	var a F80
	switch g.IntN(6) {
	case 0:
		a.Frac = 1 << 63
	case 1:
		a.Frac = ^uint64(0) << g.IntN(64)
	case 2:
		a.Frac = 1<<63 | 1<<g.IntN(63)
	default:
		a.Frac = 1<<63 | g.Uint64()
	}
	sign := uint16(g.Uint32()) & 0x8000
	e := uint16(0)
	switch g.IntN(16) {
	case 0:
		e = 0
	case 1:
		e = 0x7fff
	case 2:
		e = uint16(g.IntN(3))
	case 3:
		e = 0x7ffe - uint16(g.IntN(3))
	case 4:
		e = uint16(g.IntN(0x8000))
	case 5:
		e = uint16(bias80/2 + g.IntN(4))
	case 6:
		e = uint16(bias80*3/2 + g.IntN(4))
	case 7:
		e = uint16(bias80 - 1074 + g.IntN(60))
	case 8:
		e = uint16(bias80 - 150 + g.IntN(30))
	case 9:
		e = uint16(bias80 + 1020 + g.IntN(6))
	case 10:
		e = uint16(bias80 + 125 + g.IntN(6))
	case 11:
		e = uint16(g.IntN(70))
	default:
		e = uint16(bias80 - 5 + g.IntN(70))
	}
	if e == 0 && g.IntN(4) != 0 || g.IntN(40) == 0 {
		a.Frac = a.Frac << 1 >> (1 + g.IntN(63))
	}
	if g.IntN(30) == 0 {
		a.Frac = 0
		e = 0
	}
	a.SE = sign | e
	return a
}

func (g gen) pair80() (a, b F80) {
	a, b = g.f80(), g.f80()
	switch g.IntN(5) {
	case 0:
		b.SE = a.SE ^ uint16(g.Uint32())&0x8000
	case 1:
		b = F80{a.Frac ^ uint64(g.IntN(3)), a.SE ^ 0x8000&uint16(g.Uint32())}
	case 2:
		b.SE = a.SE + uint16(g.IntN(130)) - 65
	}
	return
}

func (g gen) fcw() uint16 {
	cw := uint16(0x40) | uint16(g.IntN(4))<<10 | []uint16{0, 2, 3}[g.IntN(3)]<<8
	if g.IntN(3) != 0 {
		return cw | 0x3f
	}
	return cw | uint16(g.IntN(64))
}

// run87 executes code with ST(0) = a and ST(1) = b.
func run87(t *testing.T, a, b F80, cw uint16, code ...byte) *native.State {
	t.Helper()
	s := native.NewState()
	s.X87.FCW = cw
	s.X87.FSW = 6<<11 | 0x4700
	s.X87.FTW = 0xc0
	s.X87.ST[0], s.X87.ST[1] = native.F80(a), native.F80(b)
	if r := native.Run(code, s); r.Vector >= 0 {
		t.Fatalf("% x: %+v", code, r)
	}
	return s
}

func TestX87Arithmetic(t *testing.T) {
	host(t)
	swap := func(f func(a, b F80, cw uint16) (F80, uint32)) func(a, b F80, cw uint16) (F80, uint32) {
		return func(a, b F80, cw uint16) (F80, uint32) { return f(b, a, cw) }
	}
	for _, c := range []struct {
		name string
		code []byte
		f    func(a, b F80, cw uint16) (F80, uint32)
		mask uint32 // of the status word
	}{
		{"FADD", []byte{0xd8, 0xc1}, Add80, 0x23f},
		{"FMUL", []byte{0xd8, 0xc9}, Mul80, 0x23f},
		{"FSUB", []byte{0xd8, 0xe1}, Sub80, 0x23f},
		{"FSUBR", []byte{0xd8, 0xe9}, swap(Sub80), 0x23f},
		{"FDIV", []byte{0xd8, 0xf1}, Div80, 0x23f},
		{"FDIVR", []byte{0xd8, 0xf9}, swap(Div80), 0x23f},
		{"FSQRT", []byte{0xd9, 0xfa}, func(a, _ F80, cw uint16) (F80, uint32) { return Sqrt80(a, cw) }, 0x23f},
		{"FRNDINT", []byte{0xd9, 0xfc}, func(a, _ F80, cw uint16) (F80, uint32) { return RoundInt80(a, cw) }, 0x23f},
		{"FSCALE", []byte{0xd9, 0xfd}, Scale80, 0x23f},
		{"FPREM", []byte{0xd9, 0xf8}, func(a, b F80, cw uint16) (F80, uint32) { return Rem80(a, b, false, cw) }, 0x473f},
		{"FPREM1", []byte{0xd9, 0xf5}, func(a, b F80, cw uint16) (F80, uint32) { return Rem80(a, b, true, cw) }, 0x473f},
	} {
		g := newGen(uint64(c.code[1]))
		bad := 0
		for range 20000 {
			a, b := g.pair80()
			if c.name == "FSCALE" && g.IntN(3) != 0 {
				b.SE = b.SE&0x8000 | uint16(bias80+g.IntN(18)-2)
			}
			cw := g.fcw()
			s := run87(t, a, b, cw, c.code...)
			want := F80(s.X87.ST[0])
			got, sw := c.f(a, b, cw)
			if NotStored(sw, cw) {
				got = a
			}
			mask := c.mask
			if x, y := unpack80(a), unpack80(b); mask&C3 != 0 && (x.class != finite || y.class != finite || NotStored(sw, cw)) {
				mask &^= C3 | C0
			}
			if got != want || sw&mask != uint32(s.X87.FSW)&mask {
				t.Errorf("%s CW %#x: %x op %x = %x SW %#x, host %x SW %#x", c.name, cw, a, b, got, sw, want, uint32(s.X87.FSW)&mask)
				if bad++; bad > 7 {
					break
				}
			}
		}
	}
}

func TestX87Conversions(t *testing.T) {
	host(t)
	g := newGen(11)
	buf, addr := native.Alloc(4096)
	mem := func(n int) (v uint64) {
		for i := range n {
			v |= uint64(buf[i]) << (8 * i)
		}
		return
	}
	bad := 0
	for range 30000 {
		a, b := g.pair80()
		cw := g.fcw()
		check := func(name string, got, want any, sw, host uint32, mask uint32) {
			t.Helper()
			if got != want || sw&mask != host&mask {
				t.Errorf("%s CW %#x: %x, %x = %x SW %#x, host %x SW %#x", name, cw, a, b, got, sw, want, host&mask)
				if bad++; bad > 12 {
					t.FailNow()
				}
			}
		}
		store := func(name string, n int, got uint64, sw uint32, code ...byte) {
			t.Helper()
			for i := range 16 {
				buf[i] = 0x5a
			}
			s := native.NewState()
			s.X87.FCW, s.X87.FSW, s.X87.FTW = cw, 6<<11|0x4700, 0xc0
			s.X87.ST[0] = native.F80(a)
			s.GPR[0] = addr
			if r := native.Run(code, s); r.Vector >= 0 {
				t.Fatalf("% x: %+v", code, r)
			}
			if NotStoredMem(sw, cw) {
				got = 0x5a5a5a5a5a5a5a5a >> (64 - 8*n)
			}
			check(name, got, mem(n), sw, uint32(s.X87.FSW), 0x23f)
		}
		v32, sw := To32(a, cw)
		store("FST m32", 4, uint64(v32), sw, 0xd9, 0x10)
		v64, sw := To64(a, cw)
		store("FST m64", 8, v64, sw, 0xdd, 0x10)
		for _, c := range []struct {
			name  string
			size  uint
			trunc bool
			code  [2]byte
		}{{"FIST m16", 16, false, [2]byte{0xdf, 0x10}}, {"FIST m32", 32, false, [2]byte{0xdb, 0x10}}, {"FISTP m64", 64, false, [2]byte{0xdf, 0x38}},
			{"FISTTP m16", 16, true, [2]byte{0xdf, 0x08}}, {"FISTTP m32", 32, true, [2]byte{0xdb, 0x08}}, {"FISTTP m64", 64, true, [2]byte{0xdd, 0x08}}} {
			v, sw := ToInt80(a, c.size, c.trunc, cw)
			store(c.name, int(c.size/8), v, sw, c.code[:]...)
		}
		bcd, sw := ToBCD(a, cw)
		var low uint64
		for i := range 8 {
			low |= uint64(bcd[i]) << (8 * i)
		}
		store("FBSTP", 8, low, sw, 0xdf, 0x30)
		if !NotStoredMem(sw, cw) {
			check("FBSTP high", [2]byte(bcd[8:]), [2]byte(buf[8:10]), 0, 0, 0)
		}
		load := func(name string, got F80, sw uint32, v uint64, n int, code ...byte) {
			t.Helper()
			for i := range n {
				buf[i] = byte(v >> (8 * i))
			}
			s := native.NewState()
			s.X87.FCW, s.X87.FSW = cw, 0x4700
			s.GPR[0] = addr
			if r := native.Run(code, s); r.Vector >= 0 {
				t.Fatalf("% x: %+v", code, r)
			}
			if !NotStored(sw, cw) {
				check(name, got, F80(s.X87.ST[0]), sw, uint32(s.X87.FSW), 0x3f)
			} else {
				check(name, 0, 0, sw, uint32(s.X87.FSW), 0x3f)
			}
		}
		x32, x64 := uint32(g.bits(&f32)), g.bits(&f64)
		r, sw := From32(x32, cw)
		load("FLD m32", r, sw, uint64(x32), 4, 0xd9, 0x00)
		r, sw = From64(x64, cw)
		load("FLD m64", r, sw, x64, 8, 0xdd, 0x00)
		i := int64(g.Uint64()) >> g.IntN(64)
		load("FILD m64", FromInt80(i), 0, uint64(i), 8, 0xdf, 0x28)
		d := BCD{9: byte(g.Uint32()) & 0x80}
		for i := range 9 {
			d[i] = byte(g.IntN(10) | g.IntN(10)<<4)
		}
		buf[8], buf[9] = d[8], d[9]
		low = 0
		for i := range 8 {
			low |= uint64(d[i]) << (8 * i)
		}
		load("FBLD", FromBCD(d), 0, low, 8, 0xdf, 0x20)

		s := run87(t, a, b, cw, 0xd8, 0xd1)
		check("FCOM", 0, 0, Compare80(a, b, true, cw), uint32(s.X87.FSW), 0x453f)
		s = run87(t, a, b, cw, 0xdd, 0xe1)
		check("FUCOM", 0, 0, Compare80(a, b, false, cw), uint32(s.X87.FSW), 0x453f)
		s = run87(t, a, b, cw, 0xdb, 0xf1)
		sw = Compare80(a, b, true, cw)
		if !NotStored(sw, cw) {
			check("FCOMI", CompareFlags(sw), uint32(s.RFLAGS&0x45), sw, uint32(s.X87.FSW), 0x3f)
		}
		s = run87(t, a, b, cw, 0xd9, 0xe5)
		check("FXAM", 0, 0, Xam80(a), uint32(s.X87.FSW), 0x4700)
		s = run87(t, a, b, cw, 0xd9, 0xf4)
		e, f, sw := Extract80(a, cw)
		if NotStored(sw, cw) {
			check("FXTRACT", a, F80(s.X87.ST[0]), sw, uint32(s.X87.FSW), 0x3f)
		} else {
			check("FXTRACT", f, F80(s.X87.ST[0]), sw, uint32(s.X87.FSW), 0x3f)
			check("FXTRACT", e, F80(s.X87.ST[1]), 0, 0, 0)
		}
	}
	for n := range 7 {
		for mode := range uint16(4) {
			cw := 0x37f | mode<<10
			s := native.NewState()
			s.X87.FCW = cw
			native.Run([]byte{0xd9, 0xe8 + byte(n)}, s)
			if got := Const80(n, cw); got != F80(s.X87.ST[0]) {
				t.Errorf("constant %d, RC %d: %x, host %x", n, mode, got, s.X87.ST[0])
			}
		}
	}
}
