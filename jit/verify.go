package jit

import (
	"fmt"
	"strings"

	"golang.org/x/arch/x86/x86asm"

	"hotblock/interp"
	"hotblock/x86"
	"hotblock/x86/decode"
)

// Verification: the interpreter rehearses each region from the same state as the
// translation, and both must end with the same registers, flags and memory.
//
// Regions are neither linked nor entered by the jump cache, so each run of one is
// seen. A region that has been compared often is compared at times only. The rehearsal follows the region's own instructions and stops where
// control leaves them, and before an instruction that faults or that cannot be
// taken back; the translation has to leave at the same place. Regions with x87
// functions, whose results differ between processors, are not compared, and of the x87
// pointers nothing is.

// A Difference is where translated code did not do what the interpreter did.
type Difference struct{ Text string }

// Error returns the description: registers, memory and both disassemblies.
func (d *Difference) Error() string { return d.Text }

// runVerified is Run with every region verified.
func (e *Engine) runVerified(r *region) {
	c, x := e.cpu, &e.sh.context
	for {
		start := c.RIP
		var want *interp.Rehearsal
		if r.runs++; !r.inexact && (e.cfg.Verify == VerifyAll || r.runs <= 32 || r.runs&63 == 0 && r.runs < 4096 || r.runs&1023 == 0) {
			want = e.rehearse(r)
		}
		before := c.State
		e.in()
		x.RBase = c.RIP - uint64(r.goff)
		e.useStack(r.variant)
		e.call(e.enter, r.direct)
		ip, interpret := e.exit()
		for ip == retryIP {
			ip, interpret = e.retry()
		}
		e.settle()
		e.out(ip)
		if want != nil {
			e.compare(r, start, &before, want, interpret)
		}
		if interpret {
			c.Interpret()
			if c.Attention() {
				return
			}
		}
		if r = e.region(); r == nil || !e.goOn() {
			return
		}
	}
}

// rehearse has the interpreter go through a region.
func (e *Engine) rehearse(r *region) *interp.Rehearsal {
	c := e.cpu
	base := c.RIP - uint64(r.goff)
	i := 0
	return c.Rehearse(func() bool {
		if i == len(r.insts) || c.RIP != base+uint64(r.goff)+uint64(r.insts[i].off) {
			return false
		}
		i++
		return true
	})
}

