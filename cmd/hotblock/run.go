package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hotblock/devices/chardev"
	"hotblock/devices/display"
	"hotblock/machine"
)

// brokenPipe is the number of SIGPIPE. Whoever closes standard output wants no
// more of it, and no message either, as with any other command in a pipeline.
const brokenPipe = 13

// onMachine is told of every machine before it runs. It is for tests.
var onMachine = func(*machine.Machine) {}

// run boots what the command line says, and returns the process's exit code.
func (c *command) run(stderr io.Writer) (code int, err error) {
	roomyHeap()
	cfg := c.cfg
	ctx, quit := context.WithCancel(context.Background())
	defer quit()

	// Whatever ends the machine, the terminal is put back. A second signal does
	// not wait for an orderly end.
	defer chardev.RestoreTerminal()
	var ended atomic.Int32
	profiles, err := c.openProfiles()
	if err != nil {
		return 0, err
	}
	defer profiles.discard()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, endSignals...)
	defer signal.Stop(signals)
	keepBrokenPipe()
	go func() {
		for s := range signals {
			if n, ok := s.(syscall.Signal); ok && !ended.CompareAndSwap(0, int32(n)) {
				chardev.RestoreTerminal()
				profiles.finish(false)
				os.Exit(128 + int(n))
			}
			quit()
			time.AfterFunc(3*time.Second, func() {
				chardev.RestoreTerminal()
				profiles.finish(false)
				os.Exit(128 + int(ended.Load()))
			})
		}
	}()

	if err := c.defaultGuest(ctx); err != nil {
		return 0, err
	}
	if c.pidfile != "" {
		if err := os.WriteFile(c.pidfile, fmt.Appendf(nil, "%d\n", os.Getpid()), 0o644); err != nil {
			return 0, cause("-pidfile "+c.pidfile, "cannot be written", err)
		}
		defer os.Remove(c.pidfile)
	}
	cfg.Host.Messages = stderr
	lines, trace, err := c.openHost(stderr, quit, func() {
		ended.CompareAndSwap(0, brokenPipe)
		quit()
	})
	defer trace.Close()
	defer lines.Close()
	// A CPU may wait for a line that takes no more output. Closing the lines
	// lets it go on, to see that it is to end.
	context.AfterFunc(ctx, func() { lines.Close() })
	if err != nil {
		return 0, err
	}
	m, err := machine.New(cfg)
	if err != nil {
		return 0, err
	}
	if cfg.Display == machine.DisplayCurses {
		if m.Screen() == nil || m.Keyboard() == nil {
			return 0, errors.New("-display curses: the machine has no screen; leave it out")
		}
		shown := make(chan error, 1)
		go func() {
			defer chardev.RestoreOnPanic()
			err := display.RunCurses(ctx, m.Screen(), m.Keyboard(), quit)
			quit()
			shown <- err
		}()
		defer func() {
			quit()
			if e := <-shown; e != nil && err == nil {
				err = e
			}
		}()
	}
	defer m.Close()
	onMachine(m)
	if err := c.startProfiles(profiles, m); err != nil {
		return 0, err
	}
	defer profiles.finish(false) // whatever happens
	exit, err := m.Run(ctx)
	if e := profiles.finish(true); err == nil {
		err = e
	}
	if err != nil {
		return 0, err
	}
	if n := ended.Load(); n != 0 {
		lines.Close()
		if n != brokenPipe {
			fmt.Fprintf(stderr, "hotblock: terminating on signal %d\n", n)
		}
		return 128 + int(n), nil
	}
	return exit.Code, nil
}

// closers closes what was opened, the last first, once.
type closers struct {
	once  sync.Once
	funcs []func() error
}

// Close may be called from several goroutines; each returns when all is closed.
func (c *closers) Close() error {
	c.once.Do(func() {
		for i := len(c.funcs) - 1; i >= 0; i-- {
			c.funcs[i]()
		}
	})
	return nil
}

// openHost opens what the machine's lines are connected to, and the log. The
// closers are never nil.
func (c *command) openHost(stderr io.Writer, quit, broken func()) (lines, trace *closers, err error) {
	cfg := c.cfg
	lines, trace = &closers{}, &closers{}
	open := func(s chardev.Spec, label string) (chardev.Backend, error) {
		b, err := chardev.Open(s, chardev.Options{Label: label, Messages: stderr, Quit: quit, Broken: broken})
		if b != nil {
			lines.funcs = append(lines.funcs, b.Close)
		}
		return b, err
	}
	cfg.Host.Serial = nil
	for i, s := range cfg.Serial {
		b, err := open(s, fmt.Sprintf("serial%d", i))
		if err != nil {
			return lines, trace, err
		}
		cfg.Host.Serial = append(cfg.Host.Serial, b)
	}
	if cfg.Host.DebugCon, err = open(cfg.DebugCon, "debugcon"); err != nil {
		return lines, trace, err
	}
	if c.traceFile != "" {
		f, err := os.Create(c.traceFile)
		if err != nil {
			return lines, trace, cause("-D "+c.traceFile, "cannot be written", err)
		}
		w := &lockedWriter{w: bufio.NewWriterSize(f, 1<<16)}
		trace.funcs = append(trace.funcs, func() error { return errors.Join(w.flush(), f.Close()) })
		cfg.Host.Trace = w
	} else if cfg.Trace != 0 {
		cfg.Host.Trace = stderr
	}
	return lines, trace, nil
}

// lockedWriter is a buffer that CPUs and devices share.
type lockedWriter struct {
	mu sync.Mutex
	w  *bufio.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func (l *lockedWriter) flush() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Flush()
}
