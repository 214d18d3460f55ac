package interp

// Rehearsals: running instructions to see what they do, and taking it back.
//
// While a CPU rehearses, its current TLB is the one that is never filled, so that
// every access passes through resolve, which keeps what a store is about to
// overwrite. An access that cannot be taken back (MMIO, ROM, pages with code)
// ends the rehearsal before it happens.

import (
	"unsafe"

	"hotblock/mmu"
	"hotblock/x86"
)

// A Rehearsal is what a CPU did while it rehearsed.
type Rehearsal struct {
	Steps  []RehearsedStep // the state before each instruction, and at the end
	Writes []RehearsedWrite
	// Cut is set where it ended because one instruction went on for too long.
	Cut bool

	accesses int
}

// maxRehearsed is how many accesses a rehearsal may have.
const maxRehearsed = 2048

// RehearsedStep is a state on the way, with Writes[:Writes] done.
type RehearsedStep struct {
	x86.State
	Writes int
}

// RehearsedWrite is memory that was written.
type RehearsedWrite struct {
	VA       uint64
	Old, New [64]byte // of Size bytes
	Size     uint

	host hostPtr
}

// Same reports whether the memory now holds what the rehearsal wrote.
func (w *RehearsedWrite) Same() bool {
	return string(unsafe.Slice((*byte)(w.host), w.Size)) == string(w.New[:w.Size])
}

// SameBut reports whether the memory differs from what was written in no more than
// the given low bits of a stack slot.
func (w *RehearsedWrite) SameBut(bits uint64) bool {
	if bits == 0 || w.Size != 4 && w.Size != 8 {
		return false
	}
	for i, b := range w.Now() {
		if (b^w.New[i])&^byte(bits>>(8*i)) != 0 {
			return false
		}
	}
	return true
}

// Now is what the memory holds.
func (w *RehearsedWrite) Now() []byte { return unsafe.Slice((*byte)(w.host), w.Size) }

// Overlaps reports whether two writes touch the same memory, by whatever addresses.
func (w *RehearsedWrite) Overlaps(v *RehearsedWrite) bool {
	a, b := uintptr(w.host), uintptr(v.host)
	return a-b < uintptr(v.Size) || b-a < uintptr(w.Size)
}

// stopRehearsal is panicked with where an access cannot be taken back.
type stopRehearsal struct{}

// Rehearse runs instructions from RIP on for as long as more says so before
// each, and takes everything back. It ends early, before an instruction that
// faults or cannot be taken back.
func (c *CPU) Rehearse(more func() bool) *Rehearsal {
	r := &Rehearsal{}
	start, stats, recheck := c.State, c.stats, c.recheck
	c.rehearsal = r
	c.updatePrivilege()
	for more() {
		n := len(r.Writes)
		r.Steps = append(r.Steps, RehearsedStep{c.State, n})
		if !c.rehearseStep() {
			r.Steps = r.Steps[:len(r.Steps)-1]
			break
		}
		for i := n; i < len(r.Writes); i++ {
			w := &r.Writes[i]
			copy(w.New[:w.Size], w.Now())
		}
	}
	r.Steps = append(r.Steps, RehearsedStep{c.State, len(r.Writes)})
	c.rehearsal = nil
	for i := len(r.Writes) - 1; i >= 0; i-- {
		w := &r.Writes[i]
		copy(w.Now(), w.Old[:w.Size])
	}
	c.State = start
	c.updateMode()
	c.updatePrivilege()
	c.updateDebug()
	c.stats, c.recheck = stats, recheck
	return r
}

func (c *CPU) rehearseStep() (ok bool) {
	before, writes := c.State, len(c.rehearsal.Writes)
	defer func() {
		if e := recover(); e != nil {
			switch e.(type) {
			case *fault, stopRehearsal:
			default:
				panic(e)
			}
			c.State = before
			for i := len(c.rehearsal.Writes) - 1; i >= writes; i-- {
				w := &c.rehearsal.Writes[i]
				copy(w.Now(), w.Old[:w.Size])
			}
			c.rehearsal.Writes = c.rehearsal.Writes[:writes]
		}
	}()
	c.Interpret()
	return true
}

// rehearse is called for each access of a rehearsal.
func (c *CPU) rehearse(va uint64, size uint, acc mmu.Access, p place) {
	if c.rehearsal.accesses++; c.rehearsal.accesses > maxRehearsed {
		c.rehearsal.Cut = true
		panic(stopRehearsal{})
	}
	if p.host == nil {
		panic(stopRehearsal{})
	}
	if acc&mmu.Write == 0 {
		return
	}
	if p.rgn.Kind != mmu.RAM || size > 64 {
		panic(stopRehearsal{})
	}
	if off := p.rgn.Off + p.pa - p.rgn.Base; p.rgn.Blk.Flags(off)&mmu.PageCode != 0 && (c.NumCPUs > 1 || c.usedOf(pageKey{p.rgn.Blk, off &^ pageMask}).any(uint32(off&pageMask), uint32(off&pageMask)+uint32(size))) {
		panic(stopRehearsal{})
	}
	w := RehearsedWrite{VA: va, Size: size, host: p.host}
	copy(w.Old[:size], w.Now())
	c.rehearsal.Writes = append(c.rehearsal.Writes, w)
}
