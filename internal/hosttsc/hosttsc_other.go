//go:build !amd64

package hosttsc

// Read returns 0: there is no such counter.
func Read() uint64 { return 0 }

func clockSource() bool { return linuxSource() }
