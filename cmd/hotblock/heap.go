package main

import "runtime"

// heapRoom is how far Go's heap may grow, in bytes, before it counts that it has
// doubled.
const heapRoom = 64 << 20

// room is memory that is never touched.
var room []byte

// roomyHeap lets the heap of a young machine grow. Go's collector runs each time the
// heap has doubled since it last ran. All that a machine decodes and translates is kept,
// so that it would run every few milliseconds of the first second, and find nothing: a
// tenth of the time of a guest that runs for a second. Memory that is allocated and
// never touched takes no page of the host, but the collector counts it.
func roomyHeap() {
	if runtime.GOARCH != "wasm" { // where memory is cleared when it is allocated
		room = make([]byte, heapRoom)
	}
}
