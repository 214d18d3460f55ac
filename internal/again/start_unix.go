//go:build unix

package again

import (
	"os"

	"golang.org/x/sys/unix"
)

// start replaces the process. It returns only if that fails.
func start() {
	if path, err := os.Executable(); err == nil {
		unix.Exec(path, os.Args, os.Environ())
	}
}
