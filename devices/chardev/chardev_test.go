package chardev

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// device is a front end with room for a byte at a time, like a UART with its
// FIFO off. It has room again once a byte is taken from got.
type device struct {
	mu   sync.Mutex
	held []byte
	room func()
	got  chan byte
	brk  chan struct{}
}

func newDevice(b Backend) *device {
	d := &device{room: b.Room, got: make(chan byte, 1<<16), brk: make(chan struct{}, 1)}
	return d
}

func (d *device) Receive(p []byte) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.held) > 0 || len(p) == 0 {
		return 0
	}
	d.held = append(d.held, p[0])
	go func() { // the guest reads it at some later time
		d.mu.Lock()
		b := d.held[0]
		d.held = d.held[:0]
		d.mu.Unlock()
		d.got <- b
		d.room()
	}()
	return 1
}

func (d *device) Break() { d.brk <- struct{}{} }

func (d *device) take(n int) string {
	var b []byte
	for range n {
		b = append(b, <-d.got)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	good := map[string]Spec{
		"none":                           {Kind: None},
		"null":                           {Kind: Null},
		"stdio":                          {Kind: Stdio},
		"stdio,signal=off":               {Kind: Stdio},
		"mon:stdio":                      {Kind: Stdio, Mux: true},
		"pty":                            {Kind: Pty},
		"file:/a,,b":                     {Kind: File, Path: "/a,b", Wait: true},
		"file:/a,append=on":              {Kind: File, Path: "/a", Append: true, Wait: true},
		"tcp:localhost:4444":             {Kind: TCP, Addr: "localhost:4444", Wait: true},
		"tcp::4444,server,nowait":        {Kind: TCP, Addr: ":4444", Server: true},
		"tcp:[::1]:4,server=on,wait=off": {Kind: TCP, Addr: "[::1]:4", Server: true},
		"unix:/x,server=on":              {Kind: Unix, Path: "/x", Server: true, Wait: true},
	}
	for arg, want := range good {
		if got, err := Parse(arg); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", arg, got, err)
		}
	}
	for _, bad := range []string{"", "foo", "file:", "file", "tcp:", "tcp:localhost", "tcp:localhost:", "unix:", "null:x", "stdio,x",
		"tcp:a:1,servr", "file:x,server=on", "tcp:a:1,server=maybe", "vc", "mon:"} {
		if s, err := Parse(bad); err == nil {
			t.Errorf("%q gives %+v", bad, s)
		} else if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than a line", bad)
		}
	}
}

// openStdio opens the stdio back end on pipes.
func openStdio(t *testing.T, quit func()) (b Backend, in io.WriteCloser, out io.Reader, closeOut func()) {
	t.Helper()
	inR, inW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	outR, outW, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	b, err = Open(Spec{Kind: Stdio}, Options{Label: "serial0", Stdin: inR, Stdout: outW, Quit: quit})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close(); inW.Close(); inR.Close(); outR.Close(); outW.Close() })
	return b, inW, outR, func() { outR.Close() }
}

func TestStdio(t *testing.T) {
	quit := make(chan struct{})
	b, in, out, _ := openStdio(t, func() { close(quit) })
	d := newDevice(b)
	if err := b.Start(d); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Spec{Kind: Stdio}, Options{}); err == nil {
		t.Error("stdio can be had twice")
	}
	io.WriteString(in, "ab\x01\x01c")
	if got := d.take(4); got != "ab\x01c" {
		t.Errorf("the guest got %q", got)
	}
	io.WriteString(in, "\x01")
	io.WriteString(in, "b\x01zd")
	<-d.brk
	if got := d.take(1); got != "d" {
		t.Errorf("the guest got %q", got)
	}
	b.Write([]byte("out"))
	buf := make([]byte, 3)
	if _, err := io.ReadFull(out, buf); err != nil || string(buf) != "out" {
		t.Errorf("%q, %v", buf, err)
	}
	io.WriteString(in, "\x01h")
	help := make([]byte, len(escapeHelp))
	if _, err := io.ReadFull(out, help); err != nil || string(help) != escapeHelp {
		t.Errorf("%q, %v", help, err)
	}
	io.WriteString(in, "\x01x")
	<-quit
}

type deaf struct{}

func (deaf) Receive([]byte) int { return 0 }

// TestQuitFromDeafGuest: Ctrl-a x works while the guest takes no input.
func TestQuitFromDeafGuest(t *testing.T) {
	quit := make(chan struct{})
	b, in, _, _ := openStdio(t, func() { close(quit) })
	b.Start(deaf{})
	io.WriteString(in, strings.Repeat("typed in vain ", 100))
	io.WriteString(in, "\x01x")
	<-quit
}

