package simd

import (
	"math/rand/v2"
	"testing"

	"hotblock/internal/native"
)

func host(t testing.TB) {
	if !native.Available {
		t.Skip("the host does not run x86-64 Linux code")
	}
}

// gen makes operands: random ones, and ones whose lanes are limits.
type gen struct{ *rand.Rand }

func newGen(seed uint64) gen { return gen{rand.New(rand.NewPCG(seed, 1))} }

func (g gen) q() uint64 {
	switch g.IntN(4) {
	case 0:
		return g.Uint64()
	case 1: // small counts and indices
		return g.Uint64N(70)
	}
	edge := []uint8{0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x81}
	var x uint64
	w := 8 << g.IntN(3)
	for i := 0; i < 64; i += w {
		e := edge[g.IntN(len(edge))]
		v := uint64(e)
		if w > 8 {
			fill := uint64(0)
			if e&1 != 0 {
				fill = 1<<(w-8) - 1
			}
			v = v<<(w-8) | fill
		}
		x |= v << i
	}
	return x
}

func (g gen) v() V128 {
	if g.IntN(8) == 0 {
		return V128{g.q(), 0}
	}
	return V128{g.q(), g.q()}
}

// pair makes two operands that often share lanes.
func (g gen) pair() (a, b V128) {
	a, b = g.v(), g.v()
	if g.IntN(4) == 0 {
		m := V128{g.q(), g.q()}
		b = V128{sel(m[0], a[0], b[0]), sel(m[1], a[1], b[1])}
	}
	return
}

const rounds = 400

// run executes code with XMM1 = a, XMM2 = b, XMM0 = m.
func run(t *testing.T, code []byte, a, b, m V128) *native.State {
	t.Helper()
	s := native.NewState()
	s.YMM[0] = [4]uint64{m[0], m[1]}
	s.YMM[1] = [4]uint64{a[0], a[1]}
	s.YMM[2] = [4]uint64{b[0], b[1]}
	if r := native.Run(code, s); r.Vector >= 0 {
		t.Fatalf("% x: fault %+v", code, r)
	}
	return s
}

func x1(s *native.State) V128 { return V128{s.YMM[1][0], s.YMM[1][1]} }
func y1(s *native.State) V256 { return V256{{s.YMM[1][0], s.YMM[1][1]}, {s.YMM[1][2], s.YMM[1][3]}} }

// checkBin compares f with code, with fresh operands and with aliased ones.
func checkBin(t *testing.T, name string, code []byte, f func(d, a, b, m *V128)) {
	t.Helper()
	g := newGen(uint64(len(name)) + uint64(code[len(code)-1]))
	for range rounds {
		a, b := g.pair()
		m := g.v()
		want := x1(run(t, code, a, b, m))
		var d V128
		f(&d, &a, &b, &m)
		if d != want {
			t.Errorf("%s % x: %x op %x (%x) = %x, host %x", name, code, a, b, m, d, want)
			return
		}
		x, y := a, b
		f(&x, &x, &y, &m)
		if x != want {
			t.Errorf("%s: result differs where d is a", name)
			return
		}
		x, y = a, b
		f(&y, &x, &y, &m)
		if y != want {
			t.Errorf("%s: result differs where d is b", name)
			return
		}
	}
}

