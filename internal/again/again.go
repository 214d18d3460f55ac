// Package again starts a process again.
//
// Go places its heap at random, and so do systems with libraries and stacks. A process
// that needs much of its address space in one piece, as a window on guest memory does, may
// find that it has been cut up. Nothing moves a heap; another start has another one.
package again

import (
	"os"
	"strconv"
)

// tries is how often a process starts again at most. Where it does not help, addresses are
// limited in some other way, and the process does without.
const tries = 4

// variable is the environment variable that counts the starts.
const variable = "HOTBLOCK_STARTS"

// Unless starts the process again, with the same arguments and environment, unless ok
// returns true. It is for the beginning of main: whatever the process has done is lost. It returns
// where that did not help, or is not possible.
func Unless(ok func() bool) {
	n, _ := strconv.Atoi(os.Getenv(variable))
	if !ok() && n < tries {
		os.Setenv(variable, strconv.Itoa(n+1))
		start()
	}
	os.Unsetenv(variable)
}
