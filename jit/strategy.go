package jit

// Strategies: the choices of the translator that are worth comparing.
//
// An axis is one question that has several answers (how is an access to memory
// checked?), a strategy one of the answers. Each axis is an interface here; a
// strategy implements it and registers itself by a name, in a file of its own if it
// likes:
//
//	func init() {
//		memoryAxis.register("name", "what it does, in a line", func(e *Engine, a *stubAsm) memoryStrategy { ... })
//	}
//
// That is all: it can then be chosen on the command line (-jit memory=name), is
// listed and measured, and goes through the tests as all others do. docs/STRATEGIES.md
// goes through an example.
//
// A strategy is made anew for each Engine, while its stubs are written, so that it
// can write code that all regions share, and may keep state. It is asked while code
// is translated and never while it runs, so that having the choice costs nothing.

import (
	"fmt"
	"slices"
	"strings"

	"hotblock/interp"
)

// backend makes host code of regions. What enters and leaves such code is a back
// end's own, too: where the guest's registers and flags are while it runs is
// nobody else's business.
type backend interface {
	// stubs writes the code that is shared by all regions to a, which begins at
	// offset 0 of the code cache, and sets the Engine's offsets of it (enter, stubs,
	// nowhere, fault and what Engine.retry uses).
	stubs(e *Engine, a *stubAsm)
	// translate makes a region of a block, its code in e.t.b, with sites for all
	// ways out. It returns nil where the interpreter is to keep the block. Where whole is not nil
	// it makes the split form of that: of the same instructions, with their registers in the same
	// places, but accesses share no checks; nil if that cannot be.
	translate(e *Engine, b interp.Block, whole *region) *region
}

// regionStrategy says which instructions are translated together. A region ends in
// any case at the end of its page, at an unconditional jump, and before an instruction
// that is the interpreter's.
type regionStrategy interface {
	// limit is the greatest number of instructions of a region, 1 to maxRegion.
	limit() int
	// through reports whether the region goes on behind a conditional jump, where
	// that falls through.
	through(f follow) bool
	// loops reports whether jumps back to instructions of the region itself stay in
	// it.
	loops() bool
}

// A follow is what is known of the block that follows a conditional jump.
type follow struct {
	entered, threshold uint64 // how often it was, and how often it has to be before it is translated by itself
	translated         bool   // it has been
}

// memoryStrategy says how an access to memory is checked and where on the host it
// is.
type memoryStrategy interface {
	// sharing says which accesses of the region that the translator is at share a
	// check.
	sharing(t *translator) sharing
	// check writes the check of an access of the translator's current instruction.
	// It returns the operand for the access itself. Beside the scratch registers
	// nothing may change, but for status flags where c.live says so. A check that
	// fails leaves at a site (translator.miss). The page's addend, from linear to host
	// address, is in s2 then, where other accesses of a group look for it, and s1, if
	// the operand is based on it, holds the linear address of the first byte checked.
	check(t *translator, c *check) mem
}

// A check is what a memoryStrategy is asked for.
type check struct {
	ref          ref   // the access, as translator.onHost has it
	size         int32 // in bytes
	write        bool  // the page must be writable
	live         bool  // the status flags must not change
	before, span int32 // the bytes to be checked: from before (zero or less) bytes off ref on, span of them
}

// flagsStrategy says where status flags are kept.
type flagsStrategy interface {
	// liveness sets live of each of the region's instructions: the status flags that
	// what is added to the instruction, checks above all, must not change, and that
	// an exit there must have. They are at least those that are read before they are
	// written: translator.liveness finds them.
	liveness(t *translator)
}

// indirectStrategy says how an indirect jump finds its target.
type indirectStrategy interface {
	// lookup writes the jump to the linear address in s1, by the jump cache of
	// variant t.v or not. It may use the scratch registers. Where it does not find
	// the target, and also if PollMask in the context is zero, it leaves at the site
	// id, with the address in s1. Flags must not change.
	lookup(t *translator, id uint32)
}

// returnStrategy says how RET finds its target, and what CALL does for it.
type returnStrategy interface {
	// call writes the transfer of a call, when the return address is on the guest's
	// stack, and in s0. next is the guest offset of what follows the call.
	call(t *translator, to callTarget, next uint32)
	// ret writes the jump to the linear address in s1, which was on the guest's
	// stack; RSP is behind it. undo is as translator.indirect has it.
	ret(t *translator, undo int8)
}

// A callTarget is where a call goes: a guest offset, or the linear address in s1 or
// in Tmp in the context.
type callTarget struct {
	indirect bool
	inTmp    bool
	steady   bool // see placed.go
	goff     uint32
}

// strategies are those of an Engine.
type strategies struct {
	backend  backend
	region   regionStrategy
	memory   memoryStrategy
	flags    flagsStrategy
	indirect indirectStrategy
	ret      returnStrategy
}

// Choices names a strategy on each axis; an empty name is the default.
type Choices struct {
	Backend, Region, Memory, Flags, Indirect, Return string
}

