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

// Close does nothing on this host.
func (a *Arena) Close() error { return nil }

// NewFrame fails on this host.
func NewFrame(size int) (*Frame, error) { return nil, errHost }

// Free does nothing on this host.
func (f *Frame) Free() error { return nil }

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
