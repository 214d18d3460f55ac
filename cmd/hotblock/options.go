package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"hotblock/devices/chardev"
	"hotblock/jit"
	"hotblock/machine"
)

// option is one entry of the command line's table.
type option struct {
	name  string
	arg   string // what -help calls its argument; "" where it takes none
	group string
	help  string // lines
	apply func(c *command, v string) error
}

// command is a command line as parsed.
type command struct {
	cfg    *machine.Config
	stdout io.Writer // for -help and its like

	kernelSet  bool
	appendSet  bool
	cmdline    string
	appendRaw  bool
	nographic  bool
	display    string
	serial     []string
	serialSet  bool
	nodefaults bool
	vga        string
	drives     []driveArg
	snapshot   bool
	debugcon   string
	pidfile    string
	traceFile  string
	profiles   []profileArg
}

const (
	groupMachine = "Machine"
	groupBoot    = "What to boot"
	groupDisks   = "Disks"
	groupConsole = "Console, serial ports and screen"
	groupEnd     = "Reboot and end"
	groupDebug   = "Debugging"
	groupHelp    = "Help"
)

var groups = []string{groupBoot, groupMachine, groupDisks, groupConsole, groupEnd, groupDebug, groupHelp}

// options is filled by init, as help texts refer to it.
var options []option

