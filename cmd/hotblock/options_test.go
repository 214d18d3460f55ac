package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"hotblock/devices/chardev"
	"hotblock/machine"
)

func image(t *testing.T, name string) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(p, make([]byte, 1024), 0o666); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestParse(t *testing.T) {
	disk, iso := image(t, "di,sk"), image(t, "iso")
	item := image(t, "item")
	esc := strings.ReplaceAll(disk, ",", ",,")
	stdio := []chardev.Spec{{Kind: chardev.Stdio, Mux: true}}
	tests := []struct {
		args string // parted at "|"
		want func(c *machine.Config)
	}{
		{"", func(c *machine.Config) {}},
		{"-kernel|K|-initrd|I|-append|a b", func(c *machine.Config) { c.Kernel, c.Initrd, c.Cmdline = "K", "I", "a b" }},
		{"--kernel|K|--append|", func(c *machine.Config) { c.Kernel = "K" }},
		{"-kernel|K|-append-raw", func(c *machine.Config) { c.Kernel, c.CmdlineLinux = "K", "" }},
		{"-m|512", func(c *machine.Config) { c.RAM = 512 << 20 }},
		{"-m|64M", func(c *machine.Config) { c.RAM = 64 << 20 }},
		{"-m|size=1.5g", func(c *machine.Config) { c.RAM = 3 << 29 }},
		{"-m|2048K|-m|16M", func(c *machine.Config) { c.RAM = 16 << 20 }},
		{"-smp|1|-smp|cpus=1,cores=1", func(c *machine.Config) {}},
		{"-cpu|x86-64-v2,-sse4.2", func(c *machine.Config) { c.CPU = "x86-64-v2,-sse4.2" }},
		{"-accel|interp|-M|pc,acpi=off,usb=off|-machine|accel=tcg", func(c *machine.Config) { c.ACPI = false }},
		{"-no-acpi|-no-reboot|-no-shutdown", func(c *machine.Config) { c.ACPI, c.NoReboot, c.NoShutdown = false, true, true }},
		{"-action|reboot=shutdown,shutdown=pause", func(c *machine.Config) { c.NoReboot, c.NoShutdown = true, true }},
		{"-bios|B|-boot|dc", func(c *machine.Config) { c.Firmware, c.Boot.Order = "B", "dc" }},
		{"-bios|B|-boot|order=c,once=d,menu=on", func(c *machine.Config) {
			c.Firmware, c.Boot = "B", machine.BootOrder{Order: "c", Once: "d", Menu: true}
		}},
		{"-hdb|" + disk, func(c *machine.Config) { c.Drives = []machine.Drive{{File: disk, Index: 1}} }},
		{disk, func(c *machine.Config) { c.Drives = []machine.Drive{{File: disk}} }},
		{"-cdrom|" + iso + "|-drive|file=" + esc + ",format=raw|-drive|if=ide,index=1,readonly=on,file=" + iso, func(c *machine.Config) {
			c.Drives = []machine.Drive{{File: disk}, {File: iso, Index: 1, ReadOnly: true}, {File: iso, Index: 2, CDROM: true, ReadOnly: true}}
		}},
		{"-drive|bus=1,unit=1,file=" + esc + "|-drive|media=cdrom,file=" + iso + "|-snapshot", func(c *machine.Config) {
			c.Drives = []machine.Drive{{File: iso, CDROM: true, ReadOnly: true}, {File: disk, Index: 3, Snapshot: true}}
		}},
		{"-serial|null|-serial|mon:stdio|-serial|none", func(c *machine.Config) {
			c.Serial = []chardev.Spec{{Kind: chardev.Null}, {Kind: chardev.Stdio, Mux: true}, {}}
		}},
		{"-nodefaults", func(c *machine.Config) { c.Serial, c.VGA = nil, false }},
		{"-nodefaults|-nographic|-vga|std", func(c *machine.Config) {}},
		{"-display|curses", func(c *machine.Config) {
			c.Display, c.Serial = machine.DisplayCurses, []chardev.Spec{{Kind: chardev.Null}}
		}},
		{"-display|none|-monitor|none|-net|none", func(c *machine.Config) {}},
		{"-debugcon|null|-global|isa-debugcon.iobase=0x402", func(c *machine.Config) {
			c.DebugCon, c.DebugConPort = chardev.Spec{Kind: chardev.Null}, 0x402
		}},
		{"-device|isa-debug-exit", func(c *machine.Config) { c.DebugExit = &machine.DebugExit{Port: 0x501, Size: 2} }},
		{"-device|isa-debug-exit,iobase=0xf4,iosize=0x04", func(c *machine.Config) { c.DebugExit = &machine.DebugExit{Port: 0xf4, Size: 4} }},
		{"-fw_cfg|opt/a,string=x,,y|-fw_cfg|name=opt/b,file=" + item, func(c *machine.Config) {
			c.FWCfg = []machine.FWCfgFile{{Name: "opt/a", Data: []byte("x,y")}, {Name: "opt/b", Data: make([]byte, 1024)}}
		}},
		{"-rtc|base=2020-02-29T12:00:00,clock=vm", func(c *machine.Config) {
			c.RTC = machine.RTC{Base: time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC), VM: true}
		}},
		{"-rtc|base=localtime", func(c *machine.Config) { c.RTC.Local = true }},
		{"-name|guest=x,debug-threads=on", func(c *machine.Config) { c.Name = "x" }},
		{"-d|int,guest_errors|-d|mmu", func(c *machine.Config) {
			c.Trace = machine.TraceInt | machine.TraceGuestErrors | machine.TraceMMU
		}},
	}
	for _, x := range tests {
		t.Run(x.args, func(t *testing.T) {
			var args []string
			if x.args != "" {
				args = strings.Split(x.args, "|")
			}
			c, err := parse(args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			want := machine.DefaultConfig()
			want.Serial = stdio
			want.CmdlineLinux = linuxParameters
			x.want(want)
			if !reflect.DeepEqual(c.cfg, want) {
				t.Errorf("\n got %+v\nwant %+v", c.cfg, want)
			}
		})
	}
}

