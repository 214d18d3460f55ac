//go:build !(linux && amd64)

package jit

import "testing"

// hostSMC returns nil: the host does not run the guest's code.
func hostSMC(*testing.T) func(code []byte, end int, rounds uint64) smcResult { return nil }
