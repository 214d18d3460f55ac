// Package jit translates hot basic blocks of the guest to code of the host, which
// is an amd64 too. It is the second tier behind package interp, for one CPU.
//
// # How it works
//
// The interpreter counts how often each block is entered. One that is hot becomes
// a region here (translate.go): its instructions, copied, with their operands
// rewritten (inst.go). Guest registers are in host registers, status flags in the
// host's flags, vector and x87 registers in the host's, also from one region to
// the next. A region is left through sites, places that lead to the engine
// (engine.go): it fills the TLB and goes on, or links the site to the region that
// it asked for, or has the interpreter do what is rare. All exceptions and
// interrupts are the interpreter's, so there is one piece of code for each.
//
//	translate.go  regions: which instructions, their flags, their edges
//	lower.go      an instruction, by class; string.go, system.go, tsc.go,
//	              bitstring.go, loopinst.go and x87.go for some classes
//	inst.go       writing a guest instruction as host code; asm.go is the encoder
//	homes.go      which guest register is in which host register
//	loops.go      jumps that stay in a region
//	stackptr.go   the stack pointer, moved once for many pushes and pops
//	coalesce.go   accesses to memory: the inline TLB, one check for several
//	window.go     accesses to memory: pages of a program where their addresses say;
//	              windowed.go the code that makes use of it, winpages.go which pages are there,
//	              guess.go where an access will be, stackpart.go what is known of RSP
//	returns.go    calls and returns by those of the host
//	smc.go        stores to pages with code, regions whose code changes
//	maps.go       code that depends on mappings; address spaces
//	placed.go     code that is made for a linear address, of programs with a window
//	exits.go      code out of the way of a region's instructions: exits at sites
//	table.go      where sites, regions and the maps of their instructions are
//	stubs.go      the way in and out; context_unsafe.go is what code sees through GS
//	goasm.go      golang-asm, for what is assembled once
//	strategy.go   what can be chosen by name; strategies.go the choices
//	template.go   another back end: registers in memory, a block at a time
//	engine.go     the code cache, links, exits
//	verify.go     -jit verify: every region against the interpreter
//	profile.go    what happened to which region, for profiles
//	host/         executable memory, signals
//
// # What holds everywhere
//
// Nothing of the guest changes before the last thing of an instruction that can
// fault, so an instruction can always be handed to the interpreter or started
// again. Translated code never writes to memory that the write TLB or the window does not
// hold, and neither holds a page with code; but bytes of such a page that no code was
// made of may be written when the TLB for these pages holds it. Every loop polls the
// pending word. Between instructions the scratch registers hold nothing of the guest's but copies. Code
// does not depend on its linear address, or moves when that changes.
//
// One thing differs from silicon: status flags that the program overwrites before
// it reads them may have any value in the frame of a fault that is taken meanwhile.
package jit