// badInput are command lines that the parser refuses, and a word that the line
// about it has.
func badInput(t *testing.T) map[string]string {
	disk := image(t, "disk")
	qcow := filepath.Join(t.TempDir(), "q")
	os.WriteFile(qcow, append([]byte("QFI\xfb"), make([]byte, 1024)...), 0o666)
	empty := filepath.Join(t.TempDir(), "e")
	os.WriteFile(empty, nil, 0o666)
	return map[string]string{
		"-kernl|x":                            "-kernel",
		"-zzzzz":                              "-zzzzz",
		"-netdev|user":                        "network",
		"-enable-kvm":                         "virtualisation",
		"-kernel":                             "argument",
		"-kernel|":                            "empty",
		"":                                    "empty",
		"-m|lots":                             "512M",
		"-m|-5":                               "512M",
		"-m|1e3":                              "512M",
		"-m|0x100":                            "512M",
		"-m|0":                                "too little",
		"-m|99999999T":                        "more than",
		"-m|99999999999999999999G":            "more than",
		"-m|1G,slots=2":                       "slots",
		"-m|1G,foo=2":                         "foo",
		"-smp|2":                              "one CPU",
		"-smp|zero":                           "zero",
		"-cpu|pentium9":                       "pentium9",
		"-cpu|max,+warp":                      "warp",
		"-accel|kvm":                          "virtualisation",
		"-accel|intrep":                       "interp",
		"-M|q36":                              "q36",
		"-M|pc,usb=on":                        "usb",
		"-M|pc,apci=off":                      "acpi",
		"-device|isa-debug-exti":              "isa-debug-exit",
		"-device|isa-debug-exit,iobase=70000": "70000",
		"-device|isa-debug-exit,iosize=9":     "iosize",
		"-device|isa-debug-exit,foo=9":        "foo",
		"-hda|/nonexistent":                   "/nonexistent",
		"nosuchfile":                          "subcommands",
		"-hda|/":                              "directory",
		"-hda|" + empty:                       "empty",
		"-hda|" + qcow:                        "qcow2",
		"-hda|" + disk + "|-drive|index=0,file=" + disk: "index",
		"-drive|if=ide":                           "file",
		"-drive|file=" + disk + ",if=virtio":      "virtio",
		"-drive|file=" + disk + ",index=4":        "index",
		"-drive|file=" + disk + ",format=qcow2":   "qcow2",
		"-drive|file=" + disk + ",fromat=raw":     "format",
		"-drive|file=" + disk + ",readonly=maybe": "readonly",
		"-boot|n":                         "'n'",
		"-boot|cc":                        "twice",
		"-boot|oder=c":                    "order",
		"-serial|stdoi":                   "stdoi",
		"-serial|tcp:nowhere":             "HOST:PORT",
		"-serial|stdio|-debugcon|stdio":   "stdio",
		"-display|gtk":                    "curses",
		"-display|curses|-serial|stdio":   "terminal",
		"-display|curses|-nographic":      "-nographic",
		"-display|curses|-vga|none":       "VGA",
		"-monitor|stdio":                  "monitor",
		"-nic|user":                       "network",
		"-rtc|base=yesterday":             "yesterday",
		"-rtc|clock=sun":                  "sun",
		"-d|intt":                         "int",
		"-fw_cfg|string=x":                "name",
		"-fw_cfg|opt/x":                   "string=",
		"-fw_cfg|opt/x,file=/nonexistent": "/nonexistent",
		"-fw_cfg|" + strings.Repeat("x", 56) + ",string=": "55",
		"-global|x=y":                           "isa-debugcon.iobase",
		"-action|panic=none":                    "panic=none",
		"-kernel|a|-bios|b":                     "-bios",
		"-bios|b|-append|x":                     "-kernel",
		"-hda|" + disk + "|-initrd|x":           "-kernel",
		"-profile|x,hz=0":                       "hz=0",
		"-profile|x,hz=fast":                    "hz=fast",
		"-profile|x,hz=":                        "hz",
		"-profile|x,khz=1":                      "hz",
		"-profile|hz=100":                       "guest.pb.gz",
		"-profile|x,kind=heap":                  "kind=heap",
		"-profile|x|-profile|y":                 "one profile of each kind",
		"-profile|x,kind=translation,hz=5":      "kind=guest",
		"-profile|x,binaries=/nonexistent":      "/nonexistent",
		"-profile|x,binaries=" + disk:           "not a directory",
		"-profile|x,symbols=/nonexistent":       "/nonexistent",
		"-profile|/nonexistent/x|-kernel|a":     "/nonexistent/x",
		"-profile|/|-kernel|a":                  "directory",
		"-profile|" + disk + "|-kernel|" + disk: "kernel",
		"flame":                                 "one profile",
		"flame|-width|7|x":                      "-width 7",
		"flame|-hue|7|x":                        "-hue",
		"flame|/nonexistent":                    "/nonexistent",
		"flame|" + disk:                         "not a profile",
		"fetch|-fresh":                          "-refresh",
		"fetch|a|b|c":                           "\"c\"",
		"fetch|UPPER":                           "UPPER",
	}
}

