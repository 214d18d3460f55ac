package jit

import (
	"slices"
	"testing"
)

// TestGoasm compares golang-asm's encodings with the translator's own, for what stubs
// need.
func TestGoasm(t *testing.T) {
	for name, w := range map[string]struct {
		a func(*goasm)
		b func(*asm)
	}{
		"gs":       {func(a *goasm) { a.load(hRAX, gs(0x1234)) }, func(a *asm) { a.load(hRAX, gs(0x1234)) }},
		"gs index": {func(a *goasm) { a.load(s2, gsx(s2, 0x123456)) }, func(a *asm) { a.load(s2, gsx(s2, 0x123456)) }},
		"jmp":      {func(a *goasm) { a.jmpMem(gs(0x1234)) }, func(a *asm) { a.jmpMem(gs(0x1234)) }},
		"jmp x":    {func(a *goasm) { a.jmpMem(gsx(s2, 0x1234)) }, func(a *asm) { a.jmpMem(gsx(s2, 0x1234)) }},
		"pop":      {func(a *goasm) { a.popMem(gs(0x1234)) }, func(a *asm) { a.opMem(0, false, 0x8f, 0, gs(0x1234)) }},
		"rorx":     {func(a *goasm) { a.rorx(s2, s1, 12) }, func(a *asm) { a.rorx(s2, s1, 12) }},
		"pext":     {func(a *goasm) { a.pext(s0, s2, gs(0x1234)) }, func(a *asm) { a.pext(s0, s2, gs(0x1234)) }},
		"pdep":     {func(a *goasm) { a.pdep(s2, s1, gs(0x1234)) }, func(a *asm) { a.pdep(s2, s1, gs(0x1234)) }},
		"imm":      {func(a *goasm) { a.storeImm32(gs(0x1234), -5) }, func(a *asm) { a.storeImm32(gs(0x1234), -5) }},
		"lea":      {func(a *goasm) { a.lea(s0, mem{base: s0, index: s1}) }, func(a *asm) { a.lea(s0, mem{base: s0, index: s1}) }},
		"store16":  {func(a *goasm) { a.store16(based(s0, 77), s2) }, func(a *asm) { a.byte(0x66); a.opMem(0, false, 0x89, s2, based(s0, 77)) }},
		"fnsave":   {func(a *goasm) { a.fnsave(gs(0x1234)) }, func(a *asm) { a.opMem(0, false, 0xdd, 6, gs(0x1234)) }},
	} {
		for off := range 32 { // of the end of a jump in a cache line, too
			pad := slices.Repeat([]byte{0xcc}, off)
			g, b := &goasm{}, &asm{}
			g.byte(pad...)
			w.a(g)
			b.byte(pad...)
			w.b(b)
			if got := g.assemble(); !slices.Equal(got, b.b) {
				t.Errorf("%s at %d: golang-asm % x, asm % x", name, off, got[off:], b.b[off:])
			}
		}
	}
}

// BenchmarkStubs measures what the stubs cost at the start.
func BenchmarkStubs(b *testing.B) {
	for range b.N {
		e := &Engine{hostAVX: true}
		a := &stubAsm{}
		if err := e.choose(a); err != nil {
			b.Fatal(err)
		}
		a.assemble()
	}
}
