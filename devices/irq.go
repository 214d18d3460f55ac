package devices

import "sync"

// An IRQLine is one end of an interrupt wire. Set drives its level; setting
// the level it has is allowed and does nothing. The wire is active high: an
// edge-triggered input acts on false to true.
type IRQLine interface{ Set(level bool) }

// IRQFunc makes an IRQLine of a function.
type IRQFunc func(level bool)

// Set calls f.
func (f IRQFunc) Set(level bool) { f(level) }

// NoIRQ is a wire that ends nowhere.
var NoIRQ IRQLine = IRQFunc(func(bool) {})

// Fan drives every one of lines with one level.
func Fan(lines ...IRQLine) IRQLine {
	return IRQFunc(func(level bool) {
		for _, l := range lines {
			l.Set(level)
		}
	})
}

// A SharedLine is a wire with several sources, high while any of them drives
// it high (wired or), as PCI's level-triggered INTx lines are.
type SharedLine struct {
	mu    sync.Mutex
	out   IRQLine
	high  int
	level bool
}

// NewSharedLine returns a shared wire that ends at out.
func NewSharedLine(out IRQLine) *SharedLine { return &SharedLine{out: out} }

// Source adds a source to the wire; its level starts low.
func (s *SharedLine) Source() IRQLine { return &lineSource{s: s} }

type lineSource struct {
	s     *SharedLine
	level bool
}

func (l *lineSource) Set(level bool) {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.level == level {
		return
	}
	l.level = level
	if level {
		s.high++
	} else {
		s.high--
	}
	if now := s.high > 0; now != s.level {
		s.level = now
		s.out.Set(now)
	}
}
