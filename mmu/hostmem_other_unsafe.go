//go:build !linux && !darwin

package mmu

import (
	"fmt"
	"unsafe"
)

// allocHost takes size bytes from the Go heap, aligned to a page, where there
// is no mmap.
func allocHost(size uint64) (b []byte, file int, err error) {
	defer func() {
		if recover() != nil {
			err = fmt.Errorf("no room for %d bytes", size)
		}
	}()
	raw := make([]byte, size+PageSize)
	o := -uint64(uintptr(unsafe.Pointer(unsafe.SliceData(raw)))) % PageSize
	return raw[o : o+size : o+size], -1, nil
}

// Free gives the block's memory back to the host. Nothing may use it after.
func (b *Block) Free() { b.Bytes = nil }
