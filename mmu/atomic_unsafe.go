package mmu

import (
	"sync/atomic"
	"unsafe"
)

// atomicOr32 sets bits in the 32-bit word at off, which must be 4-byte aligned
// and inside b. The index expression checks the bounds; b is page-aligned host
// memory, so an aligned offset is an aligned address.
func atomicOr32(b []byte, off uint64, bits uint32) {
	_ = b[off+3]
	atomic.OrUint32((*uint32)(unsafe.Pointer(&b[off])), bits)
}
