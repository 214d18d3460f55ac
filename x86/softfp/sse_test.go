package softfp

import (
	"math"
	"math/rand/v2"
	"testing"

	"hotblock/internal/native"
)

func host(t testing.TB) {
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
}

type gen struct{ *rand.Rand }

func newGen(seed uint64) gen { return gen{rand.New(rand.NewPCG(seed, 2))} }

// bits makes a number of the given format with few or many significant bits,
// near the limits of the format as often as near one.
func (g gen) bits(f *format) uint64 {
	fracBits := f.prec - 1
	top := uint64(1)<<f.expBits() - 1
	sign := g.Uint64() & f.signBit()
	var frac uint64
	switch g.IntN(6) {
	case 0:
		frac = 0
	case 1:
		frac = 1
	case 2:
		frac = 1<<fracBits - 1
	case 3:
		frac = 1 << g.IntN(int(fracBits))
	case 4:
		frac = g.Uint64() & (1<<fracBits - 1) >> g.IntN(int(fracBits))
	default:
		frac = g.Uint64() & (1<<fracBits - 1)
	}
	var e uint64
	switch g.IntN(12) {
	case 0:
		e = 0
	case 1:
		e = top
	case 2:
		e = uint64(g.IntN(4))
	case 3:
		e = top - uint64(g.IntN(4))
	case 4:
		e = g.Uint64N(top + 1)
	case 5:
		e = uint64(f.bias)/2 + uint64(g.IntN(3))
	case 6:
		e = uint64(f.bias)*3/2 + uint64(g.IntN(3))
	case 7:
		e = uint64(g.IntN(int(f.prec) + 6))
	default:
		e = uint64(f.bias) + uint64(g.IntN(70)) - 5
		if f.bias < 100 {
			e = uint64(f.bias) + uint64(g.IntN(12)) - 5
		}
	}
	return sign | e<<fracBits | frac
}

func (g gen) v32() V128 {
	q := func() uint64 { return g.bits(&f32) | g.bits(&f32)<<32 }
	return V128{q(), q()}
}
func (g gen) v64() V128 { return V128{g.bits(&f64), g.bits(&f64)} }

// near makes b close to a at times, so that sums cancel.
func (g gen) near(a, b V128, w uint) V128 {
	if g.IntN(4) != 0 {
		return b
	}
	sign := uint64(1) << 63
	if w == 32 {
		sign |= 1 << 31
	}
	return V128{a[0] ^ sign&g.Uint64() ^ uint64(g.IntN(4)), a[1] ^ sign&g.Uint64()}
}

// mxcsrs are all rounding modes, DAZ and FTZ with all exceptions masked, with PE
// set before and not, and with random masks.
func (g gen) mxcsr() uint32 {
	m := uint32(g.IntN(4))<<rcShift | uint32(g.IntN(2))*DAZ | uint32(g.IntN(2))*FTZ
	switch g.IntN(8) {
	case 0:
		m = 0
	case 1:
		m = DAZ | FTZ
	}
	switch g.IntN(4) {
	case 0:
		return m | MaskAll | PE
	case 1:
		return m | g.Uint32()&MaskAll
	}
	return m | MaskAll
}

type opcase struct {
	name string
	code []byte // on XMM1, XMM2 (and XMM3)
	f    func(d, a, b, c *V128, m uint32) uint32
	w    uint // bits of an element; 16 for half precision; 1 for integers
}

