//go:build linux

package hugepage

import (
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Unsafe is used here for addresses in a range that has just been reserved by mmap.

// none is set when the host has said that it does not collapse memory.
var none atomic.Bool

// MapFile maps the first n bytes of a memory file at an address that is a multiple of
// Size. n is a multiple of the page size, and prot is as for mmap. What it returns is
// for Unmap.
func MapFile(fd int, n, prot int) ([]byte, error) {
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(n+Size), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return nil, err
	}
	head := -uintptr(p) & (Size - 1)
	at := unsafe.Add(p, head)
	if _, err := unix.MmapPtr(fd, 0, at, uintptr(n), prot, unix.MAP_SHARED|unix.MAP_NORESERVE|unix.MAP_FIXED); err != nil {
		unix.MunmapPtr(p, uintptr(n+Size))
		return nil, err
	}
	if head > 0 {
		unix.MunmapPtr(p, head)
	}
	unix.MunmapPtr(unsafe.Add(at, n), Size-head)
	return unsafe.Slice((*byte)(at), n), nil
}

// Unmap unmaps what MapFile mapped.
func Unmap(b []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(b)), uintptr(len(b)))
}

// Collapse makes memory that MapFile mapped one huge page, and reports whether it did.
// b is Size bytes at a multiple of Size. What it holds stays as it is, in all mappings
// of the file, and others may use it meanwhile.
func Collapse(b []byte) bool {
	if none.Load() {
		return false
	}
	// It wants at least one page to be there.
	if unix.Madvise(b[:os.Getpagesize()], unix.MADV_POPULATE_READ) != nil {
		none.Store(true)
		return false
	}
	switch unix.Madvise(b, unix.MADV_COLLAPSE) {
	case nil:
		return true
	case unix.EINVAL: // it does not know how
		none.Store(true)
	}
	return false
}

// Advise asks the host for huge pages where b is, which is private memory that begins at
// a page.
func Advise(b []byte) { unix.Madvise(b, unix.MADV_HUGEPAGE) }
