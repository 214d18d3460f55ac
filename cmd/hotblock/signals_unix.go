//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// endSignals end the machine. On the keyboard Ctrl-C goes to the guest, so that
// an interrupt comes from another process or while there is no guest yet.
var endSignals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}

// keepBrokenPipe makes output to a pipe that nobody reads fail like any other
// write. By default it kills the process behind the terminal's back.
func keepBrokenPipe() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }
