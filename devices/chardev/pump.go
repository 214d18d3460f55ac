package chardev

import (
	"io"
	"sync"
	"time"
)

const (
	// pumpSize is how much output in bytes may wait for the host.
	pumpSize = 1 << 18
	// flushTime bounds the wait of a closing back end for a reader that has
	// stopped reading.
	flushTime = 2 * time.Second
)

// pump is a bounded buffer before a writer that may be slow. A Write waits
// while the buffer is full (a reader that pauses, pauses the guest); after the first error of the writer, and after
// close, everything is dropped.
type pump struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	dst     io.Writer // nil: nobody is there, output is dropped
	gen     int       // counts changes of dst
	closed  bool
	ended   chan struct{}
	// lossy drops the oldest output instead of waiting, for lines that nobody
	// need ever read, such as a pty.
	lossy bool
	// broken, where set, is told of the writer's first error.
	broken func()
}

func newPump(dst io.Writer) *pump { return newPumpBroken(dst, nil) }

func newPumpBroken(dst io.Writer, broken func()) *pump {
	p := &pump{dst: dst, broken: broken, ended: make(chan struct{})}
	p.changed = sync.NewCond(&p.mu)
	go p.run()
	return p
}

// Write takes all of b, waiting for room where need be.
func (p *pump) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.buf) >= pumpSize && p.dst != nil && !p.closed {
		if p.lossy {
			p.buf = append(p.buf[:0], p.buf[pumpSize/2:]...)
			break
		}
		p.changed.Wait()
	}
	if p.dst != nil && !p.closed {
		p.buf = append(p.buf, b...)
		p.changed.Broadcast()
	}
	return len(b), nil
}

// setDst changes the writer; nil drops output until the next change. What was
// waiting for the old one is dropped.
func (p *pump) setDst(dst io.Writer) {
	p.mu.Lock()
	p.dst, p.buf = dst, nil
	p.gen++
	p.changed.Broadcast()
	p.mu.Unlock()
}

func (p *pump) run() {
	defer close(p.ended)
	var spare []byte
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		for len(p.buf) == 0 && !p.closed {
			p.changed.Wait()
		}
		if len(p.buf) == 0 {
			return
		}
		out, dst, gen := p.buf, p.dst, p.gen
		p.buf = spare[:0]
		p.changed.Broadcast()
		p.mu.Unlock()
		var err error
		if dst != nil {
			_, err = dst.Write(out)
		}
		spare = out
		p.mu.Lock()
		if err != nil && gen == p.gen {
			p.dst, p.buf = nil, nil // the reader is gone
			if p.broken != nil {
				go p.broken()
				p.broken = nil
			}
			p.changed.Broadcast()
		}
	}
}

// close waits until the buffer is out, or for flushTime.
func (p *pump) close() {
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	wait := flushTime
	if p.lossy {
		wait = flushTime / 20
	}
	select {
	case <-p.ended:
	case <-time.After(wait):
	}
}
