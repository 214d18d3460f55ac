//go:build unix

package fetch

import (
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes an advisory lock that goes with the file's closing.
func tryLock(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		return false, nil
	}
	return err == nil, err
}