// TestReaderGone: a closed standard output does not hold up the guest.
func TestReaderGone(t *testing.T) {
	b, _, _, closeOut := openStdio(t, nil)
	b.Start(deaf{})
	closeOut()
	chunk := make([]byte, 4096)
	for range 4 * pumpSize / len(chunk) {
		b.Write(chunk)
	}
}

// TestCloseFreesWriter: a CPU that waits for a reader goes on when the line is
// closed.
func TestCloseFreesWriter(t *testing.T) {
	r, w := io.Pipe()
	defer r.Close()
	p := newPump(w)
	done := make(chan struct{})
	go func() {
		for range 4 * pumpSize / 4096 {
			p.Write(make([]byte, 4096))
		}
		close(done)
	}()
	r.Read(make([]byte, 1)) // the writer is under way
	p.mu.Lock()
	p.closed = true
	p.changed.Broadcast()
	p.mu.Unlock()
	<-done
}

func TestEndOfInput(t *testing.T) {
	b, in, out, _ := openStdio(t, func() { t.Error("quit at the end of input") })
	d := newDevice(b)
	b.Start(d)
	io.WriteString(in, "last")
	in.Close()
	if got := d.take(4); got != "last" {
		t.Errorf("the guest got %q", got)
	}
	b.Write([]byte("x"))
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Error(err)
	}
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i, want := range []string{"one", "two", "two+"} {
		b, err := Open(Spec{Kind: File, Path: path, Append: i == 2}, Options{Label: "serial0"})
		if err != nil {
			t.Fatal(err)
		}
		b.Start(deaf{})
		for _, c := range []byte(strings.TrimPrefix(want, map[bool]string{true: "two"}[i == 2])) {
			b.Write([]byte{c})
		}
		b.Close()
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("file has %q, want %q", got, want)
		}
	}
	if _, err := Open(Spec{Kind: File, Path: t.TempDir()}, Options{Label: "serial0"}); err == nil || !strings.Contains(err.Error(), "serial0") {
		t.Errorf("a directory as file: %v", err)
	}
}

func TestTCPServer(t *testing.T) {
	b, err := Open(Spec{Kind: TCP, Addr: "127.0.0.1:0", Server: true}, Options{Label: "serial0"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	d := newDevice(b)
	if err := b.Start(d); err != nil {
		t.Fatal(err)
	}
	b.Write([]byte("nobody hears this"))
	for _, word := range []string{"first", "second"} {
		c, err := net.Dial("tcp", b.(*socketBackend).Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, word)
		if got := d.take(len(word)); got != word {
			t.Errorf("the guest got %q", got)
		}
		b.Write([]byte("reply"))
		buf := make([]byte, 5)
		if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "reply" {
			t.Errorf("%q, %v", buf, err)
		}
		c.Close()
	}
}

func TestSocketsConnect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var said bytes.Buffer
	srv, err := Open(Spec{Kind: Unix, Path: path, Server: true, Wait: true}, Options{Label: "serial1", Messages: &said})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := Open(Spec{Kind: Unix, Path: path}, Options{Label: "serial0"})
	if err != nil {
		t.Fatal(err)
	}
	started := make(chan error)
	d := newDevice(cl)
	go func() { started <- cl.Start(d) }()
	if err := srv.Start(deaf{}); err != nil {
		t.Fatal(err)
	}
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "waiting for a connection") {
		t.Errorf("said %q", said.String())
	}
	srv.Write([]byte("hello"))
	if got := d.take(5); got != "hello" {
		t.Errorf("got %q", got)
	}
	srv.Close()
	cl.Close()
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket's name is still there")
	}
	again, err := Open(Spec{Kind: Unix, Path: path}, Options{Label: "serial0"})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Start(deaf{}); err == nil || !strings.Contains(err.Error(), "serial0") {
		t.Errorf("connected to nobody: %v", err)
	}
}

func TestPty(t *testing.T) {
	var said bytes.Buffer
	b, err := Open(Spec{Kind: Pty}, Options{Label: "serial0", Messages: &said})
	if err != nil {
		t.Skip(err)
	}
	defer b.Close()
	d := newDevice(b)
	b.Start(d)
	_, rest, _ := strings.Cut(said.String(), "redirected to ")
	name, _, ok := strings.Cut(rest, " ")
	if !ok {
		t.Fatalf("said %q", said.String())
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("in\x03")
	if got := d.take(3); got != "in\x03" {
		t.Errorf("the guest got %q", got)
	}
	b.Write([]byte("out\n"))
	buf := make([]byte, 4)
	if _, err := io.ReadFull(f, buf); err != nil || string(buf) != "out\n" {
		t.Errorf("%q, %v", buf, err)
	}
	// Nobody reads any more; the guest is not held up.
	for range 4 * pumpSize / 4096 {
		b.Write(make([]byte, 4096))
	}
}
