package display

import (
	"context"
	"errors"
)

// RunCurses needs a terminal, which a browser page has not.
func RunCurses(context.Context, Screen, Keyboard, func()) error {
	return errors.New("-display curses is not available on this host")
}
