//go:build !linux

package hugepage

// Collapse does nothing on this host, and reports so.
func Collapse(b []byte) bool { return false }

// Advise does nothing on this host.
func Advise(b []byte) {}
