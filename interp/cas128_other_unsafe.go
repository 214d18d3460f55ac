//go:build !amd64

package interp

import "unsafe"

// cas128 compares the 16 bytes at p with old, stores new if they are equal, and
// returns what was there. p must be aligned to 16 bytes and point to writable host
// memory. Go has no 16-byte atomics on these hosts: it is atomic with respect to
// itself and to split locked accesses only.
func cas128(p hostPtr, oldLo, oldHi, newLo, newHi uint64) (lo, hi uint64) {
	splitLock.Lock()
	defer splitLock.Unlock()
	v := (*[2]uint64)(unsafe.Pointer(p))
	lo, hi = v[0], v[1]
	if lo == oldLo && hi == oldHi {
		v[0], v[1] = newLo, newHi
	}
	return lo, hi
}
