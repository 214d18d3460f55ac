package mmu

import "golang.org/x/sys/unix"

// adviseHuge asks for huge pages: a guest touches its memory all over, and each
// page that is not there yet costs a fault and then an entry of the host's TLB. The
// advice may fail, and changes nothing then.
func adviseHuge(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