// compare panics where the CPU's state is not what the rehearsal ended with.
func (e *Engine) compare(r *region, start uint64, before *x86.State, want *interp.Rehearsal, interpret bool) {
	c := e.cpu
	var out strings.Builder
	differ := func(what string, got, want, before any) {
		fmt.Fprintf(&out, "  %-8s %#v, interpreter %#v, before %#v\n", what, got, want, before)
	}
	if want.Cut {
		return
	}
	done := len(want.Steps) - 1
	inside := e.insideString(r, start, want)
	if interpret || inside != 0 {
		// Translated code may leave earlier: where an access crosses pages, say.
		for i := range want.Steps {
			if want.Steps[i].RIP == c.RIP {
				done = i
				break
			}
		}
	}
	if siteKind(e.sh.Reason) == sitePoll && inside == 0 {
		// A call is polled for before it begins.
		for i := range done {
			if want.Steps[i].RIP == c.RIP && want.Steps[done].RIP != c.RIP {
				done = i
				break
			}
		}
	}
	w := &want.Steps[done]
	if inside != 0 {
		w = e.partly(w, want, inside)
	}
	if c.RIP != w.RIP {
		differ("RIP", c.RIP, w.RIP, start)
	}
	leaked := leakedFlags(r.checks[:min(done, len(r.checks))])
	for i := range 16 {
		if i == x86.R11 && leaked != 0 && (c.R[i]^w.R[i])&^leaked == 0 {
			continue
		}
		if c.R[i] != w.R[i] {
			differ(regNames[i], c.R[i], w.R[i], before.R[i])
		}
	}
	e.stats.Verified++
	// The flags that nobody reads any more are not kept up to an instruction that
	// leaves in the middle.
	got := c.ArithFlags()
	end := c.State
	c.State = w.State
	flags := c.ArithFlags()
	c.State = end
	mask := uint64(arith)
	if interpret || inside != 0 {
		if done < len(r.checks) {
			mask &= uint64(r.checks[done].live)
		} else {
			mask &= uint64(r.endLive)
		}
	}
	if inside&stringCompare != 0 {
		mask = 0 // those of a comparison on the way
	}
	mask &^= undefinedAfter(r.checks[:done])
	if (got^flags)&mask != 0 {
		differ("flags", got, flags, mask)
	}
	for i := range c.V {
		if c.V[i] != w.V[i] {
			differ(fmt.Sprintf("YMM%d", i), c.V[i], w.V[i], before.V[i])
		}
	}
	sticky := uint32(0)
	if e.sh.Reason == reasonFault {
		sticky = 0x3f // an unmasked exception has set its flags; the interpreter will
	}
	if (c.MXCSR^w.MXCSR)&^sticky != 0 {
		differ("MXCSR", c.MXCSR, w.MXCSR, before.MXCSR)
	}
	if e.sh.Reason == reasonFault && c.FSW == w.FSW&^0x3800 && c.FTW == 0xff {
		// A conversion to an MMX register that raises #XM has entered MMX; it will
		// with the interpreter.
		c.FSW, c.FTW = w.FSW, w.FTW
	}
	if c.FCW != w.FCW || c.FSW != w.FSW || c.FTW != w.FTW {
		differ("x87", fmt.Sprintf("%x", [3]uint16{c.FCW, c.FSW, uint16(c.FTW)}), fmt.Sprintf("%x", [3]uint16{w.FCW, w.FSW, uint16(w.FTW)}),
			fmt.Sprintf("%x", [3]uint16{before.FCW, before.FSW, uint16(before.FTW)}))
	}
	for i := range c.FPFrac {
		if c.FPFrac[i] != w.FPFrac[i] || c.FPExp[i] != w.FPExp[i] {
			differ(fmt.Sprintf("R%d", i), fmt.Sprintf("%x:%x", c.FPExp[i], c.FPFrac[i]), fmt.Sprintf("%x:%x", w.FPExp[i], w.FPFrac[i]),
				fmt.Sprintf("%x:%x", before.FPExp[i], before.FPFrac[i]))
		}
	}
	if c.Flags != w.Flags {
		differ("RFLAGS", c.Flags, w.Flags, before.Flags)
	}
	if c.CPL != w.CPL {
		differ("CPL", c.CPL, w.CPL, before.CPL)
	}
	if c.Seg != w.Seg {
		differ("segments", fmt.Sprintf("%x", c.Seg), fmt.Sprintf("%x", w.Seg), fmt.Sprintf("%x", before.Seg))
	}
	if c.KernelGSBase != w.KernelGSBase {
		differ("KernelGSBase", c.KernelGSBase, w.KernelGSBase, before.KernelGSBase)
	}
	for i := range w.Writes {
		if m := &want.Writes[i]; !m.Same() && !accessed(m) && !m.SameBut(leaked) && !overwritten(want.Writes[i+1:w.Writes], m) {
			differ(fmt.Sprintf("[%#x]", m.VA), m.Now(), m.New[:m.Size], m.Old[:m.Size])
		}
	}
	if out.Len() != 0 {
		panic(&Difference{fmt.Sprintf("translated code differs from the interpreter, at %#x:\n%s%s", start, out.String(), e.listing(r, start))})
	}
}

// insideString is the use of the string instruction with REP that a region was
// left at, for the interpreter or a poll; it may have been done in part.
func (e *Engine) insideString(r *region, start uint64, want *interp.Rehearsal) stringUse {
	if k := siteKind(e.sh.Reason); k != siteMiss && k != sitePoll && k != siteCallout {
		return 0
	}
	for i := range r.insts {
		if rep := r.checks[i].rep; rep != 0 && start+uint64(r.insts[i].off) == e.cpu.RIP {
			return rep
		}
	}
	return 0
}

