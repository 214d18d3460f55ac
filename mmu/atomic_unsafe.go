package mmu

import (
	"sync/atomic"
	"unsafe"
)

// load reads the size (4 or 8) bytes at off of b in one step. As to off and the
// host's byte order it is as compareAndSwap.
func load(b []byte, off uint64, size int) uint64 {
	_ = b[off+uint64(size)-1]
	p := unsafe.Pointer(&b[off])
	if size == 4 {
		return uint64(atomic.LoadUint32((*uint32)(p)))
	}
	return atomic.LoadUint64((*uint64)(p))
}

// compareAndSwap replaces the size (4 or 8) bytes at off of b by v if they are
// still old, in one step, and reports whether they were. off must be a multiple
// of size. The index expression checks the bounds; b is page-aligned host
// memory, so an aligned offset is an aligned address. It is for little-endian
// hosts, as guest memory is for all of this project.
func compareAndSwap(b []byte, off uint64, size int, old, v uint64) bool {
	_ = b[off+uint64(size)-1]
	p := unsafe.Pointer(&b[off])
	if size == 4 {
		return atomic.CompareAndSwapUint32((*uint32)(p), uint32(old), uint32(v))
	}
	return atomic.CompareAndSwapUint64((*uint64)(p), old, v)
}
