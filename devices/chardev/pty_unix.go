//go:build unix

package chardev

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/term"
)

type ptyBackend struct {
	*pump
	*feeder
	host, guest *os.File
}

// newPty makes a pseudo-terminal and says its name, as QEMU does. Its user end
// is kept open, so that programs can come and go.
func newPty(o Options) (Backend, error) {
	host, user, err := pty.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: cannot make a pseudo-terminal: %w", o.Label, err)
	}
	if _, err := term.MakeRaw(int(user.Fd())); err != nil {
		host.Close()
		user.Close()
		return nil, fmt.Errorf("%s: cannot put %s into raw mode: %w", o.Label, user.Name(), err)
	}
	fmt.Fprintf(o.Messages, "char device redirected to %s (label %s)\n", user.Name(), o.Label)
	b := &ptyBackend{pump: newPump(host), feeder: newFeeder(), host: host, guest: user}
	b.lossy = true
	return b, nil
}

func (b *ptyBackend) Start(f Frontend) error {
	b.front = f
	go b.copyFrom(b.host)
	return nil
}

func (b *ptyBackend) Close() error {
	b.feeder.stop()
	b.pump.close()
	b.guest.Close()
	return b.host.Close()
}
