//go:build !linux

package main

// adviseHuge does nothing: the host cannot be asked.
func adviseHuge([]byte) {}
