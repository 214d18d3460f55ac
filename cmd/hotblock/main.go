// Command hotblock is a PC in software: an x86-64 full-system emulator whose
// command line is QEMU's.
//
// # Layout
//
// options.go has the table of options and its parser, values.go the parsers of
// their arguments, guest.go what is booted where nothing was asked for, run.go
// the way from a configuration to a running machine and its exit code, fetch.go
// the fetch subcommand.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"hotblock/devices/chardev"
	"hotblock/internal/again"
	"hotblock/jit"
)

// version is what -version prints.
const version = "0.1"

// exitBadInput is the exit code for what the user has to mend.
const exitBadInput = 1

func main() {
	defer chardev.RestoreOnPanic()
	if jit.Available() {
		again.Unless(jit.WindowsFit)
	}
	os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
}

// errDone ends the command after an option such as -help has printed its text.
var errDone = errors.New("done")

// start is the command without the process around it.
func start(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		if sub, ok := subcommands[args[0]]; ok {
			return report(sub(args[1:], stdout, stderr), stderr)
		}
	}
	c, err := parse(args, stdout)
	if err != nil {
		return report(err, stderr)
	}
	code, err := c.run(stderr)
	if err != nil {
		return report(err, stderr)
	}
	return code
}

// report prints an error as one line and returns the exit code.
func report(err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, errDone) {
		return 0
	}
	fmt.Fprintf(stderr, "hotblock: %s\n", oneLine(err.Error()))
	return exitBadInput
}

// oneLine keeps messages of libraries and the system to a line.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' {
			b[i] = ' '
		}
	}
	return string(b)
}
