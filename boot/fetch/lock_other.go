//go:build !unix

package fetch

import "os"

// tryLock does nothing where there is no apt to race for.
func tryLock(*os.File) (bool, error) { return true, nil }
