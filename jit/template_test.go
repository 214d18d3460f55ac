package jit

import (
	"math/rand/v2"
	"testing"

	amd64 "github.com/twitchyliquid64/golang-asm/obj/x86"

	"hotblock/interp"
	"hotblock/x86/decode"
)

// TestTemplatesAssemble makes the templates of random instructions: whatever keyOf
// accepts can be assembled, and has the holes that its operands need.
func TestTemplatesAssemble(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	made := map[templateKey]bool{}
	prefixes := [][]byte{{}, {0x66}, {0xf0}, {0xf3}, {0x66, 0xf0}}
	for range 400_000 {
		code := append([]byte(nil), prefixes[r.IntN(len(prefixes))]...)
		if r.IntN(2) == 0 {
			code = append(code, 0x40|byte(r.IntN(16)))
		}
		if r.IntN(3) == 0 {
			code = append(code, 0x0f)
		}
		for range 15 {
			code = append(code, byte(r.IntN(256)))
		}
		var g ginst
		if decode.Decode(code, decode.Mode64, &g.x) != nil {
			continue
		}
		g.e = g.x.Effects()
		if g.e.Class != decode.ClassPlain || g.e.Mem == decode.AccessAddress {
			continue
		}
		k, ok := keyOf(&g)
		if !ok || made[k] {
			continue
		}
		made[k] = true
		p := k.make()
		if p == nil {
			t.Errorf("%v cannot be assembled: %+v (% x)", g.x.Op, k, code[:g.x.Len])
			continue
		}
		has := map[int32]bool{}
		for _, h := range p.holes {
			has[h.what] = true
		}
		if k.dst == inReg != has[holeDst] && k.dst != inHigh || k.src == inReg && !has[holeSrc] || k.src == inImm && !has[holeLow] {
			t.Errorf("%v: holes %v of %+v: % x", g.x.Op, p.holes, k, p.code)
		}
	}
	if len(made) < 500 {
		t.Errorf("only %d templates", len(made))
	}
	t.Logf("%d templates", len(made))
}

// BenchmarkTemplate assembles one template.
func BenchmarkTemplate(b *testing.B) {
	k := templateKey{as: amd64.AADDL, shape: shapeBinary, dst: inReg, src: inReg, size: 4, saveFlags: true}
	for range b.N {
		k.make()
	}
}

// BenchmarkTranslate translates a block of 16 instructions with each back end; the
// first time, which assembles templates, is not measured.
func BenchmarkTranslate(b *testing.B) {
	for _, name := range []string{"direct", "template"} {
		b.Run(name, func(b *testing.B) {
			cfg := DefaultConfig
			cfg.Choices.Backend = name
			g := newGuest(b, &cfg)
			g.mapPage(progCode, guestCode|7)
			code := g.ram.Bytes[guestCode:]
			for i := range 4 {
				copy(code[14*i:], []byte{
					0x48, 0x8b, 0x47, 8, // mov rax, [rdi+8]
					0x01, 0xd8, // add eax, ebx
					0x48, 0x39, 0xc8, // cmp rax, rcx
					0x0f, 0x94, 0xc2, // sete dl
				})
				copy(code[14*i+12:], []byte{0xff, 0xc1}) // inc ecx
			}
			code[14*4] = 0xc3
			s := g.base
			guestMode{cpl: 3}.segments(&s, 0, 0)
			s.RIP = progCode
			g.cpu.State = s
			g.cpu.Refresh()
			v, _ := g.cpu.Variant()
			blk := interp.Block{Page: g.cpu.CodePageAt(progCode), VA: progCode, Variant: v}
			e := g.eng
			n := 0
			for b.Loop() {
				e.sites.truncate(1)
				if e.use.backend.translate(e, blk, nil) == nil {
					b.Fatal("not translated")
				}
				n = e.t.n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/instruction")
		})
	}
}
