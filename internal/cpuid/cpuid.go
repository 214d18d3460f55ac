// Package cpuid asks the host's processor what it can do, for what golang.org/x/sys/cpu
// does not tell.
package cpuid

// extendedLeaves is where the second range of leaves begins (SDM volume 2A, CPUID).
const extendedLeaves = 0x80000000

// Leaf returns EAX, EBX, ECX and EDX of a leaf of CPUID: zeros where the processor has no
// such leaf, and on hosts other than amd64.
func Leaf(leaf, sub uint32) (a, b, c, d uint32) {
	first := leaf & extendedLeaves
	if last, _, _, _ := Exec(first, 0); last < leaf || last&extendedLeaves != first {
		return 0, 0, 0, 0
	}
	return Exec(leaf, sub)
}