func TestMMX(t *testing.T) {
	host(t)
	check := func(code []byte, f func(a, b uint64) uint64) {
		t.Helper()
		g := newGen(uint64(code[len(code)-2]))
		for range rounds {
			a, b := g.pair()
			s := native.NewState()
			s.X87.ST[1].Frac, s.X87.ST[2].Frac = a[0], b[0]
			if r := native.Run(code, s); r.Vector >= 0 {
				t.Fatalf("% x: %+v", code, r)
			}
			if got, want := f(a[0], b[0]), s.X87.ST[1].Frac; got != want {
				t.Errorf("% x: %x op %x = %x, host %x", code, a[0], b[0], got, want)
				return
			}
		}
	}
	for op, f := range MMX0F {
		if f != nil {
			check([]byte{0x0f, byte(op), 0xca}, f)
		}
	}
	for op, f := range MMX0F38 {
		if f != nil {
			check([]byte{0x0f, 0x38, byte(op), 0xca}, f)
		}
	}
	for imm := range 256 {
		if imm > 40 && imm < 240 {
			continue
		}
		i := uint8(imm)
		check([]byte{0x0f, 0x3a, 0x0f, 0xca, i}, func(a, b uint64) uint64 { return PALIGNR64(a, b, i) })
		check([]byte{0x0f, 0x70, 0xca, i * 7}, func(a, b uint64) uint64 { return PSHUFW64(b, i*7) })
		for n, grp := range []*[8]Bin64{&ShiftW64, &ShiftD64, &ShiftQ64} {
			for reg, f := range grp {
				if f != nil {
					check([]byte{0x0f, 0x71 + byte(n), 0xc1 | byte(reg)<<3, i}, func(a, b uint64) uint64 { return f(a, uint64(i)) })
				}
			}
		}
		// movq [rsp-8] is not needed: PINSRW takes a general register, zero here.
		check([]byte{0x0f, 0xc4, 0xc8, i}, func(a, b uint64) uint64 { return PINSRW64(a, 0, i) })
		// pextrw eax, mm1, imm; movd mm1, eax
		check([]byte{0x0f, 0xc5, 0xc1, i, 0x0f, 0x6e, 0xc8}, func(a, b uint64) uint64 { return PEXTRW64(a, i) })
	}
	// pmovmskb eax, mm1; movd mm1, eax
	check([]byte{0x0f, 0xd7, 0xc1, 0x0f, 0x6e, 0xc8}, func(a, b uint64) uint64 { return uint64(PMOVMSKB64(a)) })
}

func TestSSE(t *testing.T) {
	host(t)
	bin := func(f Bin) func(d, a, b, m *V128) { return func(d, a, b, _ *V128) { f(d, a, b) } }
	un := func(f Un) func(d, a, b, m *V128) { return func(d, _, b, _ *V128) { f(d, b) } }
	for op, f := range SSE0F {
		if f != nil {
			checkBin(t, "0F", []byte{0x66, 0x0f, byte(op), 0xca}, bin(f))
		}
	}
	for op, f := range SSE0F38 {
		if f == nil {
			continue
		}
		code := []byte{0x66, 0x0f, 0x38, byte(op), 0xca}
		if op == 0x0c || op == 0x0d {
			code = []byte{0xc4, 0xe2, 0x71, byte(op), 0xca}
		}
		checkBin(t, "0F38", code, bin(f))
	}
	for i, f := range SHA0F38 {
		if f != nil {
			checkBin(t, "SHA", []byte{0x0f, 0x38, 0xc8 + byte(i), 0xca}, bin(f))
		}
	}
	checkBin(t, "SHA256RNDS2", []byte{0x0f, 0x38, 0xcb, 0xca}, SHA256RNDS2)
	for i := range Ext {
		for j, f := range Ext[i] {
			checkBin(t, "PMOVX", []byte{0x66, 0x0f, 0x38, 0x20 + byte(i<<4+j), 0xca}, un(f))
		}
	}
	for i := range VarShift {
		for w, f := range VarShift[i] {
			if f != nil {
				checkBin(t, "VarShift", []byte{0xc4, 0xe2, 0x71 | byte(w)<<7, 0x45 + byte(i), 0xca}, bin(f))
			}
		}
	}
	for _, op := range []byte{0x10, 0x14, 0x15} {
		checkBin(t, "BlendV", []byte{0x66, 0x0f, 0x38, op, 0xca}, BlendV[op])
	}
	checkBin(t, "MOVDDUP", []byte{0xf2, 0x0f, 0x12, 0xca}, un(MOVDDUP))
	checkBin(t, "MOVSLDUP", []byte{0xf3, 0x0f, 0x12, 0xca}, un(MOVSLDUP))
	checkBin(t, "MOVSHDUP", []byte{0xf3, 0x0f, 0x16, 0xca}, un(MOVSHDUP))
	checkBin(t, "UNPCKLPS", []byte{0x0f, 0x14, 0xca}, bin(PUNPCKLDQ))
	checkBin(t, "UNPCKHPS", []byte{0x0f, 0x15, 0xca}, bin(PUNPCKHDQ))
	for op, f := range map[byte]Un{0x78: VPBROADCASTB, 0x79: VPBROADCASTW, 0x58: VPBROADCASTD, 0x59: VPBROADCASTQ} {
		checkBin(t, "VPBROADCAST", []byte{0xc4, 0xe2, 0x79, op, 0xca}, un(f))
	}
}

