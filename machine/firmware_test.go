package machine_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/devices/display"
	"hotblock/internal/guesttest"
	"hotblock/machine"
)

// Guests that are not Linux with -kernel: what firmware boots from disks and
// ISOs, and multiboot kernels.

// tool is a program that a test cannot do without.
func tool(t *testing.T, name string) string {
	t.Helper()
	p, err := exec.LookPath(name)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
	return p
}

// assemble returns the path of testdata/name.asm as flat binary.
func assemble(t *testing.T, name string) string {
	t.Helper()
	// What lies in the cache is data, and cannot be executed.
	program, err := os.ReadFile(fetchtest.File(t, "nasm", "usr/bin/nasm"))
	if err != nil {
		t.Fatal(err)
	}
	nasm := filepath.Join(t.TempDir(), "nasm")
	if err := os.WriteFile(nasm, program, 0o755); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), name)
	cmd := exec.Command(nasm, "-f", "bin", "-o", out, filepath.Join("testdata", name+".asm"))
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// firmware is the configuration of a PC with SeaBIOS.
func firmware(t *testing.T, engine string) *machine.Config {
	t.Helper()
	cfg := machine.DefaultConfig()
	cfg.Accel = engine
	cfg.RAM = 128 << 20
	cfg.Firmware = fetchtest.File(t, "seabios", "usr/share/seabios/bios-256k.bin")
	cfg.VGABIOS = fetchtest.File(t, "seabios", "usr/share/seabios/vgabios-stdvga.bin")
	return cfg
}

// screenText is the text screen, a line each, blanks at the ends of lines left
// out.
func screenText(m *machine.Machine) string {
	x := m.Screen().Text()
	if x.Graphics {
		return "(graphics)"
	}
	var s strings.Builder
	for y := range x.Rows {
		line := make([]rune, x.Cols)
		for c := range line {
			line[c] = display.CP437[x.Cells[y*x.Cols+c]&0xff]
		}
		s.WriteString(strings.TrimRight(string(line), " \x00\u00a0") + "\n")
	}
	return s.String()
}

// expectScreen waits until the screen shows what re describes.
func expectScreen(t *testing.T, m *machine.Machine, re string, timeout time.Duration) string {
	t.Helper()
	r := regexp.MustCompile(re)
	for end := time.Now().Add(timeout); ; time.Sleep(20 * time.Millisecond) {
		s := screenText(m)
		if r.MatchString(s) {
			return s
		}
		if time.Now().After(end) {
			t.Fatalf("no %q on the screen in %v:\n%s", re, timeout, s)
		}
	}
}

// wantMultiboot checks what testdata/multiboot.asm prints.
func wantMultiboot(t *testing.T, g *guesttest.Guest, cmdline string, modules []string, upper uint64) {
	t.Helper()
	exit := g.Wait(bootTime)
	out := strings.ReplaceAll(g.Output(), "\r", "")
	if exit.Reason != machine.ExitDebug || exit.Code != 0x2a<<1|1 {
		t.Fatalf("ended with %+v; output:\n%s", exit, out)
	}
	_, out, _ = strings.Cut(out, "multiboot kernel\n")
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	want := append([]string{"command line: " + cmdline}, modules...)
	if len(lines) != len(want)+1 {
		t.Fatalf("output:\n%s", out)
	}
	for i, w := range want {
		if lines[i] != w {
			t.Errorf("line %q, want %q", lines[i], w)
		}
	}
	// ACPI's and firmware's tables take the end of memory.
	var up, low uint64
	if _, err := fmt.Sscanf(lines[len(want)], "upper KiB: %d lower KiB: %d", &up, &low); err != nil || up > upper || up < upper-1024 || low < 600 || low > 640 {
		t.Errorf("memory: %q, want up to %d KiB", lines[len(want)], upper)
	}
	if s := screenText(g.M); !strings.HasPrefix(s, "written to the screen") {
		t.Errorf("the screen shows:\n%s", s)
	}
}

// TestMultiboot boots a multiboot kernel by itself, with modules.
func TestMultiboot(t *testing.T) {
	kernel := assemble(t, "multiboot")
	dir := t.TempDir()
	var mods []string
	for i, text := range []string{"first", "the second one"} {
		p := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		mods = append(mods, p)
	}
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			cfg := machine.DefaultConfig()
			cfg.Accel, cfg.RAM = engine, 64<<20
			cfg.Kernel, cfg.Cmdline = kernel, "a=1 b=two"
			cfg.Initrd = mods[0] + " with args," + mods[1]
			g := guesttest.Start(t, cfg)
			wantMultiboot(t, g, kernel+" a=1 b=two", []string{
				"module: " + mods[0] + " with args holds: first", "module: " + mods[1] + " holds: the second one"}, 63<<10)
		})
	}
}

// rescueISO makes an ISO that GRUB boots from.
func rescueISO(t *testing.T, files map[string][]byte) string {
	t.Helper()
	tool(t, "xorriso")
	mkrescue := tool(t, "grub-mkrescue")
	root := t.TempDir()
	for name, data := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	iso := filepath.Join(t.TempDir(), "boot.iso")
	if out, err := exec.Command(mkrescue, "-d", "/usr/lib/grub/i386-pc", "-o", iso, root).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return iso
}

