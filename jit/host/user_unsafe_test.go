//go:build linux && amd64

package host

import "unsafe"

// user returns the memory behind f, which NewFrame mapped with userSize bytes.
func user(f *Frame) *[32]uint64 {
	return (*[32]uint64)(unsafe.Add(unsafe.Pointer(f), FrameSize))
}
