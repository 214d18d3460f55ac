package mmu

// allocHost maps size bytes of memory, which is no file. The mapping is not counted
// against the host's memory until it is touched.
func allocHost(size uint64) (b []byte, file int, err error) {
	b, err = mapAnonymous(size)
	return b, -1, err
}