func TestImmediates(t *testing.T) {
	host(t)
	for imm := range 256 {
		i := uint8(imm)
		bi := func(f BinImm) func(d, a, b, m *V128) { return func(d, a, b, _ *V128) { f(d, a, b, i) } }
		ui := func(f UnImm) func(d, a, b, m *V128) { return func(d, _, b, _ *V128) { f(d, b, i) } }
		check := func(name string, code []byte, f func(d, a, b, m *V128)) {
			t.Helper()
			g := newGen(uint64(imm))
			for range 12 {
				a, b := g.pair()
				want := x1(run(t, code, a, b, V128{}))
				var d V128
				f(&d, &a, &b, nil)
				x, y := a, b
				f(&x, &x, &y, nil)
				z := b
				f(&z, &a, &z, nil)
				if d != want || x != want || z != want {
					t.Fatalf("%s % x: %x op %x = %x, aliased %x %x, host %x", name, code, a, b, d, x, z, want)
				}
			}
		}
		for op, e := range SSE0F3A {
			if e.Do == nil {
				continue
			}
			code := []byte{0x66, 0x0f, 0x3a, byte(op), 0xca, i}
			if op == 2 {
				code = []byte{0xc4, 0xe3, 0x71, 0x02, 0xca, i}
			}
			check("0F3A", code, bi(e.Do))
		}
		check("SHUFPS", []byte{0x0f, 0xc6, 0xca, i}, bi(SHUFPS))
		check("SHUFPD", []byte{0x66, 0x0f, 0xc6, 0xca, i}, bi(SHUFPD))
		check("SHA1RNDS4", []byte{0x0f, 0x3a, 0xcc, 0xca, i}, bi(SHA1RNDS4))
		check("PSHUFD", []byte{0x66, 0x0f, 0x70, 0xca, i}, ui(PSHUFD))
		check("PSHUFLW", []byte{0xf2, 0x0f, 0x70, 0xca, i}, ui(PSHUFLW))
		check("PSHUFHW", []byte{0xf3, 0x0f, 0x70, 0xca, i}, ui(PSHUFHW))
		check("AESKEYGENASSIST", []byte{0x66, 0x0f, 0x3a, 0xdf, 0xca, i}, ui(AESKEYGENASSIST))
		check("VPERMILPS", []byte{0xc4, 0xe3, 0x79, 0x04, 0xca, i}, ui(PSHUFD))
		check("VPERMILPD", []byte{0xc4, 0xe3, 0x79, 0x05, 0xca, i}, ui(VPERMILPDI))
		for n, grp := range []*[8]UnImm{&ShiftW, &ShiftD, &ShiftQ} {
			for reg, f := range grp {
				if f != nil {
					check("shift", []byte{0x66, 0x0f, 0x71 + byte(n), 0xc1 | byte(reg)<<3, i},
						func(d, a, _, _ *V128) { x := *a; f(&x, &x, i); *d = x })
				}
			}
		}
	}
}