func init() {
	set := func(p func(c *command) *string) func(*command, string) error {
		return func(c *command, v string) error { *p(c) = v; return nil }
	}
	flag := func(f func(c *command)) func(*command, string) error {
		return func(c *command, _ string) error { f(c); return nil }
	}
	disk := func(index int, cdrom bool) func(*command, string) error {
		return func(c *command, v string) error {
			c.drives = append(c.drives, driveArg{Drive: machine.Drive{File: v, Index: index, CDROM: cdrom, ReadOnly: cdrom}, indexSet: true})
			return nil
		}
	}
	options = []option{
		{"kernel", "FILE", groupBoot, "boot this kernel: bzImage, vmlinux, PVH or multiboot; its kind is found by its contents",
			func(c *command, v string) error { c.cfg.Kernel, c.kernelSet = v, true; return nil }},
		{"initrd", "FILE", groupBoot, "initial RAM disk; for multiboot, modules: \"FILE ARGS,FILE ARGS\"",
			set(func(c *command) *string { return &c.cfg.Initrd })},
		{"append", "TEXT", groupBoot, "the kernel's command line. Linux gets " + linuxParameters + " in addition, which\nhalves its boot: it skips the self-tests of its cryptography",
			func(c *command, v string) error { c.cmdline, c.appendSet = v, true; return nil }},
		{"append-raw", "", groupBoot, "leave the command line as -append gives it", flag(func(c *command) { c.appendRaw = true })},
		{"bios", "FILE", groupBoot, "start this firmware (SeaBIOS); the default where there are disks and no -kernel",
			set(func(c *command) *string { return &c.cfg.Firmware })},
		{"boot", "ORDER", groupBoot, "[order=]LETTERS[,once=LETTERS][,menu=on|off], c: disk, d: CD-ROM", applyBoot},

		{"m", "SIZE", groupMachine, "memory, in MiB or with a suffix: 512, 512M, 2G, size=2G (default 1G)", applyMemory},
		{"smp", "N", groupMachine, "number of CPUs; only 1 for now", applySMP},
		{"cpu", "MODEL", groupMachine, "model[,+feature][,-feature][,feature=on|off]; -cpu help lists them", applyCPU},
		{"accel", "NAME", groupMachine, "engine; -accel help lists them", applyAccel},
		{"jit", "OPTIONS", groupMachine, "how -accel jit translates: KEY=VALUE,... of\n" + jit.Usage(), applyJIT},
		{"machine", "TYPE", groupMachine, "pc[,accel=NAME][,acpi=on|off]; -machine help lists them", applyMachine},
		{"M", "TYPE", "", "", applyMachine},
		{"device", "NAME", groupMachine, "add a device; -device help lists them", applyDevice},
		{"fw_cfg", "ITEM", groupMachine, "[name=]opt/NAME,file=FILE or ,string=TEXT: a file for the guest", applyFWCfg},
		{"rtc", "OPTIONS", groupMachine, "[base=utc|localtime|DATE][,clock=host|vm], DATE as 2006-01-02T15:04:05", applyRTC},
		{"no-acpi", "", groupMachine, "no ACPI tables", flag(func(c *command) { c.cfg.ACPI = false })},
		{"nodefaults", "", groupMachine, "no serial port and no VGA unless asked for", flag(func(c *command) { c.nodefaults = true })},
		{"name", "TEXT", groupMachine, "a name for the machine", applyName},
		{"global", "SETTING", groupMachine, "isa-debugcon.iobase=PORT", applyGlobal},
		{"no-user-config", "", "", "", flag(func(*command) {})},
		{"no-fd-bootchk", "", "", "", flag(func(*command) {})},
		{"net", "none", "", "", applyOnlyNone("network device")},
		{"nic", "none", "", "", applyOnlyNone("network device")},
		{"parallel", "none", "", "", applyOnlyNone("parallel port")},

		{"hda", "FILE", groupDisks, "raw image of the first disk (-hdb, -hdc, -hdd: the others)", disk(0, false)},
		{"hdb", "FILE", "", "", disk(1, false)},
		{"hdc", "FILE", "", "", disk(2, false)},
		{"hdd", "FILE", "", "", disk(3, false)},
		{"cdrom", "FILE", groupDisks, "ISO image, as the third drive", disk(2, true)},
		{"drive", "OPTIONS", groupDisks, "file=FILE[,if=ide][,media=disk|cdrom][,index=N][,format=raw][,readonly=on][,snapshot=on]", applyDrive},
		{"snapshot", "", groupDisks, "write to no image: changes are lost at the end", flag(func(c *command) { c.snapshot = true })},

		{"nographic", "", groupConsole, "no screen, first serial port on the terminal (the default)", flag(func(c *command) { c.nographic = true })},
		{"display", "KIND", groupConsole, "none or curses: the VGA's text screen in the terminal", applyDisplay},
		{"curses", "", "", "", func(c *command, _ string) error { return applyDisplay(c, "curses") }},
		{"vga", "KIND", groupConsole, "std or none", applyVGA},
		{"serial", "DEV", groupConsole, "connect a serial port (COM1, then COM2, ...):\n" + chardev.Usage, applySerial},
		{"monitor", "none", groupConsole, "there is no monitor yet; none is accepted", applyOnlyNone("monitor")},
		{"debugcon", "DEV", groupConsole, "connect the debug console, port 0xe9, to one of the same", applyDebugcon},

		{"no-reboot", "", groupEnd, "end where the guest reboots", flag(func(c *command) { c.cfg.NoReboot = true })},
		{"no-shutdown", "", groupEnd, "stop, and do not end, where the guest powers off", flag(func(c *command) { c.cfg.NoShutdown = true })},
		{"action", "EVENT=ACTION", groupEnd, "reboot=reset|shutdown, shutdown=poweroff|pause", applyAction},
		{"pidfile", "FILE", groupEnd, "write the process's number to a file while it runs", set(func(c *command) *string { return &c.pidfile })},

		{"d", "ITEMS", groupDebug, "log these items, separated by commas; -d help lists them", applyTrace},
		{"D", "FILE", groupDebug, "log to a file instead of standard error", set(func(c *command) *string { return &c.traceFile })},

		{"profile", "FILE", groupDebug, profileUsage, applyProfile},

		{"help", "", groupHelp, "this text", func(c *command, _ string) error { printHelp(c.stdout); return errDone }},
		{"h", "", "", "", func(c *command, _ string) error { printHelp(c.stdout); return errDone }},
		{"version", "", groupHelp, "the version", func(c *command, _ string) error {
			fmt.Fprintf(c.stdout, "hotblock version %s\n", version)
			return errDone
		}},
	}
}

