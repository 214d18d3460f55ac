package jit

import (
	"os"
	"testing"

	"hotblock/internal/again"
)

// TestMain sees to it that there are addresses for windows, which tests rely on.
func TestMain(m *testing.M) {
	if Available() {
		again.Unless(WindowsFit)
	}
	os.Exit(m.Run())
}
