package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"hotblock/devices/chardev"
	"hotblock/interp"
	"hotblock/machine"
	"hotblock/x86"
)

// keyVal is one "key=value" of an argument. A key alone has no value.
type keyVal struct {
	key, val string
	has      bool // there was a "="
}

// keyVals takes QEMU's "first,key=value,key" apart; ",," is a comma. Where the
// first part has no "=", and implied is not empty, it is the value of that key.
func keyVals(s, implied string) []keyVal {
	var parts []string
	var cur strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == ',' {
			if i+1 < len(s) && s[i+1] == ',' {
				cur.WriteByte(',')
				i++
				continue
			}
			parts = append(parts, cur.String())
			cur.Reset()
			continue
		}
		cur.WriteByte(s[i])
	}
	parts = append(parts, cur.String())
	var out []keyVal
	for i, p := range parts {
		k, v, has := strings.Cut(p, "=")
		if i == 0 && !has && implied != "" {
			k, v, has = implied, p, true
		}
		out = append(out, keyVal{k, v, has})
	}
	return out
}

func (kv keyVal) onOff() (bool, error) {
	switch {
	case !kv.has, kv.val == "on", kv.val == "yes", kv.val == "true":
		return true, nil
	case kv.val == "off", kv.val == "no", kv.val == "false":
		return false, nil
	}
	return false, fmt.Errorf("%s must be on or off, not %s", kv.key, quote(kv.val))
}

func unknownKey(key string, known ...string) error {
	if key == "" {
		return errors.New("there is an empty part between commas")
	}
	return fmt.Errorf("unknown option %s%s; there are %s", quote(key), nearest(key, known, ""), strings.Join(known, ", "))
}

// parseSize reads a size in bytes. A number alone counts unit; fractions are
// possible with a suffix.
func parseSize(s string, unit uint64) (uint64, error) {
	bad := fmt.Errorf("%s is not a size; give a number of MiB, or one with a suffix: 512M, 2G", quote(s))
	num := s
	if s != "" {
		if i := strings.IndexByte("BKMGT", strings.ToUpper(s)[len(s)-1]); i >= 0 {
			unit = 1 << (10 * i)
			num = s[:len(s)-1]
		}
	}
	if n, err := strconv.ParseUint(num, 10, 64); err == nil {
		if n > math.MaxUint64/unit {
			return 0, fmt.Errorf("%s is more than any machine has", s)
		}
		return n * unit, nil
	} else if errors.Is(err, strconv.ErrRange) {
		return 0, fmt.Errorf("%s is more than any machine has", s)
	}
	f, err := strconv.ParseFloat(num, 64)
	if err != nil || math.IsNaN(f) || f < 0 || strings.ContainsAny(num, "eExXpPnN_+") {
		return 0, bad
	}
	if f *= float64(unit); f >= 1<<63 {
		return 0, fmt.Errorf("%s is more than any machine has", s)
	}
	return uint64(f), nil
}

const minRAM = 1 << 20

func applyMemory(c *command, v string) error {
	for _, kv := range keyVals(v, "size") {
		switch kv.key {
		case "size":
			n, err := parseSize(kv.val, 1<<20)
			if err != nil {
				return err
			}
			n &^= 4095
			if n < minRAM {
				return fmt.Errorf("%s is too little memory for a PC; give at least 1M", kv.val)
			}
			if host := hostMemory(); host > 0 && n > host {
				return fmt.Errorf("%d MiB is more than the %d MiB this host has; give less", n>>20, host>>20)
			}
			c.cfg.RAM = n
		case "slots", "maxmem":
			return fmt.Errorf("memory cannot be plugged in while the machine runs; leave %s out", kv.key)
		default:
			return unknownKey(kv.key, "size")
		}
	}
	return nil
}

func applySMP(c *command, v string) error {
	for _, kv := range keyVals(v, "cpus") {
		switch kv.key {
		case "cpus", "cores", "threads", "sockets", "maxcpus", "dies", "clusters":
			n, err := strconv.ParseUint(kv.val, 10, 32)
			if err != nil || n == 0 {
				return fmt.Errorf("%s is not a number of CPUs", quote(kv.val))
			}
			if n > 1 {
				return fmt.Errorf("only one CPU is possible for now; leave -smp out or give 1")
			}
		default:
			return unknownKey(kv.key, "cpus", "cores", "threads", "sockets", "maxcpus")
		}
	}
	return nil
}

