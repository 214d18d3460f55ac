package machine

import (
	"hotblock/devices/display"
	"hotblock/devices/vga"
)

// screen shows the VGA's text to a display.
type screen struct{ v *vga.VGA }

func (s screen) Text() display.Text {
	t, ok := s.v.Text()
	if !ok {
		return display.Text{Graphics: true}
	}
	out := display.Text{Cols: t.Cols, Rows: t.Rows, CursorX: t.CursorX, CursorY: t.CursorY, CursorOn: t.CursorOn,
		Cells: make([]uint16, len(t.Cells))}
	for i, c := range t.Cells {
		out.Cells[i] = uint16(c.Char) | uint16(c.Attr)<<8
	}
	return out
}

// Screen is the VGA's text screen, or nil where the machine has no VGA.
func (m *Machine) Screen() display.Screen {
	if m.Board.VGA == nil {
		return nil
	}
	return screen{m.Board.VGA}
}

// Keyboard is the machine's keyboard.
func (m *Machine) Keyboard() display.Keyboard { return m.Board.Keyboard }
