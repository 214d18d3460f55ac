// Package chardev is the host's end of character devices: what a serial port
// or a debug console is connected to. The names are those of QEMU's -serial.
//
// # How bytes flow
//
// Output: a device calls Write, often a byte at a time, from a CPU's
// goroutine. Write puts the bytes into a bounded buffer that a goroutine of the
// back end empties (see pump), so that a CPU waits only while the buffer is
// full, and not for a reader that is gone.
//
// Input: a goroutine of the back end reads and offers what it has to the
// Frontend. A device with a small FIFO takes a part; the rest waits until the
// device calls Room. So no input is ever lost, and nothing polls.
package chardev

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
)

// Frontend is the device that a back end gives its input to.
type Frontend interface {
	// Receive offers input and returns how many bytes were taken. When it
	// takes fewer than all, the device calls the back end's Room later.
	Receive(p []byte) int
}

// Breaker is a Frontend that can be sent a break condition.
type Breaker interface{ Break() }

// Backend is what stands at the host's end of a line.
type Backend interface {
	// Write sends what the guest put out. It takes all of p and fails never.
	io.Writer
	// Start connects the input and, where that takes one, waits for the peer.
	// It is called once, before the machine runs.
	Start(f Frontend) error
	// Room says that the device has room again. It returns at once and may be
	// called from any goroutine.
	Room()
	// Close sends what is buffered, as far as there is still someone to take
	// it, and puts the host's terminal back.
	io.Closer
}

// Options are what back ends need of the command.
type Options struct {
	Label  string // of the device, for messages: "serial0"
	Stdin  *os.File
	Stdout *os.File
	// Messages gets remarks for the user, such as the name of a pty; nil means
	// none.
	Messages io.Writer
	// Quit is called on Ctrl-a x. It must not wait for the back end.
	Quit func()
	// Broken is called when nobody reads standard output any more, once. nil
	// means that the machine goes on.
	Broken func()
}

// Kind is the kind of a back end.
type Kind uint8

// Kinds of back end.
const (
	None  Kind = iota // the device is not there
	Null              // output goes nowhere
	Stdio             // the terminal, or whatever standard input and output are
	File              // output to a file
	Pty               // a new pseudo-terminal
	TCP
	Unix // a Unix domain socket
)

// Spec is a parsed -serial argument.
type Spec struct {
	Kind   Kind
	Mux    bool   // "mon:": the monitor shares the line
	Path   string // File, Unix
	Append bool   // File: add to what is there
	Addr   string // TCP: host:port
	Server bool   // TCP, Unix: listen
	Wait   bool   // with Server: the machine starts when a peer is there
}

// Kinds that Parse knows, for help.
const Usage = "none, null, stdio, mon:stdio, file:PATH, pty, tcp:HOST:PORT[,server=on][,wait=off] or unix:PATH[,server=on][,wait=off]"

// Parse reads a -serial argument.
func Parse(arg string) (Spec, error) {
	bad := func(format string, a ...any) (Spec, error) {
		return Spec{}, fmt.Errorf("%q: "+format, append([]any{arg}, a...)...)
	}
	rest := arg
	var s Spec
	if r, ok := strings.CutPrefix(rest, "mon:"); ok {
		s.Mux, rest = true, r
	}
	kind, tail, _ := strings.Cut(rest, ":")
	name, opts, hasOpts := strings.Cut(kind, ",")
	switch name {
	case "none", "null", "stdio", "pty":
		if tail != "" {
			return bad("%s takes nothing after a colon", name)
		}
		s.Kind = map[string]Kind{"none": None, "null": Null, "stdio": Stdio, "pty": Pty}[name]
		if hasOpts && !(name == "stdio" && (opts == "signal=off" || opts == "signal=on")) {
			return bad("unknown option %q", opts)
		}
		return s, nil
	case "file":
		s.Kind = File
		s.Path, opts, hasOpts = cutOptions(tail)
		if s.Path == "" {
			return bad("the file's name is missing: file:PATH")
		}
	case "tcp":
		s.Kind = TCP
		s.Addr, opts, hasOpts = cutOptions(tail)
		host, port, err := net.SplitHostPort(s.Addr)
		if err != nil || port == "" {
			return bad("an address is tcp:HOST:PORT")
		}
		_ = host
	case "unix":
		s.Kind = Unix
		s.Path, opts, hasOpts = cutOptions(tail)
		if s.Path == "" {
			return bad("the socket's name is missing: unix:PATH")
		}
	case "":
		return bad("is empty; give %s", Usage)
	default:
		return bad("unknown kind %q; give %s", name, Usage)
	}
	s.Wait = true
	if !hasOpts {
		return s, nil
	}
	for _, o := range strings.Split(opts, ",") {
		key, val, has := strings.Cut(o, "=")
		on := !has || val == "on"
		if has && val != "on" && val != "off" {
			return bad("option %s must be on or off", key)
		}
		switch {
		case key == "append" && s.Kind == File:
			s.Append = on
		case key == "server" && s.Kind != File:
			s.Server = on
		case key == "wait" && s.Kind != File:
			s.Wait = on
		case key == "nowait" && s.Kind != File:
			s.Wait = !on
		case key == "nodelay" && s.Kind == TCP:
			// Go's connections are so already.
		default:
			return bad("unknown option %q", o)
		}
	}
	return s, nil
}