func applyCPU(c *command, v string) error {
	if v == "help" || v == "?" {
		fmt.Fprintln(c.stdout, "CPU models:")
		for _, l := range x86.ModelNames() {
			fmt.Fprintf(c.stdout, "  %s\n", l)
		}
		fmt.Fprintln(c.stdout, "\nFeatures, to be added with +name and taken away with -name:")
		printColumns(c.stdout, x86.FeatureNames())
		return errDone
	}
	if _, err := x86.ParseModel(v, interp.Supports); err != nil {
		return err
	}
	c.cfg.CPU = v
	return nil
}

func printColumns(w io.Writer, names []string) {
	line := " "
	for _, n := range names {
		if len(line)+1+len(n) > 78 {
			fmt.Fprintln(w, line)
			line = " "
		}
		line += " " + n
	}
	fmt.Fprintln(w, line)
}

const accelHelp = `Engines:
  jit      interpreter and translator of hot code to host code; on Linux, for CPUs
           with BMI2 (the default there)
  interp   interpreter, on every host
  tcg      QEMU's name for translation in software; means the default
`

func applyAccel(c *command, v string) error {
	for i, kv := range keyVals(v, "accel") {
		if i > 0 || kv.key != "accel" {
			return unknownKey(kv.key, "accel")
		}
		switch kv.val {
		case "help", "?":
			fmt.Fprint(c.stdout, accelHelp)
			return errDone
		case "interp":
			c.cfg.Accel = "interp"
		case "tcg":
			c.cfg.Accel = machine.DefaultAccel
		case "jit":
			c.cfg.Accel = "jit"
		case "kvm", "hvf", "whpx", "xen", "nvmm":
			return fmt.Errorf("hardware virtualisation is not used; -accel help lists the engines")
		default:
			return fmt.Errorf("unknown engine %s%s; -accel help lists them", quote(kv.val), nearest(kv.val, []string{"interp", "jit", "tcg"}, ""))
		}
	}
	return nil
}

// applyJIT reads how the translator works; package jit knows the keys.
func applyJIT(c *command, v string) error {
	for _, kv := range keyVals(v, "") {
		if err := c.cfg.JIT.Set(kv.key, kv.val); err != nil {
			return err
		}
	}
	return nil
}

func applyMachine(c *command, v string) error {
	for _, kv := range keyVals(v, "type") {
		switch kv.key {
		case "type":
			switch kv.val {
			case "help", "?":
				fmt.Fprint(c.stdout, "Machines:\n  pc   PC with a 440FX host bridge (the default)\n")
				return errDone
			case "pc":
			default:
				return fmt.Errorf("unknown machine %s; pc is the only one", quote(kv.val))
			}
		case "accel":
			if err := applyAccel(c, kv.val); err != nil {
				return err
			}
		case "acpi":
			on, err := kv.onOff()
			if err != nil {
				return err
			}
			c.cfg.ACPI = on
		case "usb", "vmport", "smm", "dump-guest-core", "mem-merge", "graphics":
			// Absent here, so that only "off" is true; harmless otherwise.
			if on, err := kv.onOff(); err != nil {
				return err
			} else if on && kv.key != "dump-guest-core" && kv.key != "mem-merge" && kv.key != "graphics" {
				return fmt.Errorf("this machine has no %s", kv.key)
			}
		default:
			return unknownKey(kv.key, "type", "accel", "acpi")
		}
	}
	return nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		return 0, fmt.Errorf("%s is not an I/O port; give 0 to 0xffff", quote(s))
	}
	return uint16(n), nil
}

func applyDevice(c *command, v string) error {
	kvs := keyVals(v, "driver")
	switch name := kvs[0].val; name {
	case "help", "?":
		fmt.Fprint(c.stdout, "Devices:\n  isa-debug-exit[,iobase=0x501][,iosize=2]\n"+
			"                a guest's write of v ends the process with code v<<1|1\n")
		return errDone
	case "isa-debug-exit":
		d := machine.DebugExit{Port: machine.DebugExitPort, Size: machine.DebugExitPortSize}
		for _, kv := range kvs[1:] {
			n, err := uint16(0), error(nil)
			switch kv.key {
			case "iobase", "iosize":
				if n, err = parsePort(kv.val); err != nil {
					return err
				}
				if kv.key == "iobase" {
					d.Port = n
				} else if d.Size = n; n == 0 || n > 4 {
					return fmt.Errorf("iosize must be 1 to 4, not %d", n)
				}
			case "id":
			default:
				return unknownKey(kv.key, "iobase", "iosize", "id")
			}
		}
		c.cfg.DebugExit = &d
		return nil
	default:
		return fmt.Errorf("unknown device %s%s; -device help lists them", quote(name), nearest(name, []string{"isa-debug-exit"}, ""))
	}
}

