package interp

import (
	"testing"

	"hotblock/internal/hosttext"
)

// BenchmarkDecodeText is what the first run of code costs before it runs: the decoding of an instruction, as programs
// have them, and its place in a block.
func BenchmarkDecodeText(b *testing.B) {
	const at = 2 << 20
	text := hosttext.Load(b)
	s := newSmall(b, "max")
	s.long64()
	copy(s.ram[at:], text)
	pass := func() {
		for off := 0; off < len(text); {
			s.RIP = at + uint64(off)
			if h := s.lookup(); h.n == 0 {
				off++
			} else {
				for o := h.next; o.len != 0; o = o.next {
					off += int(o.len)
				}
			}
		}
	}
	pass() // what grows does
	before := s.stats
	for b.Loop() {
		s.dropAllCode()
		pass()
	}
	n := float64(s.stats.Decoded - before.Decoded)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/n, "ns/instruction")
	b.ReportMetric(n/float64(s.stats.Blocks-before.Blocks), "instructions/block")
}
