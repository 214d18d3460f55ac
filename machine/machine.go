// Package machine wires a PC: CPU, memory, devices, and runs it.
package machine

import (
	"context"
	"errors"

	"hotblock/devices/display"
)

// Machine is a PC.
type Machine struct{}

// New builds a machine, opens its images, and loads what it is to boot.
func New(*Config) (*Machine, error) { return nil, errors.New("no engine") }

// Run runs the machine until it ends or the context is cancelled.
func (m *Machine) Run(context.Context) (Exit, error) { return Exit{}, errors.New("no engine") }

// Screen and Keyboard are for a display; nil where the machine has none.
func (m *Machine) Screen() display.Screen { return nil }

// Keyboard is the keyboard of the machine.
func (m *Machine) Keyboard() display.Keyboard { return nil }