// cutOptions parts "value,options"; ",," in the value is a comma.
func cutOptions(s string) (value, opts string, has bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == ',' {
			if i+1 < len(s) && s[i+1] == ',' {
				i++
			} else {
				return b.String(), s[i+1:], true
			}
		}
		b.WriteByte(s[i])
	}
	return b.String(), "", false
}

// Open makes the back end. It returns nil for None. Files and listening
// sockets are opened now, so that a wrong name is found before the machine is
// built; peers are waited for, and the terminal is changed, by Start.
func Open(s Spec, o Options) (Backend, error) {
	if o.Messages == nil {
		o.Messages = io.Discard
	}
	if o.Quit == nil {
		o.Quit = func() {}
	}
	switch s.Kind {
	case None:
		return nil, nil
	case Null:
		return nullBackend{}, nil
	case Stdio:
		return newStdio(o)
	case File:
		flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
		if s.Append {
			flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
		}
		f, err := os.OpenFile(s.Path, flags, 0o666)
		if err != nil {
			return nil, fmt.Errorf("%s: cannot be written: %w", o.Label, err)
		}
		return &fileBackend{pump: newPump(f), f: f}, nil
	case Pty:
		return newPty(o)
	case TCP:
		return newSocket("tcp", s.Addr, s, o)
	case Unix:
		return newSocket("unix", s.Path, s, o)
	}
	return nil, fmt.Errorf("%s: unknown kind of back end", o.Label)
}

type nullBackend struct{}

func (nullBackend) Write(p []byte) (int, error) { return len(p), nil }
func (nullBackend) Start(Frontend) error        { return nil }
func (nullBackend) Room()                       {}
func (nullBackend) Close() error                { return nil }

type fileBackend struct {
	*pump
	f *os.File
}

func (*fileBackend) Start(Frontend) error { return nil }
func (*fileBackend) Room()                {}
func (b *fileBackend) Close() error {
	b.pump.close()
	return b.f.Close()
}

// feeder gives input to a device at the device's pace.
type feeder struct {
	front Frontend
	room  chan struct{}
	quit  chan struct{}
	once  sync.Once
}

func newFeeder() *feeder {
	return &feeder{room: make(chan struct{}, 1), quit: make(chan struct{})}
}

// Room implements Backend.
func (f *feeder) Room() {
	select {
	case f.room <- struct{}{}:
	default:
	}
}

// feed returns when the device has taken all of p; false after stop.
func (f *feeder) feed(p []byte) bool {
	for {
		n := f.front.Receive(p)
		p = p[min(max(n, 0), len(p)):]
		if len(p) == 0 {
			return true
		}
		select {
		case <-f.room:
		case <-f.quit:
			return false
		}
	}
}

func (f *feeder) stop() { f.once.Do(func() { close(f.quit) }) }

// copyFrom feeds what r gives until it ends.
func (f *feeder) copyFrom(r io.Reader) error {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if n > 0 && !f.feed(buf[:n]) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
