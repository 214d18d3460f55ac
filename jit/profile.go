package jit

// What the translator did, by region: for translation profiles and for -d hot.
//
// A Record gathers what happened to all translations of one piece of guest code. It
// costs a clock reading at each translation and an addition at each exit, and
// nothing while nobody asked for it.

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"golang.org/x/arch/x86/x86asm"

	"hotblock/interp"
)

// A Record is what is known of the translations of code at one place.
type Record struct {
	Addr uint64 // linear address of the first instruction
	User bool   // code of a program: CPL 3

	Translations uint64
	Time         time.Duration // that they took
	Instructions uint64        // of the last: of the guest
	GuestBytes   uint64
	HostBytes    uint64
	Exits        [len(ExitNames)]uint64 // returns to the engine from it, by reason
	Samples      uint64                 // of the guest's profiler that found it running

	last *region
	va   uint64 // of last
}

// ExitNames names the reasons of Record.Exits: an edge that is not linked yet, an
// instruction for the interpreter, a TLB miss, an indirect jump that its caches do
// not know, something pending, an instruction across pages, a fault.
var ExitNames = [...]string{
	siteEdge: "edge", siteCallout: "interpreter", siteMiss: "tlb miss", siteIndirect: "indirect jump", sitePoll: "pending", siteCross: "page crossing", siteOutside: "outside of the window", reasonFault: "fault",
}

// recordKey is a place of code: where it is in host memory, and at which address the
// guest has it.
type recordKey struct {
	at      *byte
	va      uint64
	variant interp.Variant
}

const maxRecords = 1 << 20

// recorder keeps the records of an Engine.
type recorder struct {
	by    map[recordKey]*Record
	all   []*Record
	made  func(*Record)
	began time.Time // the translation
}

// Record begins to keep records. made, where it is not nil, is called for each new
// one, on the CPU's goroutine, with the CPU at its code. It must be called before
// the CPU runs.
func (e *Engine) Record(made func(*Record)) {
	if e.rec == nil {
		e.rec = &recorder{by: map[recordKey]*Record{}}
	}
	if made != nil {
		e.rec.made = made
	}
}

// Records returns the records so far. They may be read while the CPU does not run.
func (e *Engine) Records() []*Record {
	if e.rec == nil {
		return nil
	}
	return e.rec.all
}

// begin notes that a translation begins.
func (c *recorder) begin() {
	if c != nil {
		c.began = time.Now()
	}
}

// placed records a region that was translated from code that is at va now.
func (c *recorder) placed(r *region, va uint64, instructions int, guestBytes uint32) {
	if c == nil {
		return
	}
	key := recordKey{&r.page.Bytes()[r.off], va, r.variant}
	n := c.by[key]
	if n == nil {
		if len(c.all) >= maxRecords {
			return
		}
		n = &Record{Addr: va, User: r.variant&interp.VariantUser != 0}
		c.by[key] = n
		c.all = append(c.all, n)
		if c.made != nil {
			c.made(n)
		}
	}
	n.Translations++
	n.Time += time.Since(c.began)
	n.Instructions, n.GuestBytes, n.HostBytes = uint64(instructions), uint64(guestBytes), uint64(r.end-r.host+r.coldEnd-r.cold)
	n.last, n.va = r, va
	r.record = n
}

// recordExit counts the exit that was just taken.
func (e *Engine) recordExit() {
	if n := e.leftFrom(); n != nil {
		n.Exits[e.sh.Reason]++
	}
}

// leftFrom is the record of the region that was left last.
func (e *Engine) leftFrom() *Record {
	x := &e.sh.context
	if x.Reason == reasonFault {
		if r, _ := e.instAt(int32(x.FaultRIP - e.arena.Base)); r != nil {
			return r.record
		}
		return nil
	}
	if x.Site >= uint64(e.sites.n) {
		return nil
	}
	return e.owner(e.sites.at(uint32(x.Site))).record
}

