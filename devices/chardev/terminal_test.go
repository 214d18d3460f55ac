//go:build unix

package chardev

import (
	"reflect"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// TestTerminalIsRestored goes out by each of the ways there are.
func TestTerminalIsRestored(t *testing.T) {
	host, user, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	defer host.Close()
	defer user.Close()
	state := func() *term.State {
		s, err := term.GetState(int(user.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	ways := map[string]func(b Backend){
		"close":  func(b Backend) { b.Close() },
		"signal": func(b Backend) { RestoreTerminal() },
		"panic": func(b Backend) {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			defer RestoreOnPanic()
			panic("test")
		},
	}
	for name, way := range ways {
		b, err := Open(Spec{Kind: Stdio}, Options{Stdin: user, Stdout: user})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Start(deaf{}); err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(before, state()) {
			t.Errorf("%s: the terminal is not raw", name)
		}
		// Resizing is nothing to the line.
		pty.Setsize(host, &pty.Winsize{Rows: 10, Cols: 20})
		way(b)
		if !reflect.DeepEqual(before, state()) {
			t.Errorf("%s: the terminal is not as before", name)
		}
		b.Close()
	}
}
