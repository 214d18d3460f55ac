package interp

import (
	"hotblock/mmu"
	"hotblock/x86"
)

// What a sampling profiler needs of a CPU. It asks for a sample from a goroutine of
// its own; the CPU calls OnSample at its next block boundary, where State is
// complete.

// RequestSample has the CPU call OnSample soon, if it runs. A CPU that is halted
// is not woken: it calls OnSample when something else wakes it, still halted. It
// may be called from any goroutine.
func (c *CPU) RequestSample() {
	c.pending.Or(reqSample)
	if c.tr != nil {
		c.tr.Poke()
	}
}

// Translated reports whether the last that ran before a call of OnSample was
// translated code, or an instruction that it had the interpreter run.
func (c *CPU) Translated() bool { return c.translated }

// Waiting reports whether the CPU waits for a start-up IPI.
func (c *CPU) Waiting() bool { return c.waiting }

// DebugPaging returns what a page walk needs to read the memory of the current
// address space as a debugger does: with the supervisor's rights, access to the
// pages of programs included, and without setting accessed and dirty bits.
func (c *CPU) DebugPaging() mmu.Paging {
	p := c.paging
	p.SMEP, p.SMAP, p.SetAccessedDirty = false, false, false
	return p
}

// CodeBase is the linear address of the code segment's base, which RIP counts from.
func (c *CPU) CodeBase() uint64 { return c.R[x86.RSeg+x86.CS] }