// TestGeneral covers what reads or writes general registers and flags.
func TestGeneral(t *testing.T) {
	host(t)
	g := newGen(7)
	for n := range 4000 {
		a, b := g.pair()
		i := uint8(g.Uint32())
		v := g.q()
		exec := func(code ...byte) *native.State {
			s := native.NewState()
			s.GPR[0], s.GPR[2], s.GPR[3] = v, b[1], a[1]
			s.YMM[1] = [4]uint64{a[0], a[1]}
			s.YMM[2] = [4]uint64{b[0], b[1]}
			s.RFLAGS = uint64(n) & 0x8d5
			if r := native.Run(code, s); r.Vector >= 0 {
				t.Fatalf("% x: %+v", code, r)
			}
			return s
		}
		eq := func(name string, got, want any) {
			t.Helper()
			if got != want {
				t.Fatalf("%s(%x, %x, %x, imm %#x) = %x, host %x", name, a, b, v, i, got, want)
			}
		}
		flags := func(zf, cf bool) (f uint64) {
			if zf {
				f |= 0x40
			}
			if cf {
				f |= 1
			}
			return
		}
		var d V128
		PINSRB(&d, &a, v, i)
		eq("PINSRB", d, x1(exec(0x66, 0x0f, 0x3a, 0x20, 0xc8, i)))
		PINSRW(&d, &a, v, i)
		eq("PINSRW", d, x1(exec(0x66, 0x0f, 0xc4, 0xc8, i)))
		PINSRD(&d, &a, v, i)
		eq("PINSRD", d, x1(exec(0x66, 0x0f, 0x3a, 0x22, 0xc8, i)))
		PINSRQ(&d, &a, v, i)
		eq("PINSRQ", d, x1(exec(0x66, 0x48, 0x0f, 0x3a, 0x22, 0xc8, i)))
		eq("PEXTRB", PEXTRB(&a, i), exec(0x66, 0x0f, 0x3a, 0x14, 0xc8, i).GPR[0])
		eq("PEXTRW", PEXTRW(&a, i), exec(0x66, 0x0f, 0x3a, 0x15, 0xc8, i).GPR[0])
		eq("PEXTRD", PEXTRD(&a, i), exec(0x66, 0x0f, 0x3a, 0x16, 0xc8, i).GPR[0])
		eq("PEXTRQ", PEXTRQ(&a, i), exec(0x66, 0x48, 0x0f, 0x3a, 0x16, 0xc8, i).GPR[0])
		eq("PMOVMSKB", uint64(PMOVMSKB(&a)), exec(0x66, 0x0f, 0xd7, 0xc1).GPR[0])
		eq("MOVMSKPS", uint64(MOVMSKPS(&a)), exec(0x0f, 0x50, 0xc1).GPR[0])
		eq("MOVMSKPD", uint64(MOVMSKPD(&a)), exec(0x66, 0x0f, 0x50, 0xc1).GPR[0])
		eq("PTEST", flags(PTEST(&a, &b)), exec(0x66, 0x0f, 0x38, 0x17, 0xca).RFLAGS&0x8d5)
		eq("VTESTPS", flags(VTESTPS(&a, &b)), exec(0xc4, 0xe2, 0x79, 0x0e, 0xca).RFLAGS&0x8d5)
		eq("VTESTPD", flags(VTESTPD(&a, &b)), exec(0xc4, 0xe2, 0x79, 0x0f, 0xca).RFLAGS&0x8d5)
		eq("PDEP", PDEP(v, a[1]), exec(0xc4, 0xe2, 0xfb, 0xf5, 0xc3).GPR[0]) // pdep rax, rax, rbx
		eq("PEXT", PEXT(v, a[1]), exec(0xc4, 0xe2, 0xfa, 0xf5, 0xc3).GPR[0])
		for size, code := range map[int][]byte{
			1: {0xf2, 0x0f, 0x38, 0xf0, 0xc3}, 2: {0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc3},
			4: {0xf2, 0x0f, 0x38, 0xf1, 0xc3}, 8: {0xf2, 0x48, 0x0f, 0x38, 0xf1, 0xc3},
		} {
			eq("CRC32", uint64(CRC32(uint32(v), a[1], size)), exec(code...).GPR[0])
		}
	}
}