// absent names options of QEMU that people may well try, and why they are not
// there.
var absent = map[string]string{
	"enable-kvm": "hardware virtualisation is not used; the engine is in software (-accel help)",
	"accel-kvm":  "hardware virtualisation is not used",
	"netdev":     "there is no network device yet",
	"fda":        "there is no floppy drive",
	"fdb":        "there is no floppy drive",
	"blockdev":   "give the disk with -drive",
	"gdb":        "there is no debugger stub yet",
	"s":          "there is no debugger stub yet",
	"S":          "there is no monitor to start the machine from",
	"qmp":        "there is no monitor yet",
	"loadvm":     "there are no snapshots of machines yet",
	"incoming":   "there are no snapshots of machines yet",
	"daemonize":  "run it in the background with your shell's &",
	"vnc":        "there is no graphical screen; use -display curses or the serial console",
	"usb":        "there is no USB controller",
	"icount":     "there is no instruction counting mode yet",
	"sdl":        "there is no graphical screen; use -display curses or the serial console",
	"gtk":        "there is no graphical screen; use -display curses or the serial console",
}

func findOption(name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}

// parse reads the command line. Where an option is given twice, the last counts,
// but for those that add something.
func parse(args []string, stdout io.Writer) (*command, error) {
	c := &command{cfg: machine.DefaultConfig(), stdout: stdout}
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			if a == "" {
				return nil, fmt.Errorf("an argument is empty")
			}
			// As in QEMU, a word alone is a disk image.
			if err := disk0(c, a); err != nil {
				return nil, err
			}
			continue
		}
		name := strings.TrimPrefix(a[1:], "-")
		o := findOption(name)
		if o == nil {
			if why, ok := absent[name]; ok {
				return nil, fmt.Errorf("%s: %s", a, why)
			}
			var names []string
			for _, o := range options {
				names = append(names, o.name)
			}
			return nil, fmt.Errorf("unknown option %s%s; -help lists them", a, nearest(name, names, "-"))
		}
		v := ""
		if o.arg != "" {
			if i+1 >= len(args) {
				return nil, fmt.Errorf("%s needs an argument: %s %s", a, a, o.arg)
			}
			i++
			v = args[i]
			if v == "" && name != "append" {
				return nil, fmt.Errorf("%s has an empty argument: %s %s", a, a, o.arg)
			}
		}
		if err := o.apply(c, v); err != nil {
			if err == errDone {
				return nil, err
			}
			return nil, fmt.Errorf("-%s %s: %w", o.name, v, err)
		}
	}
	return c, c.finish()
}

func disk0(c *command, file string) error {
	c.drives = append(c.drives, driveArg{Drive: machine.Drive{File: file}, indexSet: true, positional: true})
	return nil
}

