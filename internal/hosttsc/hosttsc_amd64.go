package hosttsc

import "runtime"

// Read returns the time stamp counter of the processor that it runs on, as LFENCE
// and RDTSC give it: not before all earlier instructions have been executed.
//
//go:noescape
func Read() uint64

// clockSource reports whether the system trusts the counter across processors. Only
// Linux can be asked; others are taken at the processor's word.
func clockSource() bool { return runtime.GOOS != "linux" || linuxSource() }
