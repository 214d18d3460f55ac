// Package guesttest runs a machine in a test and talks to its serial console, as
// expect does.
package guesttest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/boot/initramfs"
	"hotblock/devices/chardev"
	"hotblock/jit"
	"hotblock/machine"
)

// Engines are the engines that every guest test runs on.
var Engines = []string{"interp", "jit"}

// Strategies are the settings of the translator, each with one strategy in place of the
// default, that tests try beside Engines, as machine.Config.SetEngine takes them.
func Strategies() (engines []string) {
	for _, s := range jit.Single() {
		engines = append(engines, "jit,"+s)
	}
	return engines
}

// Prompt is what the shell of the test initramfs prints.
const Prompt = "hotblock:~# "

// console is a serial back end that keeps all output and feeds input as the
// device takes it.
type console struct {
	mu    sync.Mutex
	out   bytes.Buffer // all output
	text  bytes.Buffer // what Expect has not consumed, without carriage returns
	more  chan struct{}
	in    []byte
	front chardev.Frontend
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.out.Write(p)
	c.text.Write(bytes.ReplaceAll(p, []byte("\r"), nil))
	c.mu.Unlock()
	select {
	case c.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

func (c *console) Start(f chardev.Frontend) error {
	c.mu.Lock()
	c.front = f
	c.mu.Unlock()
	return nil
}

func (c *console) Room() { go c.feed() }

func (c *console) feed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.front == nil || len(c.in) == 0 {
		return
	}
	n := c.front.Receive(c.in)
	c.in = c.in[n:]
}

func (c *console) Close() error { return nil }

// Guest is a running machine.
type Guest struct {
	M    *machine.Machine
	t    testing.TB
	con  *console
	done chan struct{}
	exit machine.Exit
	err  error
	stop context.CancelFunc
}

// Start builds a machine with a serial console from cfg and runs it. The machine
// is stopped when the test ends.
func Start(t testing.TB, cfg *machine.Config) *Guest {
	t.Helper()
	g := Prepare(t, cfg)
	g.Run()
	return g
}

// Prepare is Start but for the running, which Run does then; M may be changed
// before.
func Prepare(t testing.TB, cfg *machine.Config) *Guest {
	t.Helper()
	g := &Guest{t: t, con: &console{more: make(chan struct{}, 1)}, done: make(chan struct{})}
	cfg.Serial = []chardev.Spec{{}}
	cfg.Host.Serial = []chardev.Backend{g.con}
	m, err := machine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g.M = m
	return g
}

// Run runs the machine that Prepare made.
func (g *Guest) Run() {
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	go func() {
		g.exit, g.err = g.M.Run(ctx)
		close(g.done)
	}()
	g.t.Cleanup(func() {
		stop()
		<-g.done
		g.M.Close()
		g.M.Board.Free()
	})
}

// Debian returns the configuration of Debian's kernel of a flavour (cloud or
// generic) with the test initramfs, which has extra files in it: path to
// contents, executable. The engine is as machine.Config.SetEngine takes it.
func Debian(t testing.TB, flavour, engine string, extra map[string][]byte) *machine.Config {
	t.Helper()
	cfg := machine.DefaultConfig()
	if err := cfg.SetEngine(engine); err != nil {
		t.Fatal(err)
	}
	cfg.Kernel = fetchtest.Kernel(t, flavour)
	cfg.Cmdline = "console=ttyS0"
	cfg.CmdlineLinux = "cryptomgr.notests"
	busybox, err := os.ReadFile(fetchtest.File(t, "busybox-static", "bin/busybox"))
	if err != nil {
		t.Fatal(err)
	}
	o := initramfs.Options{Busybox: busybox}
	for name, data := range extra {
		o.Extra = append(o.Extra, initramfs.File{Name: name, Mode: 0o755, Data: data})
	}
	if cfg.InitrdData, err = initramfs.Build(o); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Output is everything that the guest has printed.
func (g *Guest) Output() string {
	g.con.mu.Lock()
	defer g.con.mu.Unlock()
	return g.con.out.String()
}

// Expect waits until the guest prints text, after what earlier calls have seen,
// and returns what came before it. Carriage returns are left out.
func (g *Guest) Expect(text string, timeout time.Duration) string {
	g.t.Helper()
	limit := time.After(timeout)
	for {
		if before, ok := g.con.take(text); ok {
			return before
		}
		select {
		case <-g.con.more:
		case <-g.done:
			if before, ok := g.con.take(text); ok {
				return before
			}
			g.t.Fatalf("the machine ended (%+v, %v) before it printed %q; the end of its output:\n%s", g.exit, g.err, text, tail(g.Output()))
		case <-limit:
			g.t.Fatalf("no %q in %v; the end of the output:\n%s", text, timeout, tail(g.Output()))
		}
	}
}

// take consumes what was printed up to the end of text, if that has been printed, and
// returns what comes before text.
func (c *console) take(text string) (before string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := bytes.Index(c.text.Bytes(), []byte(text))
	if i < 0 {
		return "", false
	}
	return string(c.text.Next(i + len(text))[:i]), true
}

func tail(s string) string {
	s = strings.ReplaceAll(s, "\r", "")
	return s[max(0, len(s)-3000):]
}

// Send types text on the console.
func (g *Guest) Send(text string) {
	g.con.mu.Lock()
	g.con.in = append(g.con.in, text...)
	g.con.mu.Unlock()
	g.con.feed()
}

// Quiet keeps the kernel's messages off the console, where they would mix with
// the output of commands: a busy host alone makes it complain.
func (g *Guest) Quiet() {
	g.t.Helper()
	g.Shell("dmesg -n 1", time.Minute)
}

// Shell runs a command in the guest's shell and returns its output and exit
// status.
func (g *Guest) Shell(cmd string, timeout time.Duration) (out string, status int) {
	g.t.Helper()
	// The marks are put together by the shell, so that the echo of the command
	// does not hold them.
	g.Send("echo BE''GIN; " + cmd + "; echo E''ND $?\n")
	g.Expect("BEGIN\n", timeout)
	out = g.Expect("END ", timeout)
	if _, err := fmt.Sscanf(g.Expect("\n", timeout), "%d", &status); err != nil {
		g.t.Fatalf("%s: no exit status: %v", cmd, err)
	}
	return out, status
}

// Stop ends the machine as the user does, and waits for that.
func (g *Guest) Stop() {
	g.stop()
	<-g.done
}

// Wait waits for the machine to end.
func (g *Guest) Wait(timeout time.Duration) machine.Exit {
	g.t.Helper()
	select {
	case <-g.done:
	case <-time.After(timeout):
		g.t.Fatalf("the machine did not end in %v; the end of its output:\n%s", timeout, tail(g.Output()))
	}
	if g.err != nil {
		g.t.Fatal(g.err)
	}
	return g.exit
}
