// Package sighook puts assembly in front of the signal handlers of Go's runtime,
// on linux/amd64. The parts of this program that run machine code which Go does
// not know use it to see that code's faults first.
package sighook
