package jit

// The pages that are mapped in a window.
//
// They are looked at one by one when the guest flushes its TLB, which some programs
// make it do thousands of times a second. So they are kept by 64 at a time, as
// neighbours have their entries in the same page table and are soon found there.

import (
	"math/bits"

	"hotblock/interp"
	"hotblock/mmu"
)

// winPages maps linear addresses of pages to what is mapped there.
type winPages struct {
	chunks map[uint64]*winChunk // by linear address >> chunkBits
	n      int                  // pages
}

const (
	chunkBits  = 18
	chunkPages = 1 << chunkBits / pageSize
)

// A winChunk is the pages of 256 KiB: a bit for each that is mapped, and that may be
// written, and what they are.
type winChunk struct {
	mapped, write uint64
	key           [chunkPages]winKey
}

type winPage struct {
	winKey
	write bool
}

type winKey struct {
	blk *mmu.Block
	off uint64
}

// chunkBit is where the page at va is in its chunk.
func chunkBit(va uint64) uint64 { return va / pageSize % chunkPages }

// at returns the page at va.
func (w *winPages) at(va uint64) (p winPage, ok bool) {
	c := w.chunks[va>>chunkBits]
	i := chunkBit(va)
	if c == nil || c.mapped>>i&1 == 0 {
		return p, false
	}
	return winPage{c.key[i], c.write>>i&1 != 0}, true
}

// set puts a page at va.
func (w *winPages) set(va uint64, p winPage) {
	c := w.chunks[va>>chunkBits]
	if c == nil {
		c = &winChunk{}
		w.chunks[va>>chunkBits] = c
	}
	i := chunkBit(va)
	if c.mapped>>i&1 == 0 {
		w.n++
	}
	c.key[i] = p.winKey
	c.mapped |= 1 << i
	c.write &^= 1 << i
	if p.write {
		c.write |= 1 << i
	}
}

// remove forgets the page at va, which must be there.
func (w *winPages) remove(va uint64) {
	c := w.chunks[va>>chunkBits]
	i := chunkBit(va)
	c.key[i] = winKey{}
	c.write &^= 1 << i
	w.n--
	if c.mapped &^= 1 << i; c.mapped == 0 {
		delete(w.chunks, va>>chunkBits)
	}
}

// clear forgets all pages.
func (w *winPages) clear() {
	clear(w.chunks)
	w.n = 0
}

// compareWindow compares all pages of the window with the page tables, and unmaps those
// that have changed.
func (e *Engine) compareWindow() {
	look := e.cpu.Look()
	for n := range e.win.pages.chunks {
		e.compareChunk(&look, n)
	}
}

// compareAround does so for the pages around va that may be parts of one large page of size bytes.
func (e *Engine) compareAround(va, size uint64) {
	first, chunks := va&^(size-1)>>chunkBits, e.win.pages.chunks
	look := e.cpu.Look()
	if n := size >> chunkBits; n < uint64(len(chunks)) {
		for i := range n {
			e.compareChunk(&look, first+i)
		}
		return
	}
	for n := range chunks {
		if n-first < size>>chunkBits {
			e.compareChunk(&look, n)
		}
	}
}

// compareChunk does so for the pages of a chunk.
func (e *Engine) compareChunk(look *interp.PageLook, n uint64) {
	w := e.win
	c := w.pages.chunks[n]
	if c == nil {
		return
	}
	w.checked += bits.OnesCount64(c.mapped)
	start, gone := n<<chunkBits, uint64(0)
	for left := c.mapped; left != 0; left &= left - 1 {
		i := bits.TrailingZeros64(left)
		p := &c.key[i]
		if q, ok := look.Direct(start + uint64(i)*pageSize); !ok || q.Block != p.blk || q.Off != p.off || c.write>>i&1 != 0 && !q.Write {
			gone |= 1 << i
		}
	}
	for gone != 0 && w.owner != 0 { // else everything has been unmapped
		i := bits.TrailingZeros64(gone)
		size := bits.TrailingZeros64(^(gone >> i))
		e.unmap(start+uint64(i)*pageSize, uint64(size)*pageSize)
		gone &^= ^uint64(0) >> (64 - size) << i
	}
}