// partly is a step moved on by as much of a string instruction as has been done.
func (e *Engine) partly(w *interp.RehearsedStep, want *interp.Rehearsal, u stringUse) *interp.RehearsedStep {
	p := *w
	n := w.R[x86.RCX] - e.cpu.R[x86.RCX]
	if n > w.R[x86.RCX] {
		return w // it shows as a difference
	}
	p.R[x86.RCX] -= n
	if u&stringSrc != 0 {
		p.R[x86.RSI] += n * uint64(u&stringSize)
	}
	if u&stringDst != 0 {
		p.R[x86.RDI] += n * uint64(u&stringSize)
	}
	if !e.wideCode() {
		for _, i := range [...]int{x86.RCX, x86.RSI, x86.RDI} {
			if p.R[i] != w.R[i] {
				p.R[i] = uint64(uint32(p.R[i]))
			}
		}
	}
	if u&stringStores != 0 {
		p.Writes = int(min(uint64(w.Writes)+n, uint64(len(want.Writes))))
	}
	return &p
}

// wideCode reports whether the code is of 64 bits.
func (e *Engine) wideCode() bool { return e.cpu.DecodeMode() == decode.Mode64 }

// accessed reports whether a write differs from what is there now by no more than
// the accessed and dirty bits that a later page walk may have set in it.
func accessed(m *interp.RehearsedWrite) bool {
	for i, b := range m.Now() {
		if d := b ^ m.New[i]; d&^0x60 != 0 || d != 0 && (m.VA+uint64(i))%4 != 0 {
			return false
		}
	}
	return true
}

// overwritten reports whether a later write touches the same memory.
func overwritten(later []interp.RehearsedWrite, m *interp.RehearsedWrite) bool {
	for i := range later {
		if later[i].Overlaps(m) {
			return true
		}
	}
	return false
}

var regNames = [16]string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"}

// addChecks notes what verification needs of the region's instructions.
func (t *translator) addChecks() {
	t.r.checks = make([]instCheck, t.n)
	for i := range t.n {
		g := &t.insts[i]
		c := &t.r.checks[i]
		*c = instCheck{g.live, g.e.FlagsWritten, (g.e.FlagsUndefined | g.e.FlagsMaybe) & arith, 0, g.x.Op == opPushf || g.x.Op == opSyscall}
		if g.e.Class == decode.ClassString && g.x.Rep != 0 {
			c.rep = t.stringUseOf(&g.x)
		}
	}
}

// undefinedAfter is the set of flags that are undefined when instructions have
// run: those that one leaves undefined and none defines after.
func undefinedAfter(insts []instCheck) uint64 {
	var u uint16
	for i := range insts {
		u = u&^insts[i].defined | insts[i].undefined
	}
	return uint64(u)
}

// leakedFlags is the set of flags that were undefined where an instruction stored
// them.
func leakedFlags(insts []instCheck) (leaked uint64) {
	for i := range insts {
		if insts[i].flags {
			leaked |= undefinedAfter(insts[:i])
		}
	}
	return leaked
}

// listing is the disassembly of a region, guest and host.
func (e *Engine) listing(r *region, va uint64) string {
	var b strings.Builder
	b.WriteString("guest:\n")
	disasm(&b, r.page.Bytes()[r.off:min(r.off+r.size, pageSize)], va, r.variant&interp.Variant64 != 0)
	b.WriteString("host:\n")
	disasm(&b, e.arena.Write[r.host:r.end], uint64(e.arena.Base)+uint64(r.host), true)
	b.WriteString("host, out of the way:\n")
	disasm(&b, e.arena.Write[r.cold:r.coldEnd], uint64(e.arena.Base)+uint64(r.cold), true)
	return b.String()
}

// disasm writes the disassembly of code at address va.
func disasm(b *strings.Builder, code []byte, va uint64, wide bool) {
	mode := 32
	if wide {
		mode = 64
	}
	for len(code) > 0 {
		in, err := x86asm.Decode(code, mode)
		n, text := in.Len, ""
		if err != nil || n == 0 {
			n, text = 1, "?"
		} else {
			text = x86asm.GNUSyntax(in, va, nil)
		}
		fmt.Fprintf(b, "  %#x: %-30x %s\n", va, code[:n], text)
		code = code[n:]
		va += uint64(n)
	}
}