// An axis is a question with its answers. S is the interface of its strategies.
type axis[S any] struct {
	name, text string
	def        string                   // the default choice
	of         func(c *Choices) *string // its place in Choices
	list       map[string]strategyOf[S] // by name
}

type strategyOf[S any] struct {
	text string
	make func(e *Engine, a *stubAsm) S
}

// register adds a strategy. a, which make is given, is the assembler of the stubs.
func (x *axis[S]) register(name, text string, make func(e *Engine, a *stubAsm) S) {
	if _, ok := x.list[name]; ok {
		panic("jit: two strategies " + x.name + "=" + name)
	}
	if x.list == nil {
		x.list = map[string]strategyOf[S]{}
	}
	x.list[name] = strategyOf[S]{text, make}
}

// pick makes the chosen strategy for an Engine.
func (x *axis[S]) pick(e *Engine, a *stubAsm) (S, error) {
	name := *x.of(&e.cfg.Choices)
	if name == "" {
		name = x.def
	}
	s, ok := x.list[name]
	if !ok {
		var none S
		return none, fmt.Errorf("-jit %s=%s: %s", x.name, name, x.Axis().possible())
	}
	return s.make(e, a), nil
}

// Axis describes the axis for people.
func (x *axis[S]) Axis() Axis {
	d := Axis{Name: x.name, Text: x.text, of: x.of}
	for n, s := range x.list {
		d.Choices = append(d.Choices, Choice{n, s.text})
	}
	slices.SortFunc(d.Choices, func(a, b Choice) int {
		switch {
		case a.Name == b.Name:
			return 0
		case a.Name == x.def:
			return -1
		case b.Name == x.def:
			return 1
		}
		return strings.Compare(a.Name, b.Name)
	})
	return d
}

// The axes.
var (
	backendAxis = &axis[backend]{name: "backend", def: "direct", text: "how guest code becomes host code",
		of: func(c *Choices) *string { return &c.Backend }}
	regionAxis = &axis[regionStrategy]{name: "region", def: "extended", text: "which instructions are translated together",
		of: func(c *Choices) *string { return &c.Region }}
	memoryAxis = &axis[memoryStrategy]{name: "memory", def: "window", text: "how accesses to memory are checked",
		of: func(c *Choices) *string { return &c.Memory }}
	flagsAxis = &axis[flagsStrategy]{name: "flags", def: "dead", text: "where checks keep the status flags",
		of: func(c *Choices) *string { return &c.Flags }}
	indirectAxis = &axis[indirectStrategy]{name: "indirect", def: "site", text: "how indirect jumps and calls find their target",
		of: func(c *Choices) *string { return &c.Indirect }}
	returnAxis = &axis[returnStrategy]{name: "return", def: "pair", text: "how returns find their target",
		of: func(c *Choices) *string { return &c.Return }}
)

// An Axis is a choice of the translator that is made by name.
type Axis struct {
	Name    string   `json:"name"` // the key of -jit
	Text    string   `json:"text"` // what it is about
	Choices []Choice `json:"choices"`

	of func(c *Choices) *string
}

// A Choice is a strategy.
type Choice struct {
	Name string `json:"name"`
	Text string `json:"text"` // what it does, in a line
}

// Axes lists the axes and their strategies, of each axis the default first.
func Axes() []Axis {
	return []Axis{backendAxis.Axis(), regionAxis.Axis(), memoryAxis.Axis(), flagsAxis.Axis(), indirectAxis.Axis(), returnAxis.Axis()}
}

// Single returns the settings that differ from the default in one strategy, as
// "axis=strategy", for tests and comparisons.
func Single() (settings []string) {
	for _, x := range Axes() {
		for _, c := range x.Choices[1:] {
			settings = append(settings, x.Name+"="+c.Name)
		}
	}
	return settings
}

func (x Axis) possible() string {
	var names []string
	for _, c := range x.Choices {
		names = append(names, c.Name)
	}
	if len(names) == 1 {
		return "there is only " + names[0]
	}
	return "there are " + strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

// set makes a choice by name.
func (c *Choices) set(axis, name string) (ok bool, err error) {
	for _, x := range Axes() {
		if x.Name != axis {
			continue
		}
		if !slices.ContainsFunc(x.Choices, func(c Choice) bool { return c.Name == name }) {
			return true, fmt.Errorf("%s=%s: %s", axis, name, x.possible())
		}
		*x.of(c) = name
		return true, nil
	}
	return false, nil
}

// choose makes the strategies that the Engine's settings name. The back end comes
// first: what the others write follows its stubs.
func (e *Engine) choose(a *stubAsm) error {
	var err error
	if e.use.backend, err = backendAxis.pick(e, a); err != nil {
		return err
	}
	e.use.backend.stubs(e, a)
	if e.use.region, err = regionAxis.pick(e, a); err != nil {
		return err
	}
	if e.use.memory, err = memoryAxis.pick(e, a); err != nil {
		return err
	}
	if e.use.flags, err = flagsAxis.pick(e, a); err != nil {
		return err
	}
	if e.use.indirect, err = indirectAxis.pick(e, a); err != nil {
		return err
	}
	e.use.ret, err = returnAxis.pick(e, a)
	return err
}
