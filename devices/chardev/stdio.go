package chardev

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/term"
)

// The escape character of the terminal, and what may follow it. The keys are
// QEMU's.
const escape = 1 // Ctrl-a

const escapeHelp = "\r\n" +
	"Ctrl-a h    this help\r\n" +
	"Ctrl-a x    quit the machine\r\n" +
	"Ctrl-a b    send a break\r\n" +
	"Ctrl-a Ctrl-a    send Ctrl-a\r\n"

// ErrStdioTaken says that two devices want standard input and output.
var ErrStdioTaken = errors.New("standard input and output are connected to another device already")

// There is one terminal, so its state is the package's.
var terminal struct {
	mu    sync.Mutex
	taken bool
	fd    int
	saved *term.State
	also  func() // what a display wants done
}

// RestoreTerminal puts the terminal back to what it was before a back end
// changed it. It may be called at any time, from any goroutine, and as often
// as one likes: by signal handlers and on the way out of a failing program.
func RestoreTerminal() {
	terminal.mu.Lock()
	defer terminal.mu.Unlock()
	if terminal.saved != nil {
		term.Restore(terminal.fd, terminal.saved)
		terminal.saved = nil
	}
	if f := terminal.also; f != nil {
		terminal.also = nil
		f()
	}
}

// AlsoRestore has RestoreTerminal call f, once: it puts back what a display on
// the terminal changed.
func AlsoRestore(f func()) {
	terminal.mu.Lock()
	defer terminal.mu.Unlock()
	terminal.also = f
}

// RestoreOnPanic is to be deferred in goroutines: it puts the terminal back
// when the goroutine panics, and lets the panic go on.
func RestoreOnPanic() {
	if v := recover(); v != nil {
		RestoreTerminal()
		panic(v)
	}
}

type stdioBackend struct {
	*pump
	*feeder
	o       Options
	escaped bool
	// typed holds input between the reader, which has to see Ctrl-a x at any
	// time, and the guest, which may take none.
	typed chan []byte
}

func newStdio(o Options) (Backend, error) {
	terminal.mu.Lock()
	defer terminal.mu.Unlock()
	if terminal.taken {
		return nil, fmt.Errorf("%s: %w", o.Label, ErrStdioTaken)
	}
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	terminal.taken = true
	return &stdioBackend{pump: newPumpBroken(o.Stdout, o.Broken), feeder: newFeeder(), o: o,
		typed: make(chan []byte, 1024)}, nil
}

// Start puts a terminal into raw mode, so that every key but the escape goes to
// the guest.
func (b *stdioBackend) Start(f Frontend) error {
	b.front = f
	fd := int(b.o.Stdin.Fd())
	if term.IsTerminal(fd) {
		terminal.mu.Lock()
		old, err := term.MakeRaw(fd)
		if err == nil {
			terminal.fd, terminal.saved = fd, old
			keepOutputProcessing(fd)
		}
		terminal.mu.Unlock()
		if err != nil {
			return fmt.Errorf("%s: cannot put the terminal into raw mode: %w", b.o.Label, err)
		}
	}
	go b.read()
	go b.deliver()
	return nil
}

// read ends with the input; the machine goes on without.
func (b *stdioBackend) read() {
	defer RestoreOnPanic()
	buf := make([]byte, 4096)
	for {
		n, err := b.o.Stdin.Read(buf)
		if !b.input(buf[:n]) || err != nil {
			return
		}
	}
}

// input sorts out escapes and feeds the rest; false when nothing more is to be
// read.
func (b *stdioBackend) input(p []byte) bool {
	for len(p) > 0 {
		if b.escaped {
			b.escaped = false
			c := p[0]
			p = p[1:]
			switch c {
			case escape:
				if !b.queue([]byte{escape}) {
					return false
				}
			case 'x':
				b.o.Quit()
				return false
			case 'h', '?':
				b.pump.Write([]byte(escapeHelp))
			case 'b':
				if br, ok := b.front.(Breaker); ok {
					br.Break()
				}
			case 'c':
				b.pump.Write([]byte("\r\n(there is no monitor)\r\n"))
			}
			continue
		}
		n := 0
		for n < len(p) && p[n] != escape {
			n++
		}
		if n > 0 && !b.queue(p[:n]) {
			return false
		}
		if n < len(p) {
			b.escaped = true
			n++
		}
		p = p[n:]
	}
	return true
}

func (b *stdioBackend) queue(p []byte) bool {
	select {
	case b.typed <- append([]byte(nil), p...):
		return true
	case <-b.feeder.quit:
		return false
	}
}

// deliver feeds the device what was typed.
func (b *stdioBackend) deliver() {
	defer RestoreOnPanic()
	for {
		select {
		case p := <-b.typed:
			if !b.feed(p) {
				return
			}
		case <-b.feeder.quit:
			return
		}
	}
}

// Close sends the rest of the output and restores the terminal.
func (b *stdioBackend) Close() error {
	b.feeder.stop()
	b.pump.close()
	RestoreTerminal()
	terminal.mu.Lock()
	terminal.taken = false
	terminal.mu.Unlock()
	return nil
}
