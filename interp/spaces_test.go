package interp

import "testing"

// putBack plays n switches to a space with one entry, which is used in those that used
// says, and counts how often it was brought back and missed.
func putBack(n int, used func(i int) bool) (back, missed int) {
	var c Credit
	there := false
	for i := range n {
		now := uint16(2 * i)
		if there {
			back++
		}
		if used(i) && !there {
			c.Missed(now)
			missed++
			there = true
		}
		there = there && c.Spend(now+1)
	}
	return back, missed
}

func TestCreditFollowsUse(t *testing.T) {
	const n = 100_000
	if back, missed := putBack(n, func(i int) bool { return i == 0 }); missed != 1 || back > firstCredit {
		t.Errorf("used once: brought back %d times after %d misses", back, missed)
	}
	if _, missed := putBack(n, func(int) bool { return true }); missed > n/(firstCredit<<topGrade)+topGrade+1 {
		t.Errorf("used always: missed %d times of %d", missed, n)
	}
	if back, missed := putBack(n, func(i int) bool { return i%1000 == 0 }); missed != n/1000 || back > missed*firstCredit {
		t.Errorf("used seldom: brought back %d times after %d misses", back, missed)
	}
}

// Numbers of address spaces are used again, and entries of the space that had one
// before must not be found.
func TestSpaceNumbersAreUsedAgain(t *testing.T) {
	c := newRandomMachine(t).cpu
	const va, global = 0x5000, 0x6000
	it := &c.its[0]
	it.init()
	p := &codePage{}
	it.fill(global, p, true, 12)
	var first uint64
	lost := false
	for i := range 3 * endSpaces {
		c.newSpace()
		if it.find(va) != nil {
			t.Fatalf("space %d has the entry of the last with its number", i)
		}
		if it.space < firstSpace || it.space >= endSpaces {
			t.Fatalf("space %d has the number %d", i, it.space)
		}
		if i == 0 {
			c.spaces[3].number = it.space
			first = it.space
		}
		if it.find(global) == nil {
			lost = true // all is dropped when the numbers are used up
			it.fill(global, p, true, 12)
			if c.spaces[3].number != 0 {
				t.Fatalf("a space that is not current still has the number %d", first)
			}
		}
		if i%3 == 0 {
			if it.fill(va, p, false, 12); it.find(va) == nil {
				t.Fatalf("space %d: an entry is not found", i)
			}
		}
	}
	if !lost {
		t.Error("the numbers were never used up")
	}
}