func (c *opcase) run(t *testing.T, n int) {
	t.Helper()
	g := newGen(uint64(len(c.name)) + uint64(c.code[len(c.code)-1]))
	bad := 0
	for range n {
		var a, b, d, e V128
		switch c.w {
		case 32:
			a, b, d = g.v32(), g.v32(), g.v32()
			b, d = g.near(a, b, 32), g.near(a, d, 32)
		case 64:
			a, b, d = g.v64(), g.v64(), g.v64()
			b, d = g.near(a, b, 64), g.near(a, d, 64)
		case 16:
			for i := range 8 {
				b.SetWord(i, uint16(g.bits(&f16)))
			}
		case 1:
			b = V128{g.Uint64() >> g.IntN(64), uint64(int64(g.Uint64()) >> g.IntN(64))}
		}
		m := g.mxcsr()
		s := native.NewState()
		s.MXCSR = m
		for i, v := range []V128{a, b, d} {
			s.YMM[1+i] = [4]uint64{v[0], v[1]}
		}
		r := native.Run(c.code, s)
		if r.Vector >= 0 && r.Vector != 19 {
			t.Fatalf("%s % x: fault %+v", c.name, c.code, r)
		}
		want := V128{s.YMM[1][0], s.YMM[1][1]}
		e = a
		fl := c.f(&e, &a, &b, &d, m)
		if e != want || s.MXCSR != m|fl || (r.Vector == 19) != (Unmasked(fl, m) != 0) {
			t.Errorf("%s % x, MXCSR %#x: %x op %x, %x = %x flags %#x, host %x flags %#x (vector %d)",
				c.name, c.code, m, a, b, d, e, fl, want, s.MXCSR&0x3f, r.Vector)
			if bad++; bad > 4 {
				return
			}
		}
	}
}

func TestSSE(t *testing.T) {
	host(t)
	prefix := [4][]byte{nil, {0x66}, {0xf3}, {0xf2}}
	width := [4]uint{32, 64, 32, 64}
	for op := range Arith0F {
		for pp, f := range Arith0F[op] {
			if f == nil || op == 0x52 || op == 0x53 {
				continue
			}
			w := width[pp]
			switch {
			case op == 0x5b && pp == 0 || op == 0xe6 && pp == 2:
				w = 1
			case op == 0x5b || (op == 0x7c || op == 0x7d || op == 0xd0) && pp == 3:
				w = 32
			}
			c := opcase{"0F", append(append([]byte{}, prefix[pp]...), 0x0f, byte(op), 0xca),
				func(d, a, b, _ *V128, m uint32) uint32 { return f(d, a, b, m) }, w}
			c.run(t, 4000)
		}
	}
}

func TestPredicates(t *testing.T) {
	host(t)
	for pp, f := range Cmp0FC2 {
		for i := range uint8(32) {
			c := opcase{"VCMP", []byte{0xc5, 0xf0 | byte(pp), 0xc2, 0xca, i},
				func(d, a, b, _ *V128, m uint32) uint32 { return f(d, a, b, i, m) }, []uint{32, 64, 32, 64}[pp]}
			c.run(t, 300)
		}
	}
}

func TestImmediates(t *testing.T) {
	host(t)
	for op, f := range Imm0F3A {
		if f == nil {
			continue
		}
		for imm := range 256 {
			i := uint8(imm)
			n := 30
			if op < 0x40 {
				if imm > 15 {
					continue
				}
				n = 2000
			}
			c := opcase{"0F3A", []byte{0x66, 0x0f, 0x3a, byte(op), 0xca, i},
				func(d, a, b, _ *V128, m uint32) uint32 { return f(d, a, b, i, m) }, 32 << (op & 1)}
			c.run(t, n)
		}
	}
	for i := range uint8(8) {
		c := opcase{"VCVTPS2PH", []byte{0xc4, 0xe3, 0x79, 0x1d, 0xd1, i}, // to xmm1 from xmm2
			func(d, _, b, _ *V128, m uint32) uint32 { return VCVTPS2PH(d, nil, b, i, m) }, 32}
		c.run(t, 3000)
	}
	c := opcase{"VCVTPH2PS", []byte{0xc4, 0xe2, 0x79, 0x13, 0xca},
		func(d, _, b, _ *V128, m uint32) uint32 { return VCVTPH2PS(d, nil, b, m) }, 16}
	c.run(t, 3000)
}

