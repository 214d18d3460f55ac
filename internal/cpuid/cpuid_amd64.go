package cpuid

// Exec executes CPUID with EAX and ECX as given. A leaf that the processor does not have
// may answer with anything.
//
//go:noescape
func Exec(leaf, sub uint32) (a, b, c, d uint32)
