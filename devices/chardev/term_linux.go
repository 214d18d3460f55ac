package chardev

import "golang.org/x/sys/unix"

// keepOutputProcessing turns the terminal's output processing on again, which
// raw mode turned off, so that the host's own lines (warnings, a Go panic) end
// where they should. What a guest sends has carriage returns already, and a
// second one does no harm.
func keepOutputProcessing(fd int) {
	if t, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
		t.Oflag |= unix.OPOST
		unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}
}