func TestFMA(t *testing.T) {
	host(t)
	for _, form := range []byte{0x90, 0xa0, 0xb0} {
		for low := byte(6); low < 16; low++ {
			k := FMAKinds[low]
			for w := range 2 {
				f := FMAPS
				switch {
				case low >= 8 && low&1 != 0 && w == 0:
					f = FMASS
				case low >= 8 && low&1 != 0:
					f = FMASD
				case w == 1:
					f = FMAPD
				}
				c := opcase{"FMA", []byte{0xc4, 0xe2, 0x69 | byte(w)<<7, form | low, 0xcb}, // xmm1, xmm2, xmm3
					func(d, a, b, c *V128, m uint32) uint32 {
						switch form {
						case 0x90:
							return f(d, a, c, b, k, m)
						case 0xa0:
							return f(d, b, a, c, k, m)
						}
						return f(d, b, c, a, k, m)
					}, 32 << w}
				c.run(t, 2000)
			}
		}
	}
}

// TestYMM covers the forms on YMM registers, with exceptions in either half.
func TestYMM(t *testing.T) {
	host(t)
	type fn func(d, a, b, c *V256, m uint32) uint32
	wide := func(f Bin) fn { return func(d, a, b, _ *V256, m uint32) uint32 { return Wide(f, d, a, b, m) } }
	widen := func(f Bin) fn { return func(d, _, b, _ *V256, m uint32) uint32 { return Widen(f, d, &b[0], m) } }
	narrow := func(f Bin) fn {
		return func(d, _, b, _ *V256, m uint32) uint32 {
			var r V128
			fl := Narrow(f, &r, b, m)
			if Unmasked(fl, m) == 0 {
				*d = V256{r}
			}
			return fl
		}
	}
	for _, c := range []struct {
		name string
		code []byte
		w    uint
		f    fn
	}{
		{"VADDPS", []byte{0xc5, 0xf4, 0x58, 0xca}, 32, wide(ADDPS)},
		{"VDIVPD", []byte{0xc5, 0xf5, 0x5e, 0xca}, 64, wide(DIVPD)},
		{"VSQRTPS", []byte{0xc5, 0xfc, 0x51, 0xca}, 32, wide(SQRTPS)},
		{"VMAXPD", []byte{0xc5, 0xf5, 0x5f, 0xca}, 64, wide(MAXPD)},
		{"VHADDPS", []byte{0xc5, 0xf7, 0x7c, 0xca}, 32, wide(HADDPS)},
		{"VADDSUBPD", []byte{0xc5, 0xf5, 0xd0, 0xca}, 64, wide(ADDSUBPD)},
		{"VCVTPS2DQ", []byte{0xc5, 0xfd, 0x5b, 0xca}, 32, wide(CVTPS2DQ)},
		{"VCVTPS2PD", []byte{0xc5, 0xfc, 0x5a, 0xca}, 32, widen(CVTPS2PD)},
		{"VCVTDQ2PD", []byte{0xc5, 0xfe, 0xe6, 0xca}, 32, widen(CVTDQ2PD)},
		{"VCVTPH2PS", []byte{0xc4, 0xe2, 0x7d, 0x13, 0xca}, 32, widen(VCVTPH2PS)},
		{"VCVTPD2PS", []byte{0xc5, 0xfd, 0x5a, 0xca}, 64, narrow(CVTPD2PS)},
		{"VCVTPD2DQ", []byte{0xc5, 0xff, 0xe6, 0xca}, 64, narrow(CVTPD2DQ)},
		{"VCVTTPD2DQ", []byte{0xc5, 0xfd, 0xe6, 0xca}, 64, narrow(CVTTPD2DQ)},
		{"VCMPPS", []byte{0xc5, 0xf4, 0xc2, 0xca, 0x11}, 32, func(d, a, b, _ *V256, m uint32) uint32 { return WideImm(CMPPS, d, a, b, 0x11, m) }},
		{"VROUNDPD", []byte{0xc4, 0xe3, 0x7d, 0x09, 0xca, 4}, 64, func(d, a, b, _ *V256, m uint32) uint32 { return WideImm(ROUNDPD, d, a, b, 4, m) }},
		{"VDPPS", []byte{0xc4, 0xe3, 0x75, 0x40, 0xca, 0xf5}, 32, func(d, a, b, _ *V256, m uint32) uint32 { return VDPPS(d, a, b, 0xf5, m) }},
		{"VCVTPS2PH", []byte{0xc4, 0xe3, 0x7d, 0x1d, 0xd1, 4}, 32, func(d, a, b, c *V256, m uint32) uint32 {
			return narrow(func(d, a, b *V128, m uint32) uint32 { return VCVTPS2PH(d, a, b, 4, m) })(d, a, b, c, m)
		}},
		{"VFMADD213PS", []byte{0xc4, 0xe2, 0x6d, 0xa8, 0xcb}, 32, func(d, a, b, c *V256, m uint32) uint32 { return WideFMA(FMAPS, d, b, a, c, FMADD, m) }},
		{"VFMSUBADD231PD", []byte{0xc4, 0xe2, 0xed, 0xb7, 0xcb}, 64, func(d, a, b, c *V256, m uint32) uint32 { return WideFMA(FMAPD, d, b, c, a, FMSUBADD, m) }},
	} {
		g := newGen(uint64(len(c.name)) + uint64(c.code[2]))
		for range 3000 {
			var v [3]V256
			for i := range v {
				for l := range v[i] {
					if c.w == 32 {
						v[i][l] = g.v32()
					} else {
						v[i][l] = g.v64()
					}
				}
			}
			m := g.mxcsr()
			s := native.NewState()
			s.MXCSR = m
			for i, x := range v {
				s.YMM[1+i] = [4]uint64{x[0][0], x[0][1], x[1][0], x[1][1]}
			}
			r := native.Run(c.code, s)
			if r.Vector >= 0 && r.Vector != 19 {
				t.Fatalf("%s % x: fault %+v", c.name, c.code, r)
			}
			y := s.YMM[1]
			want := V256{{y[0], y[1]}, {y[2], y[3]}}
			d := v[0]
			fl := c.f(&d, &v[0], &v[1], &v[2], m)
			if d != want || s.MXCSR != m|fl || (r.Vector == 19) != (Unmasked(fl, m) != 0) {
				t.Errorf("%s MXCSR %#x: %x = %x flags %#x, host %x flags %#x (vector %d)", c.name, m, v, d, fl, want, s.MXCSR&0x3f, r.Vector)
				break
			}
		}
	}
}

