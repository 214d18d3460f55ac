package jit

import "testing"

// TestWindow runs random programs of CPL 3 with their memory in windows, which must
// have been of use.
func TestWindow(t *testing.T) {
	r := newProgramRig(t, "threshold=1,memory=window-now", "threshold=2,verify=all,memory=window-now")
	r.run(t, 9_000_000, 400)
	for _, g := range r.guests[1:] {
		s := g.eng.Stats()
		if s.Promoted == 0 || s.WindowFaults == 0 || s.Mapped == 0 || s.Unmapped == 0 {
			t.Errorf("%s: %d spaces promoted, %d faults, %d pages mapped, %d unmapped", g.name, s.Promoted, s.WindowFaults, s.Mapped, s.Unmapped)
		}
	}
}
