//go:build !linux

package chardev

func keepOutputProcessing(int) {}
