// Package hugepage puts memory into huge pages of the host.
//
// A page fault costs the host a microsecond or two, most of it not for the memory but
// for what is done around each page; and where the guest's memory, the code cache
// or Go's heap is entered here and there, as by code that runs for the first time, it costs more walks of page tables than
// computing. A huge page is one fault, and one entry of a TLB, instead of 512.
//
// For private memory the host is asked to use them (Advise). Memory files, which
// guest memory and translated code are, get none in this way: Linux has a switch for these
// that is off by default, and belongs to the system's administrator. But a process may have what it has there already
// made into a huge page, since Linux 6.1 and whatever the switch says (MADV_COLLAPSE, madvise(2)). So that is done once a stretch of
// memory is in use (Collapse), which costs a tenth of the faults that it saves.
// Everything here is for speed alone: where the host cannot do it, nothing changes.
package hugepage

// Size is the size of a huge page in bytes.
const Size = 2 << 20
