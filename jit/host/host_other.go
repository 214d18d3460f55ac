//go:build !(linux && amd64)

package host

import "errors"

var errHost = errors.New("translated code runs on linux/amd64 only")

// Available reports whether this host can run generated code. It cannot.
func Available() bool { return false }

// HostFeatures returns what the host has: nothing that is of use here.
func HostFeatures() Features { return Features{} }

// Install fails on this host.
func Install() error { return errHost }

// NewArena fails on this host.
func NewArena(size int) (*Arena, error) { return nil, errHost }

// Populate does nothing on this host.
func (a *Arena) Populate(from, to int) (end int) { return to }

// Close does nothing on this host.
func (a *Arena) Close() error { return nil }

// NewFrame fails on this host.
func NewFrame(size int) (*Frame, error) { return nil, errHost }

// Free does nothing on this host.
func (f *Frame) Free() error { return nil }

// A Window is a range of host addresses. There are none on this host.
type Window struct {
	Base uintptr
	Size uint64
}

// NewWindow fails on this host.
func NewWindow(size uint64) (*Window, error) { return nil, errHost }

// Map fails on this host.
func (w *Window) Map(off, n uint64, fd int, fileOff uint64, write bool) error { return errHost }

// Unmap fails on this host.
func (w *Window) Unmap(off, n uint64) error { return errHost }

// Close does nothing on this host.
func (w *Window) Close() error { return nil }

// SetBottoms does nothing on this host.
func (f *Frame) SetBottoms(code uintptr) {}

// SetGS does nothing on this host.
func SetGS(base uintptr) {}

// GS returns 0 on this host.
func GS() uintptr { return 0 }

// Serialize does nothing on this host.
func Serialize() {}

// Enter panics on this host.
func Enter(f *Frame, code uintptr) { panic(errHost) }
