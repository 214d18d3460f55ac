//go:build linux && amd64

package host

import (
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Unsafe is used here for addresses in a range that is reserved by mmap for Windows
// alone, for one at a time. Every offset is checked to be in it.

// A Window is a range of host addresses, into which pages of files are mapped one by
// one. What is not mapped faults, and so do the WindowGuard bytes on either side of it.
type Window struct {
	Base uintptr // its address
	Size uint64  // in bytes

	at unsafe.Pointer
}

const windowFlags = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE

// idle are the addresses of windows that were closed, by size. They stay reserved: with
// what others map in between there may be no room for as many again.
var idle struct {
	sync.Mutex
	at map[uint64][]unsafe.Pointer
}

// NewWindow reserves size bytes of addresses, a multiple of the page size. It fails
// where the system does not give as many.
func NewWindow(size uint64) (*Window, error) {
	idle.Lock()
	defer idle.Unlock()
	if l := idle.at[size]; len(l) > 0 {
		p := l[len(l)-1]
		idle.at[size] = l[:len(l)-1]
		return &Window{Base: uintptr(p), Size: size, at: p}, nil
	}
	p, err := unix.MmapPtr(-1, 0, nil, uintptr(size+2*WindowGuard), unix.PROT_NONE, windowFlags)
	if err != nil {
		return nil, fmt.Errorf("host: reserving %d GiB of addresses: %w", size>>30, err)
	}
	p = unsafe.Add(p, WindowGuard)
	return &Window{Base: uintptr(p), Size: size, at: p}, nil
}

var errWindow = errors.New("host: not in the window")

// Map maps n bytes of a file at an offset in the window, for writing too or not. All
// are multiples of the page size.
func (w *Window) Map(off, n uint64, fd int, fileOff uint64, write bool) error {
	if off > w.Size || n > w.Size-off {
		return errWindow
	}
	prot := unix.PROT_READ
	if write {
		prot |= unix.PROT_WRITE
	}
	_, err := unix.MmapPtr(fd, int64(fileOff), unsafe.Add(w.at, off), uintptr(n), prot, unix.MAP_SHARED|unix.MAP_FIXED)
	return err
}

// Unmap makes n bytes at an offset in the window fault again.
func (w *Window) Unmap(off, n uint64) error {
	if off > w.Size || n > w.Size-off {
		return errWindow
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Add(w.at, off), uintptr(n), unix.PROT_NONE, windowFlags|unix.MAP_FIXED)
	return err
}

// Close unmaps everything and leaves the addresses to the next Window of this size.
// Closing it again does nothing.
func (w *Window) Close() error {
	if w.at == nil {
		return nil
	}
	at, size := w.at, w.Size
	if err := w.Unmap(0, size); err != nil {
		return err
	}
	w.at, w.Size = nil, 0
	idle.Lock()
	defer idle.Unlock()
	if idle.at == nil {
		idle.at = map[uint64][]unsafe.Pointer{}
	}
	idle.at[size] = append(idle.at[size], at)
	return nil
}
