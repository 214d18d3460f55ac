//go:build !unix

package chardev

import "fmt"

func newPty(o Options) (Backend, error) {
	return nil, fmt.Errorf("%s: this host has no pseudo-terminals", o.Label)
}
