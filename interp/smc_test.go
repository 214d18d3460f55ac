package interp

import (
	"math/rand/v2"
	"testing"

	"hotblock/mmu"
)

// TestUsedMap compares a map with an array of bytes.
func TestUsedMap(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	var u usedMap
	var want [mmu.PageSize]bool
	for range 3000 {
		lo := r.Uint32N(mmu.PageSize)
		hi := min(lo+r.Uint32N(200), mmu.PageSize)
		switch r.IntN(3) {
		case 0:
			u.clear(lo, hi)
			clear(want[lo:hi])
		case 1:
			hi = min(lo+r.Uint32N(20), mmu.PageSize)
			holes := []Hole{{min(lo+2, hi), min(lo+5, hi)}, {min(lo+9, hi), min(lo+10, hi)}}
			u.markBut(lo, hi, holes)
			for i := lo; i < hi; i++ {
				if d := i - lo; d < 2 || d > 4 && d != 9 {
					want[i] = true
				}
			}
		}
		some, every, next := false, true, uint32(mmu.PageSize)
		for i := lo; i < hi; i++ {
			some, every = some || want[i], every && want[i]
		}
		for i := lo; i < mmu.PageSize; i++ {
			if want[i] {
				next = i
				break
			}
		}
		if u.any(lo, hi) != some || u.all(lo, hi) != every || u.next(lo) != next {
			t.Fatalf("%d to %d: any %t, all %t, next %d; want %t, %t, %d", lo, hi, u.any(lo, hi), u.all(lo, hi), u.next(lo), some, every, next)
		}
	}
	if u[len(u)-1] != 0 {
		t.Error("the padding is in use")
	}
}

// TestHits looks at the edges of what a write hits.
func TestHits(t *testing.T) {
	holes := []Hole{{12, 16}, {20, 21}}
	for _, c := range []struct {
		lo, hi uint32
		want   bool
	}{
		{0, 10, false}, {9, 11, true}, {10, 11, true}, {12, 16, false}, {13, 15, false}, {11, 13, true}, {15, 17, true},
		{20, 21, false}, {12, 21, true}, {29, 30, true}, {30, 31, false}, {0, 4096, true},
	} {
		if got := Hits(c.lo, c.hi, 10, 30, holes); got != c.want {
			t.Errorf("%d to %d: %t", c.lo, c.hi, got)
		}
	}
}

// keptOps counts the Ops that a CPU keeps, as its liveOps does, and the pages that
// have a past.
func keptOps(c *CPU) (kept, past int) {
	for m := range c.code {
		for _, p := range c.code[m] {
			for i := range p.blocks {
				kept += p.blocks[i].size()
			}
			if p.past != nil {
				kept += pastWeight + len(p.past.heads)
				past++
			}
		}
	}
	return kept, past
}

// TestPastIsCounted has a loop change one of its instructions, and then looks whether
// the Ops that are kept are all counted, and none when all code was forgotten.
func TestPastIsCounted(t *testing.T) {
	s := newSmall(t, "max",
		0xb9, 40, 0x00, // mov cx, 40
		0xbf, 0x0b, 0x7c, // mov di, inc
		0x80, 0x35, 0x08, // xor byte [di], 8: inc ax becomes dec ax
		0xeb, 0x00, // jmp inc
		0x40,       // inc: inc ax
		0x49,       // dec cx
		0x75, 0xf7, // jnz xor
		0xe6, stopPort)
	s.Run()
	if s.R[0] != 0 {
		t.Errorf("AX is %#x, want 0", s.R[0])
	}
	kept, past := keptOps(s.CPU)
	if past == 0 {
		t.Error("no page has a past")
	}
	if kept != s.liveOps {
		t.Errorf("%d Ops are kept, %d are counted", kept, s.liveOps)
	}
	if s.DropCode(); s.liveOps != 0 {
		t.Errorf("%d Ops are counted where there are none", s.liveOps)
	}
}
