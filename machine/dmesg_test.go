package machine_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"hotblock/internal/guesttest"
	"hotblock/machine"
)

// TestKernelHasNoComplaints boots Debian's kernels on machines of several kinds
// and reads the kernel's log: nothing in it may be a warning or worse. On
// QEMU's pc it has one, about PCI configuration space that ACPI does not
// describe.
func TestKernelHasNoComplaints(t *testing.T) {
	complaint := regexp.MustCompile(`(?m)^<[0-4]>.*`)
	for _, v := range []struct {
		name, flavour string
		change        func(c *machine.Config)
	}{
		{"cloud", "cloud", func(*machine.Config) {}},
		{"generic", "generic", func(*machine.Config) {}},
		{"8G", "cloud", func(c *machine.Config) { c.RAM = 8 << 30 }},
		{"96M", "cloud", func(c *machine.Config) { c.RAM = 96 << 20 }},
		{"no VGA", "cloud", func(c *machine.Config) { c.VGA = false }},
		{"x86-64-v1", "cloud", func(c *machine.Config) { c.CPU = "x86-64-v1" }},
		{"x86-64-v2", "cloud", func(c *machine.Config) { c.CPU = "x86-64-v2" }},
		{"x86-64-v3", "cloud", func(c *machine.Config) { c.CPU = "x86-64-v3" }},
	} {
		for _, engine := range guesttest.Engines {
			t.Run(v.name+"/"+engine, func(t *testing.T) {
				cfg := guesttest.Debian(t, v.flavour, engine, nil)
				v.change(cfg)
				g := guesttest.Start(t, cfg)
				g.Expect(guesttest.Prompt, bootTime)
				log, _ := g.Shell("dmesg -r", time.Minute)
				if !strings.Contains(log, "Linux version") {
					t.Fatalf("no log: %q", log)
				}
				for _, line := range complaint.FindAllString(log, -1) {
					t.Error(line)
				}
				if !strings.Contains(log, "DMI: hotblock") {
					t.Error("the kernel found no SMBIOS tables")
				}
			})
		}
	}
}
