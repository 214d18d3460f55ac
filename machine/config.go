package machine

import (
	"fmt"
	"io"
	"strings"
	"time"

	"hotblock/devices/chardev"
	"hotblock/jit"
)

// Defaults of a Config.
const (
	DefaultRAM        = 1 << 30 // bytes
	DefaultCPU        = "max"
	MaxSerial         = 4
	MaxDrives         = 4 // two IDE channels of two
	DebugConPort      = 0xe9
	DebugExitPort     = 0x501
	DebugExitPortSize = 2
)

// Config says what PC to build and what to run on it: everything that the
// command line can say. Its zero value is not a machine; DefaultConfig is.
type Config struct {
	Name    string // for people; may be empty
	Machine string // "pc"
	Accel   string // the engine: "interp" or "jit"
	JIT     jit.Config
	CPU     string // QEMU's -cpu argument: a model, then features to add and take away
	CPUs    int    // 1
	RAM     uint64 // bytes, a whole number of 4 KiB pages, at least 1 MiB
	ACPI    bool   // the machine has ACPI tables
	VGA     bool   // the machine has a VGA adapter

	// Direct boot. Kernel is a path; an empty one means that Firmware, which is
	// one too, starts what the drives hold. Initrd is a path, or a list for a
	// multiboot kernel; where InitrdData is set, it is the contents.
	Kernel     string
	Initrd     string
	InitrdData []byte
	Cmdline    string
	// CmdlineLinux is added to the command line of a Linux kernel by direct
	// boot (boot.Params).
	CmdlineLinux string
	Firmware     string
	// VGABIOS is the path of the VGA's option ROM, which firmware runs; empty:
	// none.
	VGABIOS string

	Drives []Drive // sorted by Index
	Boot   BootOrder
	FWCfg  []FWCfgFile

	// Serial is what each port, COM1 to COM4, is connected to. Kind None means
	// that there is no such port.
	Serial []chardev.Spec
	// DebugCon is what port DebugConPort prints to.
	DebugCon     chardev.Spec
	DebugConPort uint16
	DebugExit    *DebugExit
	Display      Display
	RTC          RTC

	NoReboot   bool // a reset ends Run with ExitReset
	NoShutdown bool // a power-off stops the machine and does not end Run

	Trace Trace

	Host Host
}

// DefaultAccel is the fastest engine that this host has.
var DefaultAccel = func() string {
	if jit.Available() {
		return "jit"
	}
	return "interp"
}()