func applyGlobal(c *command, v string) error {
	key, val, _ := strings.Cut(v, "=")
	if key != "isa-debugcon.iobase" {
		return fmt.Errorf("unknown setting %s; there is isa-debugcon.iobase", quote(key))
	}
	n, err := parsePort(val)
	if err == nil {
		c.cfg.DebugConPort = n
	}
	return err
}

const maxFWCfg = 64 << 20

func applyFWCfg(c *command, v string) error {
	var name, file, text string
	var hasText bool
	for _, kv := range keyVals(v, "name") {
		switch kv.key {
		case "name":
			name = kv.val
		case "file":
			file = kv.val
		case "string":
			text, hasText = kv.val, true
		default:
			return unknownKey(kv.key, "name", "file", "string")
		}
	}
	switch {
	case name == "":
		return errors.New("the item's name is missing: name=opt/org.example/item")
	case len(name) > 55:
		return fmt.Errorf("the item's name has %d bytes; 55 is the most", len(name))
	case (file == "") == !hasText:
		return errors.New("give the item's contents, by either file= or string=")
	}
	data := []byte(text)
	if file != "" {
		var err error
		if data, err = readSmall(file, maxFWCfg); err != nil {
			return err
		}
	}
	c.cfg.FWCfg = append(c.cfg.FWCfg, machine.FWCfgFile{Name: name, Data: data})
	return nil
}

func readSmall(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, cause(path, "cannot be opened", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, cause(path, "cannot be read", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, limit>>20)
	}
	return b, nil
}

// cause says what failed with a file, without the system call's name.
func cause(path, what string, err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Errorf("%s %s: %w", path, what, err)
}

func applyRTC(c *command, v string) error {
	for _, kv := range keyVals(v, "") {
		switch kv.key {
		case "base":
			switch kv.val {
			case "utc":
				c.cfg.RTC.Local, c.cfg.RTC.Base = false, time.Time{}
			case "localtime":
				c.cfg.RTC.Local, c.cfg.RTC.Base = true, time.Time{}
			default:
				t, err := time.Parse("2006-01-02T15:04:05", kv.val)
				if err != nil {
					t, err = time.Parse("2006-01-02", kv.val)
				}
				if err != nil {
					return fmt.Errorf("%s is no start time; give utc, localtime, 2006-01-02 or 2006-01-02T15:04:05", quote(kv.val))
				}
				c.cfg.RTC.Base = t
			}
		case "clock":
			switch kv.val {
			case "host", "rt":
				c.cfg.RTC.VM = false
			case "vm":
				c.cfg.RTC.VM = true
			default:
				return fmt.Errorf("unknown clock %s; there are host and vm", quote(kv.val))
			}
		case "driftfix":
			if kv.val != "none" {
				return fmt.Errorf("driftfix can only be none")
			}
		default:
			return unknownKey(kv.key, "base", "clock")
		}
	}
	return nil
}

func applyName(c *command, v string) error {
	for _, kv := range keyVals(v, "guest") {
		switch kv.key {
		case "guest":
			c.cfg.Name = kv.val
		case "process", "debug-threads":
		default:
			return unknownKey(kv.key, "guest")
		}
	}
	return nil
}

