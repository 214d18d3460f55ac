//go:build linux || darwin

package mmu

import "golang.org/x/sys/unix"

// allocHost maps size bytes of anonymous memory. The mapping is not counted
// against the host's memory until it is touched.
func allocHost(size uint64) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err == nil && size >= hugeFrom {
		adviseHuge(b)
	}
	return b, err
}

// hugeFrom is the size from which host memory is asked for in huge pages: guest
// memory, but not tables of which a guest uses a small part.
const hugeFrom = 64 << 20

// Free gives the block's memory back to the host. Nothing may use it after.
func (b *Block) Free() {
	if b.Bytes != nil {
		unix.Munmap(b.Bytes)
		b.Bytes = nil
	}
}
