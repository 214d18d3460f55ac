package jit

import (
	"math/rand/v2"
	"testing"

	"hotblock/mmu"
)

// TestWinPages compares the table of a window's pages with a map.
func TestWinPages(t *testing.T) {
	w := winPages{chunks: map[uint64]*winChunk{}}
	want := map[uint64]winPage{}
	r := rand.New(rand.NewPCG(1, 2))
	blocks := []*mmu.Block{{Name: "a"}, {Name: "b"}}
	for i := range 100_000 {
		va := (r.Uint64N(4)<<30 | r.Uint64N(200)) * pageSize
		p, ok := w.at(va)
		if q, has := want[va]; p != q || ok != has {
			t.Fatalf("step %d: %#x is %v, %v; want %v, %v", i, va, p, ok, q, has)
		}
		switch {
		case r.IntN(2000) == 0:
			w.clear()
			clear(want)
		case ok && r.IntN(2) == 0:
			w.remove(va)
			delete(want, va)
		default:
			p := winPage{winKey{blocks[r.IntN(2)], r.Uint64N(100) * pageSize}, r.IntN(2) == 0}
			w.set(va, p)
			want[va] = p
		}
		if w.n != len(want) {
			t.Fatalf("step %d: %d pages, want %d", i, w.n, len(want))
		}
	}
	for n, c := range w.chunks {
		if c.mapped == 0 || c.write&^c.mapped != 0 {
			t.Errorf("chunk %#x: mapped %#x, for writing %#x", n, c.mapped, c.write)
		}
	}
}
