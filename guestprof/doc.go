// Package guestprof is a sampling profiler of the guest, from outside: it needs
// nothing in the guest, and what it finds goes into a file for pprof.
//
// # How it works
//
// A ticker posts requests to the CPU, which serves one at its next block boundary,
// on its own goroutine, with its state complete (sampler.go). A sample is a stack
// of code addresses and labels. Everything about the guest is read from its memory
// there and then, by page walks that leave no trace (memory.go), as a debugger
// would do it:
//
//	kallsyms.go  the kernel's symbols, found by the shape of their tables
//	btf.go       the kernel's type information: where in a structure a field is
//	orc.go       the kernel's unwind tables; unwind.go walks stacks
//	linux.go     the current task, its mappings, files in the page cache, modules
//	elf.go       symbols of programs
//	write.go     the profile, in pprof's format
//	regions.go   what the translator did, in the same format, and the hottest code
//
// Nothing is assumed of where a field or a table is: a kernel without type
// information gives kernel functions only, and one without kallsyms, addresses.
//
// # What a sample means
//
// Ticks are of the host's time while the CPU is not halted. A CPU that halts is
// idle, and idle time is not in the profile, as in perf's cpu-clock. Time that the
// host gives to other processes counts for the code that was interrupted.
//
// Samples have skid: the interpreter looks for requests at the start of basic
// blocks, and between the elements of string instructions; translated code at
// backward and indirect jumps, calls and returns among them, and where it leaves
// for another reason. So a sample is at the first such place behind the one where
// the tick fell: in the same function or, where that has no loop and no call, in
// the one it returns to. Code in which the guest has interrupts disabled is sampled
// like any other.
//
// The guest's memory is hostile: all reads are checked, all loops bounded, and
// nothing of what is read is more than a number or a name in a file.
package guestprof
