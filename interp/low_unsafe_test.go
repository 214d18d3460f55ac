//go:build linux && amd64

package interp

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// allocLow maps size bytes below 4 GiB, with nothing before and after them. The
// memory is never given back.
func allocLow(size int) ([]byte, uint64, error) {
	const page = 4096
	for at := uintptr(0x40000000); ; at += 0x1000000 {
		// Only an address that is free is taken; Go's heap is far above.
		p, err := unix.MmapPtr(-1, 0, unsafe.Add(nil, at), uintptr(size+2*page), unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_FIXED_NOREPLACE)
		if err != nil {
			if at < 0x70000000 {
				continue
			}
			return nil, 0, err
		}
		b := unsafe.Slice((*byte)(unsafe.Add(p, page)), size)
		if err := unix.Mprotect(b, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return nil, 0, err
		}
		return b, uint64(at) + page, nil
	}
}