func TestStrings(t *testing.T) {
	host(t)
	for imm := range 256 {
		i := uint8(imm)
		g := newGen(uint64(imm))
		str := func() V128 { // few distinct characters, often with an end
			if g.IntN(8) == 0 {
				return g.v()
			}
			var v V128
			for k := range 16 {
				v.SetByte(k, []byte{1, 2, 3, 0x80, 0xff}[g.IntN(5)])
			}
			if g.IntN(3) != 0 {
				v.SetByte(g.IntN(16), 0)
			}
			if imm&1 != 0 {
				for k := range 8 {
					v.SetWord(k, uint16(int8(v.Word(k))))
				}
			}
			return v
		}
		for range 60 {
			a, b := str(), str()
			if g.IntN(2) == 0 { // a substring
				n := uint8(g.IntN(16))
				PSRLDQ(&a, &b, n)
				PSLLDQ(&a, &a, 12)
				PSRLDQ(&a, &a, 12)
			}
			la, lb := int64(int32(g.IntN(40)-20)), int64(int32(g.IntN(40)-20))
			exec := func(op byte, w bool) *native.State {
				s := native.NewState()
				s.GPR[0], s.GPR[2] = uint64(la), uint64(lb)
				s.YMM[1] = [4]uint64{a[0], a[1]}
				s.YMM[2] = [4]uint64{b[0], b[1]}
				s.RFLAGS = 0x8d5
				code := []byte{0x66, 0x0f, 0x3a, op, 0xca, i}
				if w {
					code = []byte{0x66, 0x48, 0x0f, 0x3a, op, 0xca, i}
				}
				if r := native.Run(code, s); r.Vector >= 0 {
					t.Fatalf("% x: %+v", code, r)
				}
				return s
			}
			check := func(name string, r StrResult, mOp, iOp byte, w bool) {
				t.Helper()
				m, x := exec(mOp, w), exec(iOp, w)
				mask := V128{m.YMM[0][0], m.YMM[0][1]}
				if mask != r.Mask || uint64(r.Index) != x.GPR[1] || uint32(m.RFLAGS&0x8d5) != r.Flags || uint32(x.RFLAGS&0x8d5) != r.Flags {
					t.Fatalf("%s imm %#x: %x (%d), %x (%d): %+v, host index %d mask %x flags %#x", name, i, a, la, b, lb, r, x.GPR[1], mask, x.RFLAGS&0x8d5)
				}
			}
			check("PCMPISTR", PCMPISTR(&a, &b, i), 0x62, 0x63, false)
			check("PCMPESTR", PCMPESTR(&a, &b, la, lb, i), 0x60, 0x61, false)
			la, lb = -1<<63, int64(g.IntN(20))<<32|3
			check("PCMPESTR W", PCMPESTR(&a, &b, la, lb, i), 0x60, 0x61, true)
		}
	}
}

// TestYMM covers what crosses lanes, and that the other tables hold for both.
func TestYMM(t *testing.T) {
	host(t)
	g := newGen(9)
	v256 := func() V256 { return V256{g.v(), g.v()} }
	check := func(name string, code []byte, f func(d, a, b *V256)) {
		t.Helper()
		for range 40 {
			a, b := v256(), v256()
			s := native.NewState()
			for i, v := range []V256{a, b} {
				s.YMM[1+i] = [4]uint64{v[0][0], v[0][1], v[1][0], v[1][1]}
			}
			if r := native.Run(code, s); r.Vector >= 0 {
				t.Fatalf("% x: %+v", code, r)
			}
			var d V256
			f(&d, &a, &b)
			if d != y1(s) {
				t.Fatalf("%s % x: %x op %x = %x, host %x", name, code, a, b, d, y1(s))
			}
			x := a
			if f(&x, &x, &b); x != d {
				t.Fatalf("%s: result differs where d is a", name)
			}
			x = b
			if f(&x, &a, &x); x != d {
				t.Fatalf("%s: result differs where d is b", name)
			}
		}
	}
	lanes := func(f Bin) func(d, a, b *V256) {
		return func(d, a, b *V256) { f(&d[0], &a[0], &b[0]); f(&d[1], &a[1], &b[1]) }
	}
	for op, f := range SSE0F {
		if f == nil {
			continue
		}
		do := lanes(f)
		if op >= 0xd1 && op <= 0xd3 || op == 0xe1 || op == 0xe2 || op >= 0xf1 && op <= 0xf3 {
			do = func(d, a, b *V256) { n := b[0]; f(&d[0], &a[0], &n); f(&d[1], &a[1], &n) }
		}
		check("0F", []byte{0xc5, 0xf5, byte(op), 0xca}, do)
	}
	for op, f := range SSE0F38 {
		if f != nil && op != 0x41 && op < 0xd0 {
			vvvv := byte(0x75)
			if op>>4 == 1 { // VPABS has one source
				vvvv = 0x7d
			}
			check("0F38", []byte{0xc4, 0xe2, vvvv, byte(op), 0xca}, lanes(f))
		}
	}
	for i := range Ext {
		for j, f := range ExtWide[i] {
			check("VPMOVX", []byte{0xc4, 0xe2, 0x7d, 0x20 + byte(i<<4+j), 0xca}, func(d, _, b *V256) { f(d, &b[0]) })
		}
	}
	check("VPERMD", []byte{0xc4, 0xe2, 0x75, 0x36, 0xca}, VPERMD)
	check("VPERMPS", []byte{0xc4, 0xe2, 0x75, 0x16, 0xca}, VPERMD)
	for imm := range 256 {
		i := uint8(imm)
		check("VPERMQ", []byte{0xc4, 0xe3, 0xfd, 0x00, 0xca, i}, func(d, _, b *V256) { VPERMQ(d, b, i) })
		check("VPERMPD", []byte{0xc4, 0xe3, 0xfd, 0x01, 0xca, i}, func(d, _, b *V256) { VPERMQ(d, b, i) })
		check("VPERM2I128", []byte{0xc4, 0xe3, 0x75, 0x46, 0xca, i}, func(d, a, b *V256) { VPERM2I128(d, a, b, i) })
		check("VINSERTI128", []byte{0xc4, 0xe3, 0x75, 0x38, 0xca, i}, func(d, a, b *V256) { x := b[0]; VINSERTI128(d, a, &x, i) })
		check("VEXTRACTI128", []byte{0xc4, 0xe3, 0x7d, 0x39, 0xd1, i}, func(d, _, b *V256) {
			var x V128
			VEXTRACTI128(&x, b, i)
			*d = V256{x}
		})
		for op, e := range SSE0F3A {
			if e.Do != nil && op != 0x21 && op != 0x44 {
				check("0F3A", []byte{0xc4, 0xe3, 0x75, byte(op), 0xca, i}, func(d, a, b *V256) {
					e.Do(&d[0], &a[0], &b[0], i)
					e.Do(&d[1], &a[1], &b[1], i>>e.Shift)
				})
			}
		}
		check("VSHUFPD", []byte{0xc5, 0xf5, 0xc6, 0xca, i}, func(d, a, b *V256) {
			SHUFPD(&d[0], &a[0], &b[0], i)
			SHUFPD(&d[1], &a[1], &b[1], i>>2)
		})
		check("VPERMILPD", []byte{0xc4, 0xe3, 0x7d, 0x05, 0xca, i}, func(d, _, b *V256) {
			VPERMILPDI(&d[0], &b[0], i)
			VPERMILPDI(&d[1], &b[1], i>>2)
		})
	}
}