func applyBoot(c *command, v string) error {
	letters := func(s string) (string, error) {
		for _, r := range s {
			switch r {
			case 'c', 'd':
			case 'a', 'b', 'n', 'o', 'p':
				return "", fmt.Errorf("boot device %q is not there; c is the disk, d the CD-ROM", r)
			default:
				return "", fmt.Errorf("unknown boot device %q; c is the disk, d the CD-ROM", r)
			}
			if strings.Count(s, string(r)) > 1 {
				return "", fmt.Errorf("boot device %q is given twice", r)
			}
		}
		return s, nil
	}
	for _, kv := range keyVals(v, "order") {
		var err error
		switch kv.key {
		case "order":
			c.cfg.Boot.Order, err = letters(kv.val)
		case "once":
			c.cfg.Boot.Once, err = letters(kv.val)
		case "menu":
			c.cfg.Boot.Menu, err = kv.onOff()
		case "strict", "splash", "splash-time", "reboot-timeout":
		default:
			err = unknownKey(kv.key, "order", "once", "menu")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func applyOnlyNone(what string) func(*command, string) error {
	return func(_ *command, v string) error {
		if v != "none" && v != "null" {
			return fmt.Errorf("there is no %s yet; only none is possible", what)
		}
		return nil
	}
}

func applyDisplay(c *command, v string) error {
	for i, kv := range keyVals(v, "type") {
		if i > 0 {
			return unknownKey(kv.key, "type")
		}
		switch kv.val {
		case "help", "?":
			fmt.Fprint(c.stdout, "Displays:\n  none     no screen (the default)\n  curses   the VGA's text screen in the terminal\n")
			return errDone
		case "none", "curses":
			c.display = kv.val
		case "gtk", "sdl", "cocoa", "vnc", "spice-app", "egl-headless", "dbus":
			return errors.New("there is no graphical screen; use curses or none")
		default:
			return fmt.Errorf("unknown display %s; -display help lists them", quote(kv.val))
		}
	}
	return nil
}

func applyVGA(c *command, v string) error {
	switch v {
	case "std", "none":
		c.vga = v
		return nil
	}
	return fmt.Errorf("unknown VGA %s; there are std and none", quote(v))
}

func applySerial(c *command, v string) error {
	c.serialSet = true
	if _, err := chardev.Parse(v); err != nil {
		return trimQuoted(err, v)
	}
	if len(c.serial) == machine.MaxSerial {
		return fmt.Errorf("a PC has %d serial ports, all of which are given already", machine.MaxSerial)
	}
	c.serial = append(c.serial, v)
	return nil
}

func applyDebugcon(c *command, v string) error {
	if _, err := chardev.Parse(v); err != nil {
		return trimQuoted(err, v)
	}
	c.debugcon = v
	return nil
}

// trimQuoted takes the argument off a message that will be printed behind it.
func trimQuoted(err error, v string) error {
	return errors.New(strings.TrimPrefix(err.Error(), quote(v)+": "))
}

func applyAction(c *command, v string) error {
	for _, kv := range keyVals(v, "") {
		switch kv.key + "=" + kv.val {
		case "reboot=reset":
			c.cfg.NoReboot = false
		case "reboot=shutdown":
			c.cfg.NoReboot = true
		case "shutdown=poweroff":
			c.cfg.NoShutdown = false
		case "shutdown=pause":
			c.cfg.NoShutdown = true
		default:
			return fmt.Errorf("unknown action %s; there are reboot=reset, reboot=shutdown, shutdown=poweroff and shutdown=pause", quote(kv.key+"="+kv.val))
		}
	}
	return nil
}

func applyTrace(c *command, v string) error {
	if v == "help" || v == "?" {
		fmt.Fprintln(c.stdout, "Log items (comma separated):")
		for _, t := range machine.TraceItems {
			fmt.Fprintf(c.stdout, "  %-14s %s\n", t.Name, t.Help)
		}
		return errDone
	}
	var names []string
	for _, t := range machine.TraceItems {
		names = append(names, t.Name)
	}
next:
	for _, n := range strings.Split(v, ",") {
		for _, t := range machine.TraceItems {
			if t.Name == n {
				c.cfg.Trace |= t.Item
				continue next
			}
		}
		return fmt.Errorf("unknown log item %s%s; -d help lists them", quote(n), nearest(n, names, ""))
	}
	return nil
}

// driveArg is a drive as the command line gives it.
type driveArg struct {
	machine.Drive
	indexSet   bool
	formatRaw  bool
	positional bool
}

var driveKeys = []string{"file", "if", "media", "index", "bus", "unit", "format", "readonly", "snapshot", "id", "cache"}

func applyDrive(c *command, v string) error {
	d := driveArg{}
	bus, unit := -1, -1
	readOnly := false
	for _, kv := range keyVals(v, "") {
		var err error
		switch kv.key {
		case "file":
			d.File = kv.val
		case "if":
			switch kv.val {
			case "ide":
			case "virtio", "scsi", "sd", "mtd", "floppy", "pflash", "none", "xen":
				err = fmt.Errorf("interface %s is not there yet; use if=ide", kv.val)
			default:
				err = fmt.Errorf("unknown interface %s; use if=ide", quote(kv.val))
			}
		case "media":
			switch kv.val {
			case "disk":
				d.CDROM = false
			case "cdrom":
				d.CDROM = true
			default:
				err = fmt.Errorf("unknown medium %s; there are disk and cdrom", quote(kv.val))
			}
		case "index", "bus", "unit":
			n, e := strconv.ParseUint(kv.val, 10, 8)
			limit := map[string]uint64{"index": machine.MaxDrives, "bus": 2, "unit": 2}[kv.key]
			if e != nil || n >= limit {
				err = fmt.Errorf("%s must be 0 to %d, not %s", kv.key, limit-1, quote(kv.val))
				break
			}
			switch kv.key {
			case "index":
				d.Index, d.indexSet = int(n), true
			case "bus":
				bus = int(n)
			case "unit":
				unit = int(n)
			}
		case "format":
			if kv.val != "raw" {
				err = fmt.Errorf("image format %s is not supported; convert it: qemu-img convert -O raw", quote(kv.val))
			}
			d.formatRaw = true
		case "readonly", "read-only":
			readOnly, err = kv.onOff()
		case "snapshot":
			d.Snapshot, err = kv.onOff()
		case "id", "cache", "aio", "discard", "detect-zeroes", "werror", "rerror", "cache.direct", "cache.no-flush", "serial":
			// They tune what the host does; nothing here depends on them.
		default:
			err = unknownKey(kv.key, driveKeys...)
		}
		if err != nil {
			return err
		}
	}
	if d.File == "" {
		return errors.New("the image is missing: file=FILE")
	}
	if bus >= 0 || unit >= 0 {
		d.Index, d.indexSet = max(bus, 0)*2+max(unit, 0), true
	}
	d.ReadOnly = readOnly || d.CDROM
	c.drives = append(c.drives, d)
	return nil
}

// placeDrives gives drives without an index one, and looks at their images.
func (c *command) placeDrives() error {
	used := map[int]string{}
	for pass := 0; pass < 2; pass++ {
		for i := range c.drives {
			d := &c.drives[i]
			if d.indexSet != (pass == 0) {
				continue
			}
			if pass == 1 {
				for d.Index = 0; used[d.Index] != ""; d.Index++ {
				}
				if d.Index >= machine.MaxDrives {
					return fmt.Errorf("%s: the PC has %d drives, all of which are taken", d.File, machine.MaxDrives)
				}
			}
			if other := used[d.Index]; other != "" {
				return fmt.Errorf("%s and %s both want to be drive %d; give one another index", other, d.File, d.Index)
			}
			used[d.Index] = d.File
			if err := checkImage(d); err != nil {
				return err
			}
		}
	}
	sort.Slice(c.drives, func(i, j int) bool { return c.drives[i].Index < c.drives[j].Index })
	for _, d := range c.drives {
		c.cfg.Drives = append(c.cfg.Drives, d.Drive)
	}
	return nil
}

// foreign are image formats that would be misread as raw.
var foreign = []struct{ magic, name string }{
	{"QFI\xfb", "qcow2"}, {"KDMV", "VMDK"}, {"conectix", "VHD"}, {"vhdxfile", "VHDX"}, {"<<< Oracle VM VirtualBox", "VDI"},
}

func checkImage(d *driveArg) error {
	st, err := os.Stat(d.File)
	if err != nil {
		hint := ""
		if d.positional && errors.Is(err, fs.ErrNotExist) {
			hint = " (a word alone is a disk image; -help lists options and subcommands)"
		}
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fmt.Errorf("%s: cannot open disk image: %w%s", d.File, err, hint)
	}
	if st.IsDir() {
		return fmt.Errorf("%s: is a directory, not a disk image", d.File)
	}
	flag := os.O_RDWR
	if d.ReadOnly || d.Snapshot {
		flag = os.O_RDONLY
	}
	f, err := os.OpenFile(d.File, flag, 0)
	if err != nil {
		if flag == os.O_RDWR && errors.Is(err, fs.ErrPermission) {
			return fmt.Errorf("%s: disk image cannot be written; add readonly=on or -snapshot", d.File)
		}
		return cause(d.File, "cannot be opened", err)
	}
	defer f.Close()
	if st.Mode().IsRegular() && st.Size() < 512 {
		return fmt.Errorf("%s: disk image of %d bytes is empty or truncated; one sector has 512", d.File, st.Size())
	}
	if d.formatRaw {
		return nil
	}
	head := make([]byte, 32)
	n, _ := io.ReadFull(f, head)
	for _, t := range foreign {
		if strings.HasPrefix(string(head[:n]), t.magic) {
			return fmt.Errorf("%s: is a %s image; convert it: qemu-img convert -O raw", d.File, t.name)
		}
	}
	return nil
}
