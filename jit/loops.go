package jit

// Loops inside of a region.
//
// A jump back to an instruction of the same region stays in it: no edge, no exit,
// registers stay where they are, and flags are known to be dead or not. A jump
// forward inside of the body of such a loop stays in it, too. The targets of these
// jumps are where paths meet, so groups of accesses do not go across them.

import "hotblock/x86/decode"

// findLoops finds the jumps that stay in the region.
func (t *translator) findLoops() {
	t.loopLo, t.loopHi = maxRegion, -1
	for i := range t.n {
		t.insts[i].target, t.insts[i].meet, t.insts[i].ahead = -1, false, false
	}
	if t.e.cfg.Verify != VerifyOff || !t.e.use.region.loops() {
		return // a rehearsal goes straight on
	}
	for i := range t.n {
		if j := t.indexOf(i); j >= 0 && j <= i {
			t.insts[i].target = int16(j)
			t.insts[j].meet, t.insts[j].latch = true, int16(i)
			t.loopLo, t.loopHi = min(t.loopLo, j), max(t.loopHi, i)
		}
	}
	for i := max(t.loopLo, 0); i < t.loopHi; i++ {
		if j := t.indexOf(i); j > i && j <= t.loopHi && t.insts[i].jcc {
			t.insts[i].target = int16(j)
			t.insts[j].meet, t.insts[j].ahead = true, true
		}
	}
}

// indexOf is the instruction that instruction i, if it is a direct jump, leads
// to, or -1.
func (t *translator) indexOf(i int) int {
	g := &t.insts[i]
	if g.varies || g.e.Class != decode.ClassBranch || !g.jcc && (g.x.Op != opJmp || g.x.Args[0].Kind != decode.Rel) {
		return -1
	}
	off := g.off + uint32(g.x.Len) + uint32(g.x.Imm)
	if off < t.insts[0].off || off > t.insts[t.n-1].off {
		return -1
	}
	for j := range t.n {
		if t.insts[j].off == off {
			return j
		}
	}
	return -1
}

// firstLoop returns the number of instructions up to the end of the first loop, with
// those that overlap it; 0 if there is none.
func (t *translator) firstLoop() (n int) {
	for i := range t.n {
		if j := int(t.insts[i].target); j >= 0 && j <= i && (n == 0 || j < n) {
			n = i + 1
		}
	}
	return n
}

// straight reports whether all instructions from j to i, which jumps back to j, are run in each turn of
// that loop.
func (t *translator) straight(j, i int) bool {
	for k := t.loopLo; k <= t.loopHi; k++ {
		if to := int(t.insts[k].target); k != i && to >= j && to <= i {
			return false
		}
	}
	return true
}

// inLoop reports whether instruction i is in a loop of the region.
func (t *translator) inLoop(i int) bool { return i >= t.loopLo && i <= t.loopHi }

const (
	hostLine    = 64  // of the host's caches; also what it decodes instructions by
	regionAlign = 16  // of the regions' code
	maxFitted   = 128 // bytes of a loop for which it matters in how many lines it is
)

// fitLoops returns by how much the region should begin later, for its short loops to be in as few lines of the
// host's cache as may be: a turn of one that lies in one more line may take half as long again. The code for the
// region's instructions ends at end.
func (t *translator) fitLoops(end int) (shift int32) {
	if t.loopHi < 0 {
		return 0
	}
	fewest := t.loopLines(0, end)
	for s := int32(regionAlign); s < hostLine; s += regionAlign {
		if n := t.loopLines(s, end); n < fewest {
			fewest, shift = n, s
		}
	}
	return shift
}

// loopLines is in how many lines short loops are if the region begins shift bytes later.
func (t *translator) loopLines(shift int32, end int) (lines int32) {
	for i := t.loopLo; i <= t.loopHi; i++ {
		j := int(t.insts[i].target)
		if j < 0 || j > i {
			continue
		}
		from, to := t.insts[j].host, int32(end)
		if i+1 < t.n {
			to = t.insts[i+1].host
		}
		if to-from <= maxFitted {
			from += t.r.host + shift
			to += t.r.host + shift
			lines += (to-1)/hostLine - from/hostLine + 1
		}
	}
	return lines
}

// jumpInside makes the displacement at at lead to instruction j.
func (t *translator) jumpInside(at int, j int16) {
	if g := &t.insts[j]; int(j) <= t.index {
		t.patchRel32(at, int(g.host))
	} else {
		t.fixups = append(t.fixups, innerJump{at, j})
	}
}

// An innerJump is a jump forward inside of the region.
type innerJump struct {
	at int
	to int16
}
