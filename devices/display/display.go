// Package display shows a machine's screen to the user and takes keys from
// there.
package display

// Text is what a screen in text mode shows.
type Text struct {
	Cols, Rows int
	// Cells has Cols*Rows entries by rows: the character (code page 437) in
	// bits 0-7, the attribute (foreground 0-3, background 4-6, blink 7) in bits
	// 8-15.
	Cells            []uint16
	CursorX, CursorY int
	CursorOn         bool
	// Graphics says that the screen is in a graphics mode, which Cells cannot
	// show.
	Graphics bool
}

// Screen is a display adapter. Text may be called from any goroutine.
type Screen interface {
	Text() Text
}

// Keyboard takes keys. The names are those of QEMU's sendkey; keys that are
// pressed together are joined by hyphens: "ctrl-alt-delete".
type Keyboard interface {
	SendKeys(combo string) error
	// Type sends the keys that give a text on an US keyboard.
	Type(text string) error
}
