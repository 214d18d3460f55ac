//go:build !amd64

package cpuid

// Exec returns zeros: there is no such instruction.
func Exec(leaf, sub uint32) (a, b, c, d uint32) { return 0, 0, 0, 0 }
