//go:build !js

package display

import (
	"context"
	"fmt"
	"time"

	"github.com/gdamore/tcell/v2"

	"hotblock/devices/chardev"
)

// refresh is how often the screen is looked at.
const refresh = 40 * time.Millisecond

// RunCurses shows a text screen in the terminal and sends its keys to the
// keyboard, until the context ends. Ctrl-a is the escape, as on the serial
// console: quit is called on Ctrl-a x. The terminal is put back on the way out.
func RunCurses(ctx context.Context, s Screen, k Keyboard, quit func()) error {
	t, err := tcell.NewScreen()
	if err != nil {
		return fmt.Errorf("cannot use the terminal for -display curses: %w", err)
	}
	if err := t.Init(); err != nil {
		return fmt.Errorf("cannot use the terminal for -display curses: %w", err)
	}
	chardev.AlsoRestore(t.Fini)
	defer chardev.RestoreTerminal()

	events := make(chan tcell.Event, 64)
	stop := make(chan struct{})
	defer close(stop)
	go t.ChannelEvents(events, stop)
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	escaped := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case ev := <-events:
			switch ev := ev.(type) {
			case *tcell.EventResize:
				t.Sync()
			case *tcell.EventKey:
				if escaped {
					escaped = false
					switch {
					case ev.Key() == tcell.KeyCtrlA:
						k.SendKeys("ctrl-a")
					case ev.Rune() == 'x':
						quit()
						return nil
					}
					continue
				}
				if ev.Key() == tcell.KeyCtrlA {
					escaped = true
					continue
				}
				if combo, text := keyFor(ev); combo != "" {
					k.SendKeys(combo)
				} else if text != "" {
					k.Type(text)
				}
			}
		case <-tick.C:
			draw(t, s.Text(), escaped)
		}
	}
}

func draw(t tcell.Screen, x Text, escaped bool) {
	w, h := t.Size()
	t.Clear()
	// A terminal with fewer lines shows those down to the cursor.
	top := 0
	if x.CursorOn && x.CursorY >= h {
		top = x.CursorY - h + 1
	}
	if x.Graphics {
		put(t, 0, 0, "The guest's screen is in a graphics mode.")
	} else {
		for y := 0; y < min(x.Rows-top, h); y++ {
			for c := 0; c < min(x.Cols, w); c++ {
				if i := (top+y)*x.Cols + c; i < len(x.Cells) {
					cell := x.Cells[i]
					t.SetContent(c, y, CP437[cell&0xff], nil, styleOf(byte(cell>>8)))
				}
			}
		}
	}
	if x.CursorOn && !x.Graphics && x.CursorX < w && x.CursorY-top < h {
		t.ShowCursor(x.CursorX, x.CursorY-top)
	} else {
		t.HideCursor()
	}
	if escaped {
		put(t, 0, h-1, " Ctrl-a: x quits, Ctrl-a sends Ctrl-a ")
	}
	t.Show()
}

func put(t tcell.Screen, x, y int, s string) {
	for i, r := range s {
		t.SetContent(x+i, y, r, nil, tcell.StyleDefault.Reverse(true))
	}
}

// vgaColour is the order of the VGA's colours in ANSI's.
var vgaColour = [8]int{0, 4, 2, 6, 1, 5, 3, 7}

func styleOf(attr byte) tcell.Style {
	fg := vgaColour[attr&7]
	if attr&8 != 0 {
		fg += 8
	}
	return tcell.StyleDefault.Foreground(tcell.PaletteColor(fg)).
		Background(tcell.PaletteColor(vgaColour[attr>>4&7])).Blink(attr&0x80 != 0)
}

var keyNames = map[tcell.Key]string{
	tcell.KeyEnter: "ret", tcell.KeyTab: "tab", tcell.KeyBacktab: "shift-tab", tcell.KeyEscape: "esc",
	tcell.KeyBackspace: "backspace", tcell.KeyBackspace2: "backspace", tcell.KeyDelete: "delete",
	tcell.KeyInsert: "insert", tcell.KeyHome: "home", tcell.KeyEnd: "end", tcell.KeyPgUp: "pgup", tcell.KeyPgDn: "pgdn",
	tcell.KeyUp: "up", tcell.KeyDown: "down", tcell.KeyLeft: "left", tcell.KeyRight: "right",
	tcell.KeyF1: "f1", tcell.KeyF2: "f2", tcell.KeyF3: "f3", tcell.KeyF4: "f4", tcell.KeyF5: "f5", tcell.KeyF6: "f6",
	tcell.KeyF7: "f7", tcell.KeyF8: "f8", tcell.KeyF9: "f9", tcell.KeyF10: "f10", tcell.KeyF11: "f11", tcell.KeyF12: "f12",
}

// keyFor turns a terminal's key into a combination of keys, or a text to type.
func keyFor(ev *tcell.EventKey) (combo, text string) {
	mod := ""
	if ev.Modifiers()&tcell.ModAlt != 0 {
		mod = "alt-"
	}
	if name, ok := keyNames[ev.Key()]; ok {
		if ev.Modifiers()&tcell.ModCtrl != 0 {
			mod = "ctrl-" + mod
		}
		return mod + name, ""
	}
	if ev.Key() >= tcell.KeyCtrlA && ev.Key() <= tcell.KeyCtrlZ {
		return "ctrl-" + mod + string(rune('a'+ev.Key()-tcell.KeyCtrlA)), ""
	}
	if ev.Key() != tcell.KeyRune {
		return "", ""
	}
	r := ev.Rune()
	if mod != "" && (r >= 'a' && r <= 'z' || r >= '0' && r <= '9') {
		return mod + string(r), ""
	}
	return "", string(r)
}
