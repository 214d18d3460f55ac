package jit

import (
	"testing"

	"hotblock/internal/native"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// TestX87Words loads control words with all kinds of reserved bits, over status words
// that they make pending.
func TestX87Words(t *testing.T) {
	d := newDiffPair(t, 1, guestMode{cpl: 3}, diffConfig())
	at := d.place()
	s := native.NewState()
	s.GPR[x86.RBX], s.GPR[x86.RSP] = diffData, diffData+2048
	for v := range 1 << 11 {
		w := v<<5 | v>>6&0x1f
		d.Data[0], d.Data[1] = byte(w), byte(w>>8)
		s.X87.FSW = uint16(v)&7<<11 | uint16(v)>>3&0x3f
		s.X87.FTW = byte(v * 7)
		// fldcw [rbx]; fnstcw [rbx+16]; fnstsw ax
		if msg := d.compare([]byte{0xd9, 0x2b, 0xd9, 0x7b, 0x10, 0xdf, 0xe0}, s, at, 0, 0, 0); msg != "" {
			t.Fatalf("control word %#x, status %#x: %s", w, s.X87.FSW, msg)
		}
	}
}

// TestX87Pointers looks at FIP and FOP where an exit follows x87 instructions of this
// region, of an earlier one, or none.
func TestX87Pointers(t *testing.T) {
	const none = 1 << 40 // FIP is left as it was
	for _, c := range []struct {
		name string
		mode guestMode
		code []byte
		off  uint64 // of the instruction that FIP is to hold
		fop  uint16
	}{
		{"register", guestMode{cpl: 3}, []byte{0xd9, 0xe8, 0xd8, 0xc0, 0x90}, 2, 0x0c0},             // fld1; fadd st0; nop
		{"memory", guestMode{cpl: 3}, []byte{0xd9, 0xe8, 0xdd, 0x1b, 0x90}, 2, 0x51b},               // fld1; fstp qword [rbx]
		{"control", guestMode{}, []byte{0x90, 0xd9, 0xe8, 0xd9, 0x3b, 0xdf, 0xe0}, 1, 0x1e8},        // nop; fld1; fnstcw [rbx]; fnstsw ax
		{"earlier", guestMode{cpl: 3}, []byte{0xd9, 0xeb, 0xeb, 0, 0x90, 0xeb, 0, 0x90}, 0, 0x1eb},  // fldpi; jmp +0; nop; jmp +0; nop
		{"compat", guestMode{cpl: 3, compat: true}, []byte{0xd9, 0xe8, 0xd9, 0xfa, 0x90}, 2, 0x1fa}, // fld1; fsqrt
		{"none", guestMode{cpl: 3}, []byte{0x90, 0xd9, 0x3b}, none, 0x234},                          // nop; fnstcw [rbx]
		{"mmx", guestMode{cpl: 3}, []byte{0x0f, 0xef, 0xc0, 0x0f, 0x77}, none, 0x234},               // pxor mm0, mm0; emms
		{"pending", guestMode{cpl: 3}, []byte{0xd9, 0xee, 0xd9, 0xe8, 0xde, 0xf1, 0x9b}, 4, 0x6f1},  // fldz; fld1; fdivrp; fwait
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDiffPair(t, 1, c.mode, diffConfig())
			at := d.place()
			s := native.NewState()
			s.GPR[x86.RBX], s.GPR[x86.RSP] = diffData, diffData+2048
			s.X87.FCW &^= 4
			s.X87.FIP, s.X87.FOP = 0x1234, 0x234
			want := at + c.off
			if c.off == none {
				want = 0x1234
			}
			for range 3 { // the third run is all translated
				if msg := d.compare(c.code, s, at, 0, 0, 0); msg != "" {
					t.Fatal(msg)
				}
				for _, g := range []*guest{d.ref, d.jit} {
					if x := g.cpu; x.FIP != want || x.FOP != c.fop || want == at+c.off && x.FCS != g.last.cs {
						t.Errorf("%s: FIP %#x, FOP %#x, FCS %#x; want %#x, %#x, %#x", g.name, x.FIP, x.FOP, x.FCS, want, c.fop, g.last.cs)
					}
				}
			}
			if n := d.jit.eng.Stats().Regions; n == 0 {
				t.Error("nothing was translated")
			}
		})
	}
}

// TestX87LeavesAlone runs a loop of x87 and vector instructions with a store that
// misses the TLB on the way: both kinds of register are loaded again there.
func TestX87LeavesAlone(t *testing.T) {
	d := newDiffPair(t, 1, guestMode{cpl: 3}, diffConfig())
	code := []byte{
		0xd9, 0xe8, // fld1
		0x66, 0x0f, 0x58, 0xc1, // addpd xmm0, xmm1
		0xdd, 0x1c, 0xcb, // fstp qword [rbx + rcx*8]
		0xf3, 0x0f, 0xd6, 0xd0, // movq2dq xmm2, mm0
		0x0f, 0x77, // emms
		0x66, 0x0f, 0xd6, 0x94, 0xcb, 0, 8, 0, 0, // movq [rbx + rcx*8 + 2048], xmm2
		0xff, 0xc9, // dec ecx
		0x75, 0xe4, // jnz to the start
	}
	var x decode.Inst
	if decode.Decode(append(code[len(code)-2:], make([]byte, 15)...), decode.Mode64, &x) != nil || int8(x.Imm) != int8(-len(code)) {
		t.Fatal("the loop's displacement is wrong")
	}
	at := d.place()
	for n := range uint64(8) {
		s := native.NewState()
		s.GPR[x86.RBX], s.GPR[x86.RCX], s.GPR[x86.RSP] = diffData+n*8, 20+40*n, diffData+4096
		s.YMM[1] = [4]uint64{0x3ff0000000000000, 0x4000000000000000}
		if msg := d.compare(code, s, at, 0, 0, 0); msg != "" {
			t.Fatal(msg)
		}
	}
	if s := d.jit.eng.Stats(); s.Filled == 0 {
		t.Error("no access missed the TLB")
	}
}

// TestX87NotUsable has x87 instructions meet each state of CR0 that they do not run
// in natively, as translated code that has run before.
func TestX87NotUsable(t *testing.T) {
	for _, cr0 := range []uint64{x86.CR0TS, x86.CR0EM, x86.CR0EM | x86.CR0TS, x86.CR0NE, x86.CR0MP | x86.CR0TS} {
		for _, code := range [][]byte{
			{0xd9, 0xe8, 0xd9, 0xe8},       // fld1; fld1
			{0x9b, 0x90},                   // fwait; nop
			{0x0f, 0xef, 0xc0, 0x0f, 0x77}, // pxor mm0, mm0; emms
			{0x0f, 0x77, 0xd9, 0xee},       // emms; fldz
			{0xdf, 0xe0, 0x9b},             // fnstsw ax; fwait
		} {
			d := newDiffPair(t, 1, guestMode{cpl: 3}, diffConfig())
			at := d.place()
			s := native.NewState()
			s.GPR[x86.RBX], s.GPR[x86.RSP] = diffData, diffData+2048
			for _, change := range []uint64{0, cr0, 0} {
				for _, g := range []*guest{d.ref, d.jit} {
					g.base.CR0 ^= change
				}
				for range 3 {
					if msg := d.compare(code, s, at, 0, 0, 0); msg != "" {
						t.Errorf("CR0 ^ %#x, % x: %s", change, code, msg)
					}
				}
				for _, g := range []*guest{d.ref, d.jit} {
					g.base.CR0 ^= change
				}
			}
		}
	}
}
