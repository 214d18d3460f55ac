//go:build !linux

// Command guest is for Linux only.
package main

func main() { panic("guest: built for something that is not Linux") }