// TestGRUB boots an ISO as grub-mkrescue makes it: SeaBIOS, El Torito, GRUB, and
// a multiboot kernel from the CD-ROM.
func TestGRUB(t *testing.T) {
	kernel, err := os.ReadFile(assemble(t, "multiboot"))
	if err != nil {
		t.Fatal(err)
	}
	iso := rescueISO(t, map[string][]byte{
		"boot/kernel": kernel,
		"boot/module": []byte("from the CD-ROM"),
		"boot/grub/grub.cfg": []byte(`serial --unit=0 --speed=115200
terminal_output serial
echo "this is GRUB"
multiboot /boot/kernel from=grub
module /boot/module file=module
boot
`),
	})
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			cfg := firmware(t, engine)
			cfg.Drives = []machine.Drive{{File: iso, Index: 2, CDROM: true, ReadOnly: true}}
			g := guesttest.Start(t, cfg)
			g.Expect("this is GRUB", bootTime)
			wantMultiboot(t, g, "from=grub", []string{"module: file=module holds: from the CD-ROM"}, 127<<10)
		})
	}
}

// TestLinuxFromISO is the way of an installer: SeaBIOS, GRUB, and a kernel that
// unpacks itself and finds its machine through the firmware's tables.
func TestLinuxFromISO(t *testing.T) {
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			direct := guesttest.Debian(t, "generic", engine, nil)
			kernel, err := os.ReadFile(direct.Kernel)
			if err != nil {
				t.Fatal(err)
			}
			cfg := firmware(t, engine)
			cfg.RAM = 512 << 20
			cfg.Drives = []machine.Drive{{File: rescueISO(t, map[string][]byte{
				"vmlinuz": kernel,
				"initrd":  direct.InitrdData,
				"boot/grub/grub.cfg": []byte(`linux /vmlinuz console=ttyS0 cryptomgr.notests
initrd /initrd
boot
`),
			}), Index: 2, CDROM: true, ReadOnly: true}}
			g := guesttest.Start(t, cfg)
			g.Expect(guesttest.Prompt, bootTime)
			log, _ := g.Shell("dmesg -r", time.Minute)
			for _, line := range regexp.MustCompile(`(?m)^<[0-4]>.*`).FindAllString(log, -1) {
				t.Error(line)
			}
			for _, want := range []string{"DMI: hotblock", "ACPI: RSDP"} {
				if !strings.Contains(log, want) {
					t.Errorf("no %q in the kernel's log", want)
				}
			}
			powerOff(t, g, time.Minute)
		})
	}
}

// TestBootSector boots a raw disk in real mode, which uses the BIOS's screen,
// disk, memory and serial services.
func TestBootSector(t *testing.T) {
	disk := assemble(t, "bootsector")
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			cfg := firmware(t, engine)
			cfg.Drives = []machine.Drive{{File: disk, Snapshot: true}}
			g := guesttest.Start(t, cfg)
			exit := g.Wait(bootTime)
			s := screenText(g.M)
			if exit.Reason != machine.ExitDebug || exit.Code != 0x15<<1|1 {
				t.Errorf("ended with %+v; the screen:\n%s", exit, s)
			}
			for _, want := range []string{"SeaBIOS (version", "Booting from Hard Disk...", "boot sector runs\n", "second sector runs\n"} {
				if !strings.Contains(s, want) {
					t.Errorf("no %q on the screen:\n%s", want, s)
				}
			}
			if out := g.Output(); out != "second sector on COM1\r\n" {
				t.Errorf("on COM1: %q", out)
			}
		})
	}
}

// TestMemtest runs memtest86+ from its ISO and as a kernel until its tests run.
func TestMemtest(t *testing.T) {
	const running = `(?m)Memtest86\+.*(\n.*)*Test +[1-9][0-9]*%`
	for _, engine := range guesttest.Engines {
		t.Run("iso/"+engine, func(t *testing.T) {
			cfg := firmware(t, engine)
			cfg.Drives = []machine.Drive{{File: fetchtest.File(t, "memtest86+", "usr/lib/memtest86+/memtest86+x64.iso"), Index: 2, CDROM: true, ReadOnly: true}}
			g := guesttest.Start(t, cfg)
			s := expectScreen(t, g.M, running, bootTime)
			if !strings.Contains(s, "Errors: 0") {
				t.Errorf("the screen:\n%s", s)
			}
		})
		t.Run("kernel/"+engine, func(t *testing.T) {
			cfg := machine.DefaultConfig()
			cfg.Accel, cfg.RAM = engine, 64<<20
			cfg.Kernel = fetchtest.File(t, "memtest86+", "boot/memtest86+x64.bin")
			g := guesttest.Start(t, cfg)
			s := expectScreen(t, g.M, running, bootTime)
			if !strings.Contains(s, "Errors: 0") {
				t.Errorf("the screen:\n%s", s)
			}
		})
	}
}
