package jit

// The example of docs/STRATEGIES.md: a strategy in one file.

import "testing"

func init() {
	regionAxis.register("pairs", "two instructions at a time, as an example",
		func(*Engine, *stubAsm) regionStrategy { return pairsOfTwo{} })
}

// pairsOfTwo has regions of two instructions, or one.
type pairsOfTwo struct{}

func (pairsOfTwo) limit() int          { return 2 }
func (pairsOfTwo) through(follow) bool { return false }
func (pairsOfTwo) loops() bool         { return false }

// TestExampleStrategy sees that its regions are short: that programs run right with it
// is TestStrategies' to find out, as it is for all that is registered.
func TestExampleStrategy(t *testing.T) {
	cfg := DefaultConfig
	cfg.Threshold = 1
	if err := cfg.Set("region", "pairs"); err != nil {
		t.Fatal(err)
	}
	g := newGuest(t, &cfg)
	g.mapPage(progCode, guestCode|7)
	copy(g.ram.Bytes[guestCode:], []byte{
		0xff, 0xc0, // inc eax
		0xff, 0xc0,
		0xff, 0xc0,
		0xff, 0xc0,
		0xff, 0xc0,
		0xcc, // int3
	})
	s := g.base
	guestMode{cpl: 3}.segments(&s, 0, 0)
	s.RIP = progCode
	g.run(&s, 2)
	if n := g.cpu.R[0]; n != 5 {
		t.Errorf("five times INC makes %d", n)
	}
	// Two and two and one, and what the system's side of the test has.
	for _, r := range g.eng.regions[1:] {
		if len(r.insts) > 2 {
			t.Errorf("a region of %d instructions", len(r.insts))
		}
	}
	if st := g.eng.Stats(); st.Regions < 3 {
		t.Errorf("%d regions", st.Regions)
	}
}
