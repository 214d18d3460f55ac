//go:build linux && amd64

package jit

import (
	"testing"

	"golang.org/x/sys/unix"

	"hotblock/internal/native"
)

// hostSMC returns a function that runs a self-modifying program on the host, or nil
// where the host does not let memory be written and executed.
func hostSMC(t *testing.T) func(code []byte, end int, rounds uint64) smcResult {
	mem, err := unix.Mmap(-1, 0, smcSize, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil || !native.Available {
		t.Logf("not compared with the host: %v", err)
		return nil
	}
	t.Cleanup(func() { unix.Munmap(mem) })
	return func(code []byte, end int, rounds uint64) (r smcResult) {
		copy(mem, code)
		mem[end] = 0xc3
		r.regs = runHost(uint64(hostAddress(mem)), rounds)
		r.finish(mem, end)
		return r
	}
}