// nearest is " (did you mean X?)" where a name is close to one of names.
func nearest(name string, names []string, prefix string) string {
	best, dist := "", 3
	if len(name) < 4 {
		dist = 2
	}
	for _, n := range names {
		if d := editDistance(strings.ToLower(name), strings.ToLower(n)); d < dist && d < len(n) {
			best, dist = n, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s%s?)", prefix, best)
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

const helpHead = `hotblock is a PC in software. Its options are QEMU's, with one dash or two.

usage: hotblock [options] [disk image]
       hotblock fetch [cloud|generic|PACKAGE [PATH]]
       hotblock bench [-quick] [-run REGEX] [options]
       hotblock strategies [-json]
       hotblock flame [options] PROFILE > FLAME.svg

With no options it boots Debian's cloud kernel to a shell; kernel and busybox
come from Debian's archive through apt and are kept in the cache.
In the terminal, Ctrl-a x quits and Ctrl-a h helps.

Examples:
  hotblock
  hotblock -kernel vmlinuz -initrd initrd.img -append "console=ttyS0" -m 512M
  hotblock -cdrom debian.iso -m 1G -display curses
  hotblock -bios /usr/share/seabios/bios-256k.bin -hda disk.img -snapshot
  hotblock -kernel test.elf -device isa-debug-exit -no-reboot -d int -D trace.log
`

const helpTail = `
Subcommands:
  fetch [-refresh] [cloud|generic|PACKAGE [PATH]]
                         get a kernel, or any Debian package, or a file out of
                         one, into the cache, and print where it is
  bench [options]        compare speed natively, in QEMU and in hotblock;
                         bench -help lists the options
  strategies [-json]     list the strategies of the translator, which -jit
                         chooses and bench -strategies compares
  flame [options] PROFILE
                         draw a profile that -profile wrote as a flame graph

Environment:
  HOTBLOCK_CACHE         directory of the cache (default: hotblock in the
                         user's cache directory)

Exit codes: 0 power-off or Ctrl-a x; v<<1|1 where the guest wrote v to
isa-debug-exit; 1 bad input; 128+n ended by signal n.
`

func printHelp(w io.Writer) {
	fmt.Fprint(w, helpHead)
	for _, g := range groups {
		fmt.Fprintf(w, "\n%s:\n", g)
		for _, o := range options {
			if o.group != g {
				continue
			}
			left := "-" + o.name
			if o.arg != "" {
				left += " " + o.arg
			}
			for i, line := range strings.Split(o.help, "\n") {
				if i == 0 && len(left) > 22 {
					fmt.Fprintf(w, "  %s\n", left)
					left = ""
				}
				if i > 0 {
					left = ""
				}
				fmt.Fprintf(w, "  %-22s %s\n", left, line)
			}
		}
	}
	fmt.Fprint(w, helpTail)
}

// finish checks what options mean together.
func (c *command) finish() error {
	cfg := c.cfg
	if c.snapshot {
		for i := range c.drives {
			c.drives[i].Snapshot = !c.drives[i].CDROM
		}
	}
	if err := c.placeDrives(); err != nil {
		return err
	}
	switch {
	case c.nographic && c.display == "curses":
		return fmt.Errorf("-nographic and -display curses contradict each other; give one")
	case c.display == "curses":
		cfg.Display = machine.DisplayCurses
	}
	switch {
	case c.vga != "":
		cfg.VGA = c.vga == "std"
	case c.nodefaults:
		cfg.VGA = false
	}
	if cfg.Display == machine.DisplayCurses && !cfg.VGA {
		return fmt.Errorf("-display curses needs a VGA; leave -vga none out")
	}
	serial := c.serial
	if !c.serialSet && !c.nodefaults || !c.serialSet && c.nographic {
		serial = []string{"mon:stdio"}
		if cfg.Display == machine.DisplayCurses {
			serial = []string{"null"}
		}
	}
	stdio := 0
	for _, s := range append(append([]string(nil), serial...), c.debugcon) {
		if s == "" {
			continue
		}
		spec, err := chardev.Parse(s)
		if err != nil {
			return err
		}
		if spec.Kind == chardev.Stdio {
			stdio++
		}
	}
	if stdio > 1 {
		return fmt.Errorf("two devices want stdio; connect one of -serial and -debugcon elsewhere, such as file:PATH")
	}
	if stdio > 0 && cfg.Display == machine.DisplayCurses {
		return fmt.Errorf("-display curses takes the terminal; connect -serial and -debugcon elsewhere, such as file:PATH")
	}
	for _, s := range serial {
		spec, err := chardev.Parse(s)
		if err != nil {
			return err
		}
		cfg.Serial = append(cfg.Serial, spec)
	}
	if c.debugcon != "" {
		cfg.DebugCon, _ = chardev.Parse(c.debugcon)
	}
	if cfg.Kernel != "" && cfg.Firmware != "" {
		return fmt.Errorf("-kernel %s and -bios %s: give one; a kernel is booted without firmware", cfg.Kernel, cfg.Firmware)
	}
	if cfg.Kernel == "" && (cfg.Firmware != "" || len(cfg.Drives) > 0) {
		switch {
		case c.appendSet:
			return fmt.Errorf("-append needs -kernel: what firmware starts has a command line of its own")
		case cfg.Initrd != "":
			return fmt.Errorf("-initrd needs -kernel: what firmware starts brings its own")
		}
	}
	cfg.Cmdline = c.cmdline
	if !c.appendRaw {
		cfg.CmdlineLinux = linuxParameters
	}
	return nil
}

// linuxParameters are added to a Linux kernel's command line. The self-tests of
// its cryptography are half of a stock kernel's boot. Branch history injection
// needs a branch predictor, which the CPU does not have, but newer kernels clear
// the history at every system call whatever IA32_ARCH_CAPABILITIES says.
const linuxParameters = "cryptomgr.notests spectre_bhi=off"

func quote(s string) string { return strconv.Quote(s) }
