package main

import "golang.org/x/sys/unix"

// adviseHuge asks the host for huge pages. It may have none: then nothing changes.
func adviseHuge(b []byte) { unix.Madvise(b, unix.MADV_HUGEPAGE) }
