package jit

import "testing"

// TestWindow runs random programs of CPL 3 with their memory in windows, which must
// have been of use. One at a time: the host has room for one.
func TestWindow(t *testing.T) {
	for _, opts := range []string{"threshold=1,memory=window-now", "threshold=2,verify=all,memory=window-now"} {
		r := newProgramRig(t, opts)
		r.run(t, 9_000_000, 400)
		g := r.guests[1]
		s := g.eng.Stats()
		if s.Promoted == 0 || s.WindowFaults == 0 || s.Mapped == 0 || s.Unmapped == 0 {
			t.Errorf("%s: %d spaces promoted, %d faults, %d pages mapped, %d unmapped", g.name, s.Promoted, s.WindowFaults, s.Mapped, s.Unmapped)
		}
		g.eng.Close()
	}
}