// TestScalar covers what reads or writes general registers and EFLAGS.
func TestScalar(t *testing.T) {
	host(t)
	g := newGen(3)
	for n := range 20000 {
		a32, b32 := uint32(g.bits(&f32)), uint32(g.bits(&f32))
		a64, b64 := g.bits(&f64), g.bits(&f64)
		if n%5 == 0 {
			b32, b64 = a32, a64
		}
		i := int64(g.Uint64()) >> g.IntN(64)
		m := g.mxcsr()
		exec := func(a, b uint64, code ...byte) (*native.State, uint32) {
			s := native.NewState()
			s.MXCSR = m
			s.GPR[0] = uint64(i)
			s.YMM[1], s.YMM[2] = [4]uint64{a}, [4]uint64{b}
			s.RFLAGS = 0x8d5
			r := native.Run(code, s)
			if r.Vector >= 0 && r.Vector != 19 {
				t.Fatalf("% x: %+v", code, r)
			}
			return s, s.MXCSR
		}
		check := func(name string, got uint64, fl uint32, host uint64, hm uint32) {
			t.Helper()
			if hm != m|fl || Unmasked(fl, m) == 0 && got != host {
				t.Errorf("%s(%x, %x, %x, %x, %x) MXCSR %#x = %x flags %#x, host %x flags %#x", name, a32, b32, a64, b64, i, m, got, fl, host, hm&0x3f)
			}
		}
		a, b := uint64(a32), uint64(b32)
		for tr, op := range []byte{0x2d, 0x2c} {
			r32, fl := Int32From32(a32, tr == 1, m)
			s, hm := exec(a, b, 0xf3, 0x0f, op, 0xc1)
			check("CVTSS2SI", uint64(r32), fl, s.GPR[0], hm)
			r64, fl := Int64From32(a32, tr == 1, m)
			s, hm = exec(a, b, 0xf3, 0x48, 0x0f, op, 0xc1)
			check("CVTSS2SI q", r64, fl, s.GPR[0], hm)
			r32, fl = Int32From64(a64, tr == 1, m)
			s, hm = exec(a64, b64, 0xf2, 0x0f, op, 0xc1)
			check("CVTSD2SI", uint64(r32), fl, s.GPR[0], hm)
			r64, fl = Int64From64(a64, tr == 1, m)
			s, hm = exec(a64, b64, 0xf2, 0x48, 0x0f, op, 0xc1)
			check("CVTSD2SI q", r64, fl, s.GPR[0], hm)
		}
		r32, fl := Float32FromInt(int64(int32(i)), m)
		s, hm := exec(0, 0, 0xf3, 0x0f, 0x2a, 0xc8)
		check("CVTSI2SS", uint64(r32), fl, s.YMM[1][0], hm)
		r32, fl = Float32FromInt(i, m)
		s, hm = exec(0, 0, 0xf3, 0x48, 0x0f, 0x2a, 0xc8)
		check("CVTSI2SS q", uint64(r32), fl, s.YMM[1][0], hm)
		r64, fl := Float64FromInt(i, m)
		s, hm = exec(0, 0, 0xf2, 0x48, 0x0f, 0x2a, 0xc8)
		check("CVTSI2SD q", r64, fl, s.YMM[1][0], hm)
		for k, op := range []byte{0x2e, 0x2f} {
			ef, fl := Comi32(a32, b32, k == 1, m)
			s, hm := exec(a, b, 0x0f, op, 0xca)
			check("COMISS", uint64(ef), fl, s.RFLAGS&0x8d5, hm)
			ef, fl = Comi64(a64, b64, k == 1, m)
			s, hm = exec(a64, b64, 0x66, 0x0f, op, 0xca)
			check("COMISD", uint64(ef), fl, s.RFLAGS&0x8d5, hm)
		}
		if t.Failed() {
			return
		}
	}
}