// SetEngine chooses the engine: "interp", or "jit" with settings of package jit
// behind commas, as in "jit,threshold=1".
func (c *Config) SetEngine(s string) error {
	name, settings, _ := strings.Cut(s, ",")
	switch name {
	case "interp":
		if settings != "" {
			return fmt.Errorf("engine interp has no settings; take %q away", settings)
		}
	case "jit":
		for kv := range strings.SplitSeq(settings, ",") {
			if kv == "" {
				continue
			}
			key, val, _ := strings.Cut(kv, "=")
			if err := c.JIT.Set(key, val); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("unknown engine %q", name)
	}
	c.Accel = name
	return nil
}

// DefaultConfig is the PC of an empty command line.
func DefaultConfig() *Config {
	return &Config{Machine: "pc", Accel: DefaultAccel, JIT: jit.DefaultConfig, CPU: DefaultCPU, CPUs: 1, RAM: DefaultRAM, ACPI: true, VGA: true,
		DebugConPort: DebugConPort, Boot: BootOrder{Order: "cd"}}
}

// Host is what the command opened on the host for the machine. The machine
// starts back ends (Start, once the device is there); the command closes them.
type Host struct {
	Serial   []chardev.Backend // as Config.Serial; nil where there is no port
	DebugCon chardev.Backend   // nil: no debug console
	Trace    io.Writer         // where Config.Trace goes; nil: nowhere
	Messages io.Writer         // remarks for the user, a line each; nil: nowhere
}

// Drive is an image on an IDE channel.
type Drive struct {
	File     string
	Index    int  // 0 and 1 on the first channel, 2 and 3 on the second
	CDROM    bool // an ATAPI CD-ROM drive, which is always read-only
	ReadOnly bool
	Snapshot bool // writes are kept in memory and lost at the end
}

// BootOrder is for firmware: QEMU's -boot.
type BootOrder struct {
	Order string // letters: c disk, d CD-ROM
	Once  string // the same, for the first boot only; empty: Order
	Menu  bool
}

// FWCfgFile is a file that the guest reads through fw_cfg.
type FWCfgFile struct {
	Name string // at most 55 bytes
	Data []byte
}

// DebugExit is QEMU's isa-debug-exit: a guest's write of v ends Run with code
// v<<1|1.
type DebugExit struct {
	Port uint16
	Size uint16 // ports it takes
}

// Display is how the screen is shown.
type Display uint8

// Displays.
const (
	DisplayNone Display = iota
	DisplayCurses
)

// RTC says what the real-time clock shows at start.
type RTC struct {
	Local bool      // local time and not UTC
	Base  time.Time // zero: now
	VM    bool      // runs with the machine, and stops when that is stopped
}

// start is the date that the clock begins with, its fields as the guest sees
// them.
func (r RTC) start() time.Time {
	t := r.Base
	if t.IsZero() {
		t = time.Now()
	}
	if r.Local {
		t = t.Local()
		_, off := t.Zone()
		return t.UTC().Add(time.Duration(off) * time.Second)
	}
	return t.UTC()
}

// Trace is a set of events to log: QEMU's -d.
type Trace uint32

// Trace items.
const (
	TraceInAsm       Trace = 1 << iota // guest code as it is first decoded
	TraceInt                           // interrupts and exceptions
	TraceExec                          // each basic block as it is executed
	TraceCPU                           // registers before each basic block
	TraceFPU                           // with the FPU's
	TraceMMU                           // page faults and page walks that fail
	TraceReset                         // CPU state at resets
	TraceGuestErrors                   // what no sane guest does
	TraceUnimp                         // what is not implemented
	TraceJIT                           // what the translator did, at the end
	TraceOutAsm                        // code that was translated
	TraceHot                           // the hottest of it, at the end; by whoever profiles the machine
)

// TraceItem is a name for -d.
type TraceItem struct {
	Name string
	Item Trace
	Help string
}

// TraceItems lists the names for -d.
var TraceItems = []TraceItem{
	{"in_asm", TraceInAsm, "guest code, disassembled, as it is first decoded"},
	{"int", TraceInt, "interrupts and exceptions, in short form"},
	{"exec", TraceExec, "address of each basic block as it is executed (a lot of output)"},
	{"cpu", TraceCPU, "registers before each basic block (much more)"},
	{"fpu", TraceFPU, "include the FPU's registers in cpu"},
	{"mmu", TraceMMU, "page faults and failing page walks"},
	{"cpu_reset", TraceReset, "CPU state before each reset"},
	{"guest_errors", TraceGuestErrors, "guests doing what makes no sense, such as touching devices that are not there"},
	{"out_asm", TraceOutAsm, "disassembly of what is translated, guest and host"},
	{"hot", TraceHot, "the hottest translated code, sampled, guest and host side by side, at the end"},
	{"jit", TraceJIT, "counters of the translator, at the end"},
	{"unimp", TraceUnimp, "use of what is not implemented"},
}

// Reason is why Run ended.
type Reason uint8

// Reasons.
const (
	ExitPowerOff Reason = iota
	ExitReset           // with Config.NoReboot
	ExitDebug           // by isa-debug-exit
	ExitQuit            // the context was cancelled
)

// Exit is how a machine ended.
type Exit struct {
	Reason Reason
	Code   int // of the process: 0, or for ExitDebug v<<1|1, as a byte
}
