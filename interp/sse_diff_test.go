package interp

import (
	"reflect"
	"strings"
	"testing"

	"hotblock/x86"
	"hotblock/x86/decode"
)

// vector reports whether the tables list a vector instruction.
func vector(e *decode.Encoding) bool { return handlers[e.Op].vec != nil || vecOther[e.Op] }

var vecOther = names("emms vzeroupper vzeroall vldmxcsr vstmxcsr ldmxcsr stmxcsr")

func TestDiffSSE(t *testing.T) {
	d := newDiff(t, 1)
	d.sweep(t, 20, func(e *decode.Encoding) bool { return vector(e) && e.Map[0] != 'v' }, d.VectorCase)
}

func TestDiffAVX(t *testing.T) {
	d := newDiff(t, 2)
	d.sweep(t, 20, func(e *decode.Encoding) bool { return vector(e) && e.Map[0] == 'v' }, d.VectorCase)
}

// TestVectorEnable checks which exception a vector instruction raises where the
// system has not enabled it (SDM volume 3, tables 13-1 and 2-2; volume 2, 2.4 and
// 2.6).
func TestVectorEnable(t *testing.T) {
	mmx, sse, sse64, avx := []byte{0x0f, 0xfc, 0xca}, []byte{0x0f, 0x58, 0xca}, []byte{0xf3, 0x0f, 0x7e, 0xca}, []byte{0xc5, 0xec, 0x58, 0xca}
	mixed, nti, zero := []byte{0xf2, 0x0f, 0xd6, 0xca}, []byte{0x0f, 0xc3, 0x0f}, []byte{0xc5, 0xf8, 0x77}
	ld := []byte{0x0f, 0xae, 0x17}
	andn := []byte{0xc4, 0xe2, 0x70, 0xf2, 0xc2}
	none := -1
	for _, c := range []struct {
		name string
		set  func(c *CPU)
		code []byte
		want int
	}{
		{"all enabled", func(c *CPU) {}, mmx, none},
		{"all enabled", func(c *CPU) {}, sse, none},
		{"all enabled", func(c *CPU) {}, avx, none},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, mmx, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, sse, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, sse64, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, avx, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, zero, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, mixed, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, ld, x86.ExcNM},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, nti, none},
		{"CR0.TS", func(c *CPU) { c.CR0 |= x86.CR0TS }, andn, none},
		{"CR0.EM", func(c *CPU) { c.CR0 |= x86.CR0EM }, mmx, x86.ExcUD},
		{"CR0.EM", func(c *CPU) { c.CR0 |= x86.CR0EM }, sse, x86.ExcUD},
		{"CR0.EM", func(c *CPU) { c.CR0 |= x86.CR0EM | x86.CR0TS }, sse, x86.ExcUD},
		{"CR0.EM", func(c *CPU) { c.CR0 |= x86.CR0EM }, avx, none},
		{"CR4.OSFXSR", func(c *CPU) { c.CR4 &^= x86.CR4OSFXSR }, mmx, none},
		{"CR4.OSFXSR", func(c *CPU) { c.CR4 &^= x86.CR4OSFXSR }, sse, x86.ExcUD},
		{"CR4.OSFXSR", func(c *CPU) { c.CR4 &^= x86.CR4OSFXSR }, mixed, x86.ExcUD},
		{"CR4.OSFXSR", func(c *CPU) { c.CR4 &^= x86.CR4OSFXSR }, avx, none},
		{"CR4.OSXSAVE", func(c *CPU) { c.CR4 &^= x86.CR4OSXSAVE }, sse, none},
		{"CR4.OSXSAVE", func(c *CPU) { c.CR4 &^= x86.CR4OSXSAVE }, avx, x86.ExcUD},
		{"CR4.OSXSAVE", func(c *CPU) { c.CR4 &^= x86.CR4OSXSAVE; c.CR0 |= x86.CR0TS }, avx, x86.ExcUD},
		{"XCR0", func(c *CPU) { c.XCR0 = 3 }, avx, x86.ExcUD},
		{"XCR0", func(c *CPU) { c.XCR0 = 3 }, andn, none},
		{"pending x87 exception", func(c *CPU) { c.FCW, c.FSW = 0x37e, 0x8081 }, mmx, x86.ExcMF},
		{"pending x87 exception", func(c *CPU) { c.FCW, c.FSW = 0x37e, 0x8081 }, sse, none},
		{"unmasked", func(c *CPU) { c.MXCSR = 0; c.V[1], c.V[2] = x86.Vec{0x7f800000}, x86.Vec{0xff800000} }, sse, x86.ExcXM},
		{"unmasked, no OSXMMEXCPT", func(c *CPU) {
			c.MXCSR = 0
			c.V[1], c.V[2] = x86.Vec{0x7f800000}, x86.Vec{0xff800000}
			c.CR4 &^= x86.CR4OSXMMEXCPT
		}, sse, x86.ExcUD},
	} {
		d := newDiff(t, 1)
		d.c.R[x86.RDI] = d.Addr
		copy(d.code, c.code)
		c.set(d.c)
		d.c.Refresh()
		d.c.recheck = false
		d.c.RIP = diffCodeVA
		if vec, _ := d.step(); vec != c.want {
			t.Errorf("%s: % x raises %d, want %d", c.name, c.code, vec, c.want)
		}
	}
}

