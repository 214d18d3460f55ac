//go:build !linux

package main

// hostMemory is 0 where the host's memory is not known.
func hostMemory() uint64 { return 0 }