// TestPortable holds known answers for hosts without the instructions.
func TestPortable(t *testing.T) {
	if got := CRC32(^uint32(0), 0x3837363534333231, 8); ^CRC32(got, 0x39, 1) != 0xe3069283 {
		t.Errorf("CRC-32C of 123456789 = %#x", ^CRC32(got, 0x39, 1))
	}
	// FIPS 197, appendix B: the first round.
	s := V128{}
	s.setBytes(&[16]byte{0x19, 0x3d, 0xe3, 0xbe, 0xa0, 0xf4, 0xe2, 0x2b, 0x9a, 0xc6, 0x8d, 0x2a, 0xe9, 0xf8, 0x48, 0x08})
	var k, want V128
	k.setBytes(&[16]byte{0xa0, 0xfa, 0xfe, 0x17, 0x88, 0x54, 0x2c, 0xb1, 0x23, 0xa3, 0x39, 0x39, 0x2a, 0x6c, 0x76, 0x05})
	want.setBytes(&[16]byte{0xa4, 0x9c, 0x7f, 0xf2, 0x68, 0x9f, 0x35, 0x2b, 0x6b, 0x5b, 0xea, 0x43, 0x02, 0x6a, 0x50, 0x49})
	if AESENC(&s, &s, &k); s != want {
		t.Errorf("AESENC = %x, want %x", s, want)
	}
}

func BenchmarkBin(b *testing.B) {
	for _, c := range []struct {
		name string
		f    Bin
	}{{"PADDB", PADDB}, {"PCMPEQB", PCMPEQB}, {"PMINUB", PMINUB}, {"PSHUFB", PSHUFB}, {"PMULLW", PMULLW}, {"PACKUSWB", PACKUSWB}, {"AESENC", AESENC}} {
		b.Run(c.name, func(b *testing.B) {
			x, y := V128{1, 2}, V128{3, 4}
			for b.Loop() {
				c.f(&x, &x, &y)
			}
		})
	}
}
