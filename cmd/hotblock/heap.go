package main

import (
	"runtime"
	"strconv"
	"sync"

	"hotblock/internal/hugepage"
)

// heapRoom is how far Go's heap may grow, in bytes, before it counts that it has
// doubled, and heapHuge how much of it is in huge pages of the host where that has some.
const (
	heapRoom = 64 << 20
	heapHuge = 256 << 20
)

// room is memory that is never touched.
var room []byte

// roomyHeap lets the heap of a young machine grow. Go's collector runs each time the
// heap has doubled since it last ran. All that a machine decodes and translates is kept,
// so that it would run every few milliseconds of the first second, and find nothing: a
// tenth of the time of a guest that runs for a second. Memory that is allocated and
// never touched takes no page of the host, but the collector counts it.
//
// What is decoded and translated is spread over tens of megabytes, and a block that is
// entered looks at some lines here and there. Pages of 4 KiB make each of these a walk
// of the host's page tables, after a fault. Go asks for no huge pages for its heap, but
// addresses for which they have been asked for keep that, whatever Go puts there later,
// and it puts things at the lowest address that is free. So memory is allocated, huge
// pages are asked for there, and it is given back.
var roomyHeap = sync.OnceFunc(func() {
	if runtime.GOARCH == "wasm" || strconv.IntSize < 64 {
		return // memory is cleared when it is allocated, or addresses are scarce
	}
	room = make([]byte, heapRoom)
	hugepage.Advise(make([]byte, heapHuge))
	runtime.GC()
})