// Sampled counts ticks of a profiler for the region that translated code was left
// from last. It is for the CPU's goroutine, where the CPU's Translated is true.
func (e *Engine) Sampled(ticks uint64) {
	if e.rec == nil {
		return
	}
	if n := e.leftFrom(); n != nil {
		n.Samples += ticks
	}
}

// FprintHot writes the n regions that most samples fell into, with the code of the
// guest and of the host side by side. name says what is at a record's address. It may be called
// when the CPU does not run any more, before Close.
func (e *Engine) FprintHot(w io.Writer, n int, name func(*Record) string) {
	var hot []*Record
	total := uint64(0)
	for _, r := range e.Records() {
		if total += r.Samples; r.Samples > 0 {
			hot = append(hot, r)
		}
	}
	slices.SortStableFunc(hot, func(a, b *Record) int { return cmp.Compare(b.Samples, a.Samples) })
	fmt.Fprintf(w, "hottest regions, of %d with samples, %d samples in translated code:\n", len(hot), total)
	for _, r := range hot[:min(n, len(hot))] {
		fmt.Fprintf(w, "\n%.1f%%  %s at %#x: %d samples, translated %d times in %v, %d instructions, %d bytes to %d", 100*float64(r.Samples)/float64(total), name(r), r.Addr,
			r.Samples, r.Translations, r.Time, r.Instructions, r.GuestBytes, r.HostBytes)
		sep := "; left: "
		for i, k := range r.Exits {
			if k != 0 {
				fmt.Fprintf(w, "%s%d %s", sep, k, ExitNames[i])
				sep = ", "
			}
		}
		fmt.Fprintln(w)
		if r.last.dead {
			fmt.Fprintln(w, "  (its code has been dropped since)")
			continue
		}
		e.sideBySide(w, r.last, r.va)
	}
}

// sideBySide writes the code of a region: on the left each instruction of the guest,
// on the right what it became.
func (e *Engine) sideBySide(w io.Writer, r *region, va uint64) {
	wide := r.variant&interp.Variant64 != 0
	code := e.arena.Write
	page := r.page.Bytes()
	base := va - uint64(r.goff)
	row := func(left string, from, to int32) {
		var right []string
		if from < to {
			right = texts(code[from:to], uint64(e.arena.Base)+uint64(from), true)
		}
		for i := 0; i == 0 || i < len(right); i++ {
			text := ""
			if i < len(right) {
				text = right[i]
			}
			line := fmt.Sprintf("  %-58s | %s", left, text)
			fmt.Fprintln(w, strings.TrimRight(line, " "))
			left = ""
		}
	}
	if len(r.insts) == 0 {
		return
	}
	row("", r.host, r.host+r.insts[0].host)
	for i := range r.insts {
		m := &r.insts[i]
		next, end := r.end, r.off+r.size
		if i+1 < len(r.insts) {
			next = r.host + r.insts[i+1].host
			end = r.off + uint32(r.insts[i+1].off)
		}
		off := r.off + uint32(m.off)
		left := "?"
		if off < pageSize && end > off {
			if t := texts(page[off:min(end, pageSize)], base+uint64(r.goff)+uint64(m.off), wide); len(t) > 0 {
				left = t[0]
			}
		}
		row(left, r.host+m.host, next)
	}
	row("out of the way:", r.cold, r.coldEnd)
}

// texts disassembles code at address va, an instruction a string.
func texts(code []byte, va uint64, wide bool) []string {
	var b strings.Builder
	mode := 32
	if wide {
		mode = 64
	}
	var out []string
	for len(code) > 0 {
		in, err := x86asm.Decode(code, mode)
		n, text := in.Len, ""
		if err != nil || n == 0 {
			n, text = 1, fmt.Sprintf("(%02x)", code[0])
		} else {
			text = x86asm.GNUSyntax(in, va, nil)
		}
		b.Reset()
		fmt.Fprintf(&b, "%x: %s", va, text)
		out = append(out, b.String())
		code = code[n:]
		va += uint64(n)
	}
	return out
}
