package chardev

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// socketBackend is a stream socket. A server takes one peer at a time and,
// when that is gone, the next; a client's line is dead once its peer is gone.
// Without a peer output is dropped.
type socketBackend struct {
	*pump
	*feeder
	spec Spec
	o    Options
	addr string
	net  string

	mu     sync.Mutex
	l      net.Listener
	conn   net.Conn
	closed bool
}

func newSocket(network, addr string, s Spec, o Options) (Backend, error) {
	b := &socketBackend{spec: s, o: o, addr: addr, net: network, feeder: newFeeder()}
	if s.Server {
		if network == "unix" {
			// A socket that a former run left behind is in the way of the new one.
			if st, err := os.Lstat(addr); err == nil && st.Mode()&os.ModeSocket != 0 {
				if c, err := net.Dial("unix", addr); err == nil {
					c.Close()
				} else {
					os.Remove(addr)
				}
			}
		}
		l, err := net.Listen(network, addr)
		if err != nil {
			return nil, fmt.Errorf("%s: cannot listen on %s: %w", o.Label, addr, err)
		}
		b.l = l
	}
	b.pump = newPump(nil)
	return b, nil
}

func (b *socketBackend) Start(f Frontend) error {
	b.front = f
	if b.l == nil {
		c, err := net.Dial(b.net, b.addr)
		if err != nil {
			return fmt.Errorf("%s: cannot connect to %s: %w", b.o.Label, b.addr, err)
		}
		if b.attach(c) {
			go b.serve(c)
		}
		return nil
	}
	if !b.spec.Wait {
		go b.accept()
		return nil
	}
	fmt.Fprintf(b.o.Messages, "hotblock: %s is waiting for a connection on %s\n", b.o.Label, b.l.Addr())
	c, err := b.l.Accept()
	if err != nil {
		return fmt.Errorf("%s: no connection on %s: %w", b.o.Label, b.addr, err)
	}
	if b.attach(c) {
		go func() {
			b.serve(c)
			b.accept()
		}()
	}
	return nil
}

// Addr is where a server listens.
func (b *socketBackend) Addr() net.Addr { return b.l.Addr() }

func (b *socketBackend) accept() {
	for {
		c, err := b.l.Accept()
		if err != nil {
			return
		}
		if b.attach(c) {
			b.serve(c)
		}
	}
}

func (b *socketBackend) attach(c net.Conn) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		c.Close()
		return false
	}
	b.conn = c
	b.pump.setDst(c)
	return true
}

// serve reads until the peer is gone.
func (b *socketBackend) serve(c net.Conn) {
	err := b.copyFrom(c)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	// A peer that has only closed its sending half still reads; a client's
	// peer may go on doing so, while a server has the next one to serve.
	if err == io.EOF && b.l == nil {
		return
	}
	b.pump.setDst(nil)
	b.conn = nil
	c.Close()
}

func (b *socketBackend) Close() error {
	b.feeder.stop()
	b.mu.Lock()
	b.closed = true
	l := b.l
	b.mu.Unlock()
	if l != nil {
		l.Close() // a Unix socket's name goes with it
	}
	b.pump.close()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.conn != nil {
		b.conn.Close()
		b.conn = nil
	}
	return nil
}
