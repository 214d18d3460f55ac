package mmu

import "golang.org/x/sys/unix"

// fileFrom is the size in bytes from which a block is a file: guest memory, but no
// small ROMs.
const fileFrom = 1 << 20

// allocHost maps size bytes of memory. The mapping is not counted
// against the host's memory until it is touched. Guest memory is a file, so that a
// translator may map pages of it elsewhere.
func allocHost(size uint64) (b []byte, file int, err error) {
	if size < fileFrom {
		b, err = mapAnonymous(size)
		return b, -1, err
	}
	file, err = unix.MemfdCreate("hotblock-ram", unix.MFD_CLOEXEC)
	if err != nil {
		b, err = mapAnonymous(size)
		return b, -1, err
	}
	if err = unix.Ftruncate(file, int64(size)); err == nil {
		b, err = unix.Mmap(file, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_NORESERVE)
	}
	if err != nil {
		unix.Close(file)
		return nil, -1, err
	}
	return b, file, nil
}
