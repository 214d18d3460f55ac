package interp

// Tracing, as QEMU's -d does it: what is asked for is written to Log.Out, one
// event a line, with code disassembled by x86asm.

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"golang.org/x/arch/x86/x86asm"

	"hotblock/mmu"
	"hotblock/x86"
)

// LogItem is a category of tracing.
type LogItem uint32

// Categories of tracing.
const (
	LogInt         LogItem = 1 << iota // exceptions and interrupts
	LogExec                            // every basic block before it runs
	LogInAsm                           // every basic block when it is decoded
	LogMMU                             // page faults
	LogGuestErrors                     // what no correct guest does
	LogCPU                             // registers before every basic block, with LogExec
	LogFPU                             // those of x87, SSE and AVX too, with LogCPU
	LogReset                           // registers at a triple fault
	LogUnimp                           // what is not implemented
)

// Log is where tracing goes. A zero Items traces nothing.
type Log struct {
	Items LogItem
	Out   io.Writer
	mu    sync.Mutex
}

func (l *Log) has(i LogItem) bool { return l.Items&i != 0 }

// Printf writes a line if item is traced. It may be called from any goroutine.
func (l *Log) Printf(item LogItem, format string, args ...any) {
	if l.Items&item == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.Out, format+"\n", args...)
}

func (l *Log) guestError(format string, args ...any) {
	if l.Items&LogGuestErrors != 0 {
		l.Printf(LogGuestErrors, format, args...)
	}
}

func (l *Log) exec(c *CPU) {
	l.Printf(LogExec, "Trace %d: %04x:%016x", c.ID, c.Seg[x86.CS].Sel, c.RIP)
	if l.has(LogCPU) {
		l.Printf(LogCPU, "%s", c.Dump())
		if l.has(LogFPU) {
			l.Printf(LogFPU, "%s", c.dumpFPU())
		}
	}
}

func (l *Log) exception(c *CPU, vec uint8, code uint32) {
	if vec == x86.ExcPF && l.has(LogMMU) && !l.has(LogInt) {
		l.Printf(LogMMU, "page fault at %#x for %#x, code %#x", c.RIP, c.CR2, code)
	}
	if l.has(LogInt) {
		l.Printf(LogInt, "v=%02x #%s e=%04x cpl=%d IP=%04x:%016x SP=%04x:%016x CR2=%016x", vec, x86.ExcNames[min(int(vec), 19)], code, c.CPL,
			c.Seg[x86.CS].Sel, c.RIP, c.Seg[x86.SS].Sel, c.R[x86.RSP], c.CR2)
	}
}

func (l *Log) interrupt(c *CPU, vec uint8) {
	if l.has(LogInt) {
		l.Printf(LogInt, "v=%02x interrupt cpl=%d IP=%04x:%016x SP=%04x:%016x", vec, c.CPL, c.Seg[x86.CS].Sel, c.RIP, c.Seg[x86.SS].Sel, c.R[x86.RSP])
	}
}

func (l *Log) tripleFault(c *CPU) {
	l.Printf(LogInt, "triple fault")
	if l.has(LogReset) {
		l.Printf(LogReset, "%s", c.Dump())
	}
}

func (l *Log) inAsm(c *CPU, p *codePage, blk []Op) {
	if !l.has(LogInAsm) {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "IN: %#x", c.ripAt(blk[0].off))
	for i := range blk {
		if o := &blk[i]; o.len != 0 {
			code := p.bytes[o.off:min(int(o.off)+int(o.len), mmu.PageSize)]
			ip := c.ripAt(o.off)
			fmt.Fprintf(&b, "\n%#016x:  %-30x %s", ip, code, Disassemble(code, int(16<<c.mode), ip))
		}
	}
	l.Printf(LogInAsm, "%s", b.String())
}

// Disassemble returns one instruction in GNU syntax, or its bytes where x86asm
// does not know it. bits is 16, 32 or 64.
func Disassemble(code []byte, bits int, ip uint64) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprintf(".byte %# x", code)
		}
	}()
	in, err := x86asm.Decode(code, bits)
	if err != nil || in.Op == 0 || in.Len != len(code) {
		return fmt.Sprintf(".byte %# x", code)
	}
	return x86asm.GNUSyntax(in, ip, nil)
}

// dumpFPU shows the registers of x87, SSE and AVX.
func (c *CPU) dumpFPU() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FCW=%04x FSW=%04x FTW=%02x MXCSR=%08x", c.FCW, c.FSW, c.FTW, c.MXCSR)
	for i := range c.FPFrac {
		sep := " "
		if i%2 == 0 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "%sR%d=%04x %016x", sep, i, c.FPExp[i], c.FPFrac[i])
	}
	for i, v := range c.V {
		fmt.Fprintf(&b, "\nYMM%02d=%016x %016x %016x %016x", i, v[3], v[2], v[1], v[0])
	}
	return b.String()
}

// Dump shows the registers, in the layout of QEMU's.
func (c *CPU) Dump() string {
	var b strings.Builder
	names := [16]string{"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", "R8 ", "R9 ", "R10", "R11", "R12", "R13", "R14", "R15"}
	for i, order := range []int{0, 3, 1, 2, 6, 7, 5, 4, 8, 9, 10, 11, 12, 13, 14, 15} {
		sep := " "
		if i%4 == 3 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "%s=%016x%s", names[order], c.R[order], sep)
	}
	fmt.Fprintf(&b, "RIP=%016x RFL=%08x CPL=%d HLT=%d\n", c.RIP, c.RFLAGS(), c.CPL, b2u(c.Halted))
	for i, n := range []string{"ES", "CS", "SS", "DS", "FS", "GS"} {
		s := &c.Seg[i]
		fmt.Fprintf(&b, "%s =%04x %016x %08x %04x\n", n, s.Sel, s.Base, s.Limit, s.Attr)
	}
	fmt.Fprintf(&b, "LDT=%04x %016x %08x %04x\nTR =%04x %016x %08x %04x\n", c.LDTR.Sel, c.LDTR.Base, c.LDTR.Limit, c.LDTR.Attr, c.TR.Sel, c.TR.Base, c.TR.Limit, c.TR.Attr)
	fmt.Fprintf(&b, "GDT=     %016x %08x\nIDT=     %016x %08x\n", c.GDTR.Base, c.GDTR.Limit, c.IDTR.Base, c.IDTR.Limit)
	fmt.Fprintf(&b, "CR0=%08x CR2=%016x CR3=%016x CR4=%08x EFER=%016x", c.CR0, c.CR2, c.CR3, c.CR4, c.EFER)
	return b.String()
}
