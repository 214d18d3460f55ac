//go:build amd64

package interp

// cas128 compares the 16 bytes at p with old, stores new if they are equal, and
// returns what was there, in one atomic operation. p must be aligned to 16 bytes
// and point to writable host memory, as a pointer from resolve with an aligned
// address does: pages are aligned, so the 16 bytes are in one.
//
// It is CMPXCHG16B, which every amd64 processor that Go programs meet today has
// (all but the first AMD64 models of 2003).
//
//go:noescape
func cas128(p hostPtr, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64)