// TestFeatures checks that a model without a feature has none of its
// instructions.
func TestFeatures(t *testing.T) {
	d := newDiff(t, 1)
	for _, m := range []struct {
		model string
		has   string // features of vector instructions, in the names of the tables
	}{
		{"x86-64-v1", "mmx sse sse2"},
		{"x86-64-v2", "mmx sse sse2 sse3 ssse3 sse4.1 sse4.2"},
		{"x86-64-v3", "mmx sse sse2 sse3 ssse3 sse4.1 sse4.2 avx avx2 fma f16c"},
		{"x86-64-v3,-avx2", "mmx sse sse2 sse3 ssse3 sse4.1 sse4.2 avx fma f16c"},
		{"max,-avx", "mmx sse sse2 sse3 ssse3 sse4.1 sse4.2 aes pclmulqdq sha-ni"},
	} {
		model, err := x86.ParseModel(m.model, Supports)
		if err != nil {
			t.Fatal(err)
		}
		d.c.Model, d.c.feats = model, nil
		has := map[string]bool{}
		for f := range strings.FieldsSeq(m.has) {
			has[f] = true
		}
		for _, e := range decode.Encodings() {
			if e.Feature == 0 || e.Attr&decode.Not64 != 0 {
				continue
			}
			code, x, ok := d.Encode(&e)
			if !ok {
				continue
			}
			want := true
			for f := range strings.SplitSeq(decode.FeatureNames()[x.Feature], "+") {
				want = want && has[f]
			}
			var o Op
			d.c.compile(&x, 0, &o)
			if got := reflect.ValueOf(o.fn).Pointer() != reflect.ValueOf(opUndefined).Pointer(); got != want {
				t.Errorf("%s: %v [% x] exists: %v, want %v", m.model, e.Op, code, got, want)
			}
		}
	}
}

// TestVectorAddressing covers the addresses that cannot be compared with the
// host: relative to RIP and with a segment base.
func TestVectorAddressing(t *testing.T) {
	d := newDiff(t, 1)
	c := d.c
	copy(d.guest[64:], "0123456789abcdef")
	want := [2]uint64{0x3736353433323130, 0x6665646362613938}
	check := func(name string, code []byte) {
		t.Helper()
		copy(d.code[8:], code)
		c.DropCode()
		c.RIP = diffCodeVA + 8
		c.V[1] = x86.Vec{}
		if vec, _ := d.step(); vec >= 0 {
			t.Errorf("%s: exception %d", name, vec)
		}
		if c.V[1] != (x86.Vec{want[0], want[1]}) {
			t.Errorf("%s: %x", name, c.V[1])
		}
	}
	copy(d.code[0x108:], "0123456789abcdef")
	check("movups xmm1, [rip+0xf9]", []byte{0x0f, 0x10, 0x0d, 0xf9, 0, 0, 0})
	check("vmovdqu xmm1, [rip+0xf8]", []byte{0xc5, 0xfa, 0x6f, 0x0d, 0xf8, 0, 0, 0})
	c.Seg[x86.FS].Base = d.Addr + 32
	c.Refresh()
	c.recheck = false
	c.R[x86.RBX] = 32
	check("movdqa xmm1, fs:[rbx]", []byte{0x64, 0x66, 0x0f, 0x6f, 0x0b})
	check("lddqu xmm1, fs:[ebx]", []byte{0x64, 0x67, 0xf2, 0x0f, 0xf0, 0x0b})
	c.R[x86.RBX] = 1<<32 + 32
	check("lddqu xmm1, fs:[ebx], upper half ignored", []byte{0x64, 0x67, 0xf2, 0x0f, 0xf0, 0x0b})
}
