package jit

import (
	"testing"

	"hotblock/internal/hosttext"
	"hotblock/interp"
)

// textAt is where the code is; for code of 32 bits at the lower half of that, too.
const textAt uint64 = 0x7f1234000000

// newTextGuest is a guest with code that is not run.
func newTextGuest(tb testing.TB, cfg *Config, text []byte, m guestMode) *guest {
	g := newGuest(tb, cfg)
	for off := uint64(0); off < uint64(len(text)); off += pageSize {
		user := uint64(4)
		if m.cpl == 0 {
			user = 0
		}
		g.mapPage(textAt+off, guestData+off|3|user)
		if m.compat {
			g.mapPage((textAt+off)&0xffffffff, guestData+off|3|user)
		}
	}
	copy(g.ram.Bytes[guestData:], text)
	s := g.base
	m.segments(&s, 0, 0)
	s.RIP = textAt
	g.cpu.State = s
	g.cpu.Refresh()
	return g
}

// mixedRegions is the default, for code that has fallen through two of three jumps.
type mixedRegions struct {
	regions
	jumps *int
}

func (s mixedRegions) through(follow) bool {
	*s.jumps++
	return *s.jumps%3 != 0
}

// translateText translates code from its beginning on, a region behind the other, and calls
// made for each.
func (g *guest) translateText(text []byte, v interp.Variant, made func(b interp.Block, r *region)) {
	for off := uint64(0); off < uint64(len(text)); {
		b := interp.Block{Page: g.cpu.CodePageAt(textAt + off), Off: off % pageSize, VA: textAt + off, Variant: v}
		n := g.eng.Translate(b)
		if n == 0 {
			off++
			continue
		}
		r := g.eng.regions[n-1]
		made(b, r)
		off += uint64(max(r.size, 1))
	}
}

// BenchmarkTranslateText is the translation of an instruction, as programs have them.
func BenchmarkTranslateText(b *testing.B) {
	user := interp.Variant64 | interp.VariantUser | interp.TLBUser
	for _, w := range []struct {
		name, memory string
		variant      interp.Variant
	}{
		{"tlb", "tlb", user},
		{"window", "window-now", user | interp.VariantWindow},
	} {
		b.Run(w.name, func(b *testing.B) {
			text := hosttext.Load(b)
			g := newTextGuest(b, memoryConfig(w.memory), text, guestMode{cpl: 3})
			g.eng.use.region = mixedRegions{regions{maxRegion, acrossAll, true}, new(int)}
			pass := func() { g.translateText(text, w.variant, func(interp.Block, *region) {}) }
			pass() // what grows does
			before := g.eng.stats
			for b.Loop() {
				g.eng.flush()
				pass()
			}
			s := g.eng.stats
			n := float64(s.Instructions - before.Instructions)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/instruction")
			b.ReportMetric(n/float64(s.Regions-before.Regions), "instructions/region")
			b.ReportMetric(float64(s.HostBytes-before.HostBytes)/n, "bytes/instruction")
		})
	}
}