// TestApproximations holds RCP and RSQRT to the SDM's error bound, and to the
// host's special cases.
func TestApproximations(t *testing.T) {
	g := newGen(4)
	const bound = 1.5 / 4096
	for range 20000 {
		x := uint32(g.bits(&f32))
		v := float64(f32b(x))
		r := portableRcp(x)
		if above32(x, 0) && above32(r, 1) {
			if e := math.Abs(float64(f32b(r))*v - 1); e > bound {
				t.Errorf("RCP(%x) = %x, error %g", x, r, e)
			}
		}
		q := portableRsqrt(x)
		if above32(x, 0) && x>>31 == 0 {
			if e := math.Abs(float64(f32b(q))*math.Sqrt(v) - 1); e > bound {
				t.Errorf("RSQRT(%x) = %x, error %g", x, q, e)
			}
		}
		if !native.Available {
			continue
		}
		for op, got := range map[byte]uint32{0x53: r, 0x52: q} {
			s := native.NewState()
			s.YMM[2][0] = uint64(x)
			native.Run([]byte{0x0f, op, 0xca}, s)
			want := uint32(s.YMM[1][0])
			if want != got && !(above32(want, 0) && above32(got, 0) && want>>31 == got>>31) {
				t.Errorf("0F %x of %x = %x, host %x", op, x, got, want)
			}
		}
	}
}

func BenchmarkScalar(b *testing.B) {
	x, y := math.Float64bits(1.1), math.Float64bits(3.7)
	for _, m := range []uint32{MaskAll, MaskAll | PE, MaskAll | uint32(Up)<<rcShift} {
		for _, c := range []struct {
			name string
			f    op64
		}{{"Add64", Add64}, {"Mul64", Mul64}, {"Div64", Div64}} {
			b.Run(c.name, func(b *testing.B) {
				for b.Loop() {
					c.f(x, y, m)
				}
			})
		}
	}
	var d V128
	v := V128{x, y}
	b.Run("ADDPD", func(b *testing.B) {
		for b.Loop() {
			ADDPD(&d, &v, &v, MaskAll|PE)
		}
	})
}
