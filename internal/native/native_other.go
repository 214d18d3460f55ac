//go:build !(linux && amd64)

package native

// Available says whether Run works on this host.
const Available = false

// Run executes code on the host; it is not available here.
func Run(code []byte, st *State) Result { panic("native: only on linux/amd64") }

// Alloc maps memory for blocks; it is not available here.
func Alloc(size int) (buf []byte, addr uint64) { panic("native: only on linux/amd64") }
