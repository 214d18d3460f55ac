package main

import (
	"runtime"
	"strconv"

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
// entered looks at some lines here and there: with pages of 4 KiB the host walks its page tables for most
// of them, and each page is a fault first. Go asks for no huge pages for its heap. But an
// address for which they have been asked keeps that, whatever Go puts there later, and it puts
// things at the lowest address that is free. So memory is allocated, they are asked for there, and it is
// given back. A boot takes a tenth less time for that, and no more memory.
func roomyHeap() {
	if runtime.GOARCH == "wasm" || strconv.IntSize < 64 { // where memory is cleared when it is allocated, or scarce
		return
	}
	room = make([]byte, heapRoom)
	hugepage.Advise(make([]byte, heapHuge))
	runtime.GC()
}
