// Package hosttext is machine code as programs have it, for benchmarks.
package hosttext

import (
	"debug/elf"
	"testing"
)

// size is how much of a library's code is used, in bytes.
const size = 1 << 20

// Load returns the beginning of the code of a library in C that hosts have, 1 MiB of it at most. It skips the
// benchmark where there is none.
func Load(tb testing.TB) []byte {
	for _, name := range []string{"/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib64/libc.so.6", "/lib/ld-musl-x86_64.so.1"} {
		f, err := elf.Open(name)
		if err != nil {
			continue
		}
		defer f.Close()
		if s := f.Section(".text"); s != nil {
			b, err := s.Data()
			if err != nil {
				tb.Fatal(err)
			}
			return b[:min(len(b), size)]
		}
	}
	tb.Skip("the host has no C library")
	return nil
}