func TestBadInput(t *testing.T) {
	for args, word := range badInput(t) {
		var out, errs bytes.Buffer
		code := start(strings.Split(args, "|"), &out, &errs)
		line := errs.String()
		if code != exitBadInput || strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "hotblock: ") || !strings.Contains(line, word) || out.Len() > 0 {
			t.Errorf("%s: code %d, %q, want a line with %q", args, code, line, word)
		}
	}
}

func TestHelp(t *testing.T) {
	for args, word := range map[string]string{
		"-help": "Examples:", "-h": "-kernel FILE", "--help": "Exit codes", "-version": "hotblock version", "-cpu|help": "x86-64-v3",
		"-accel|help": "interp", "-M|help": "pc", "-device|help": "isa-debug-exit", "-d|help": "in_asm", "-display|help": "curses",
		"fetch|-help": "generic", "flame|-help": "usage: hotblock flame",
	} {
		var out, errs bytes.Buffer
		if code := start(strings.Split(args, "|"), &out, &errs); code != 0 || !strings.Contains(out.String(), word) || errs.Len() > 0 {
			t.Errorf("%s: code %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
	var out bytes.Buffer
	printHelp(&out)
	for _, o := range options {
		if o.group != "" && !strings.Contains(out.String(), "  -"+o.name) {
			t.Errorf("-help does not tell of -%s", o.name)
		}
		if o.apply == nil {
			t.Errorf("-%s does nothing", o.name)
		}
	}
	for name := range absent {
		if findOption(name) != nil {
			t.Errorf("-%s is both there and not", name)
		}
	}
}

func TestParseSize(t *testing.T) {
	for in, want := range map[string]uint64{"1": 1 << 20, "1b": 1, "3k": 3 << 10, "7M": 7 << 20, "2G": 2 << 30, "1T": 1 << 40, "0.5G": 1 << 29} {
		if got, err := parseSize(in, 1<<20); err != nil || got != want {
			t.Errorf("%s: %d, %v", in, got, err)
		}
	}
	for _, bad := range []string{"", "M", "1X", "1MM", "nan", "inf", "-1", "+1", "1_000", "0x10", "1e3"} {
		if got, err := parseSize(bad, 1<<20); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("-drive|file=x,,y,if=ide")
	f.Add("-m|1G|-serial|tcp:a:1,server")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parse(strings.Split(s, "|"), io.Discard)
		if err == nil && c == nil || errors.Is(err, errDone) && c != nil {
			t.Error("neither a command nor an error, or both")
		}
	})
}
