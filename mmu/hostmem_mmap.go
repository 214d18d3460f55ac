//go:build linux || darwin

package mmu

import "golang.org/x/sys/unix"

// mapAnonymous maps size bytes of memory of no file.
func mapAnonymous(size uint64) ([]byte, error) {
	return unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
}

// Free gives the block's memory back to the host. Nothing may use it after.
func (b *Block) Free() {
	if b.Bytes != nil {
		unix.Munmap(b.Bytes)
		b.Bytes = nil
	}
	if b.file >= 0 {
		unix.Close(b.file)
		b.file = -1
	}
}
