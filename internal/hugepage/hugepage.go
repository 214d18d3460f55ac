// Package hugepage puts memory into huge pages of the host.
//
// A fault costs the host a microsecond or two for each page, and where the code cache,
// the TLBs or Go's heap are entered here and there, as by code that runs for the first
// time, walks of the host's page tables cost more than what is computed. A huge page
// is one fault, and one entry of a TLB, instead of 512.
//
// For private memory the host is asked (Advise). Memory files, of which the code cache
// is one, get no huge pages for that: Linux has a switch for these which is off by
// default, and is the administrator's. But a process may have what it has there
// already made into a huge page, since Linux 6.1 and whatever the switch says
// (MADV_COLLAPSE in madvise(2)): Collapse.
//
// All of it is for speed. Where the host cannot do it, nothing changes.
package hugepage

// Size is the size of a huge page in bytes.
const Size = 2 << 20
