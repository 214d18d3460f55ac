package guestprof

import (
	"bytes"
	"crypto/md5"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/pprof/profile"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/internal/guesttest"
	"hotblock/jit"
)

const bootTime = 5 * time.Minute

// spin compiles testdata/spin for the guest.
func spin(t *testing.T, flags string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "spin")
	cmd := exec.Command("go", "build", "-ldflags", flags, "-o", path, "./testdata/spin")
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// raid6 is a module of the kernel's that is busy while it is loaded: it measures
// which of its functions is the fastest.
func raid6(t *testing.T) []byte {
	t.Helper()
	pkg := strings.Replace(filepath.Base(fetchtest.Kernel(t, "cloud")), "vmlinuz-", "linux-image-", 1)
	b, err := os.ReadFile(fetchtest.File(t, pkg, "lib/modules/*/kernel/lib/raid6/raid6_pq.ko"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestGivenSymbols profiles with a System.map, of a kernel at another address, and
// with the symbols of a program that has none in the guest.
func TestGivenSymbols(t *testing.T) {
	engine := "interp"
	if jit.Available() {
		engine = "jit"
	}
	const id = "-B 0x0123456789abcdef0123456789abcdef01234567"
	boot := func(opt Options, commands ...string) *Profiler {
		g := guesttest.Prepare(t, guesttest.Debian(t, "cloud", engine, map[string][]byte{"bin/spin": spin(t, "-s "+id)}))
		p, err := New(g.M.CPU, opt)
		if err != nil {
			t.Fatal(err)
		}
		p.Start()
		g.Run()
		g.Expect(guesttest.Prompt, bootTime)
		for _, c := range commands {
			if _, status := g.Shell(c, bootTime); status != 0 {
				t.Fatalf("%s: %d", c, status)
			}
		}
		g.Send("poweroff -f\n")
		g.Wait(time.Minute)
		p.Stop()
		return p
	}
	dir := t.TempDir()
	s := boot(Options{}).kernel.syms
	var b bytes.Buffer
	for i, a := range s.addr {
		if kernelHalf(a) {
			a -= 0x3000000
		}
		fmt.Fprintf(&b, "%016x %c %s\n", a, s.typ[s.order[i]], s.nameOf(i))
	}
	mapFile := filepath.Join(dir, "System.map")
	if err := os.WriteFile(mapFile, b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	// The file of that name is of another program; the right one is found by the
	// build ID.
	full := filepath.Join(dir, ".build-id/01/23456789abcdef0123456789abcdef01234567.debug")
	if err := os.MkdirAll(filepath.Dir(full), 0o777); err != nil {
		t.Fatal(err)
	}
	other := bytes.ReplaceAll(spin(t, "-B 0xff"), []byte("main.inner\x00"), []byte("main.wrong\x00"))
	for name, b := range map[string][]byte{full: spin(t, id), filepath.Join(dir, "spin"): other} {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	p := boot(Options{Symbols: mapFile, Binaries: dir}, "spin")
	for i, a := range p.kernel.syms.addr {
		if a != s.addr[i] {
			t.Fatalf("%s is at %#x, should be at %#x", s.nameOf(i), a, s.addr[i])
		}
	}
	checkStacks(t, parsed(t, p.Profile()), engine)

	for name, text := range map[string]string{"text": "what is this\n", "empty": "", "elf": "\x7fELF\x02\x01"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := readSymbols(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFindBinary looks for the files of a program in a directory in all ways, with
// files of other programs in the way.
func TestFindBinary(t *testing.T) {
	const id, rest = "0123456789abcdef0123456789abcdef01234567", "23456789abcdef0123456789abcdef01234567"
	full, stripped, other := spin(t, "-B 0x"+id), spin(t, "-s -B 0x"+id), spin(t, "-B 0xff"+rest)
	debug := debugOf(t, full)
	where := func(b []byte) uint64 { // of the program's outer
		e := readELF(hostFile(bytes.NewReader(b), int64(len(b))))
		if e == nil || e.syms == nil {
			return 0
		}
		for i, a := range e.syms.addr {
			if e.syms.nameOf(i) == "main.outer" {
				return a
			}
		}
		return 0
	}
	at := where(full)
	if at == 0 || at != where(debug) || where(stripped) != 0 {
		t.Fatalf("main.outer is at %#x; in the file of debug information %#x, in the stripped one %#x", at, where(debug), where(stripped))
	}
	for _, c := range []struct {
		name  string
		files map[string][]byte
		id    string
		found bool
	}{
		{"nothing", nil, id, false},
		{"path", map[string][]byte{"usr/bin/spin": full}, id, true},
		{"path without an ID", map[string][]byte{"usr/bin/spin": full}, "", true},
		{"name", map[string][]byte{"spin": full}, id, true},
		{"another program of that path", map[string][]byte{"usr/bin/spin": other}, id, false},
		{"another program of that path, and the name", map[string][]byte{"usr/bin/spin": other, "spin": full}, id, true},
		{"build ID", map[string][]byte{".build-id/01/" + rest + ".debug": full}, id, true},
		{"build ID, debug information alone", map[string][]byte{".build-id/01/" + rest + ".debug": debug}, id, true},
		{"build ID, another program of that name", map[string][]byte{"spin": other, ".build-id/01/" + rest + ".debug": debug}, id, true},
		{"build ID, the stripped program by its path", map[string][]byte{"usr/bin/spin": stripped, ".build-id/01/" + rest + ".debug": debug}, id, true},
		{"build ID of another program", map[string][]byte{".build-id/01/" + rest + ".debug": other}, id, false},
		{"ID as name", map[string][]byte{id: full}, id, true},
		{"ID as name, with .debug", map[string][]byte{id + ".debug": debug}, id, true},
		{"a directory of that name", map[string][]byte{"spin/x": full, id: full}, id, true},
		{"no program", map[string][]byte{"spin": []byte("#!/bin/sh\n"), id: full}, id, true},
		{"a path that leads out", map[string][]byte{"spin": nil}, "../../etc", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range c.files {
				name = filepath.Join(dir, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, b, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			e := findBinary(dir, "/usr/bin/spin", c.id)
			found := e != nil && e.syms != nil
			if found != c.found {
				t.Fatalf("found: %t, want %t", found, c.found)
			}
			if !found {
				return
			}
			bare := false
			for _, b := range c.files {
				bare = bare || bytes.Equal(b, debug)
			}
			if e.id != id || e.bare != bare {
				t.Errorf("build ID %q, without code: %t, want %t", e.id, e.bare, bare)
			}
		})
	}
}

// debugOf returns what objcopy puts into the file of debug information of a program.
func debugOf(t *testing.T, b []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if msg, err := exec.Command("objcopy", "--only-keep-debug", in, out).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "true" {
			t.Skipf("objcopy of binutils makes the file of debug information: %v %s", err, msg)
		}
		t.Fatalf("objcopy: %v\n%s", err, msg)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parsed writes a profile, reads it again, and checks it.
func parsed(t *testing.T, p *profile.Profile) *profile.Profile {
	t.Helper()
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&b)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Fatal(err)
	}
	return p
}

// stackOf is the names of a sample's functions, the innermost first.
func stackOf(s *profile.Sample) (names []string) {
	for _, l := range s.Location {
		names = append(names, l.Line[0].Function.Name)
	}
	return names
}

// index is where a name is in a stack, or -1.
func index(stack []string, name string) int {
	for i, n := range stack {
		if n == name {
			return i
		}
	}
	return -1
}

// TestDebian profiles a boot and a program, on both engines.
func TestDebian(t *testing.T) {
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			if engine == "jit" && !jit.Available() {
				t.Skip("this host cannot run translated code")
			}
			g := guesttest.Prepare(t, guesttest.Debian(t, "cloud", engine, map[string][]byte{"bin/spin": spin(t, ""), "raid6_pq.ko": raid6(t)}))
			p, err := New(g.M.CPU, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if g.M.JIT != nil {
				p.Follow(g.M.JIT)
			}
			p.Start()
			g.Run()
			g.Expect(guesttest.Prompt, bootTime)
			g.Quiet()
			if out, status := g.Shell("spin", bootTime); status != 0 || out != "spun\n" {
				t.Fatalf("spin: %d, %q", status, out)
			}
			if _, status := g.Shell("insmod /raid6_pq.ko", bootTime); status != 0 {
				t.Fatalf("insmod: %d", status)
			}
			sum, _ := g.Shell("grep -v '\\[' /proc/kallsyms | md5sum", bootTime)
			g.Send("poweroff -f\n")
			g.Wait(time.Minute)
			p.Stop()

			checkKallsyms(t, p, strings.Fields(sum))
			prof := parsed(t, p.Profile())
			checkStacks(t, prof, engine)
			checkModule(t, prof)
			if engine == "jit" {
				checkTranslation(t, p, parsed(t, p.TranslationProfile()))
			}
		})
	}
}

// checkKallsyms compares the symbols with those that the guest printed.
func checkKallsyms(t *testing.T, p *Profiler, sum []string) {
	s := p.kernel.syms
	if s == nil || len(sum) == 0 {
		t.Fatalf("the profiler has no symbols, or the guest printed none: %q", sum)
	}
	at := make([]int, len(s.order)) // by the order in the kernel
	for i, n := range s.order {
		at[n] = i
	}
	h := md5.New()
	for n, i := range at {
		fmt.Fprintf(h, "%016x %c %s\n", s.addr[i], s.typ[n], s.nameOf(i))
	}
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != sum[0] {
		t.Errorf("%d symbols with sum %s, /proc/kallsyms has %s", len(at), got, sum[0])
	}
	if p.kernel.btf == nil || p.kernel.orc == nil {
		t.Error("the kernel's type information or unwind tables were not found")
	}
}

// checkStacks looks for what has to be in the profile of the boot and of spin.
func checkStacks(t *testing.T, p *profile.Profile, engine string) {
	var kernel, rooted, inner, outer, entered, translated int64
	seen := map[string]bool{}
	for _, s := range p.Sample {
		n, stack := s.Value[0], stackOf(s)
		comm := strings.Join(s.Label["comm"], "")
		for _, name := range stack {
			seen[name] = true
		}
		if s.Label["tier"][0] == "translated" {
			translated += n
		}
		if s.Label["ring"][0] == "ring0" && comm != "" {
			kernel += n
			switch root := stack[len(stack)-1]; {
			case root == "ret_from_fork", strings.HasPrefix(root, "secondary_startup_64"), s.Location[len(stack)-1].Address>>63 == 0:
				rooted += n
			}
		}
		if comm != "spin" {
			continue
		}
		if s.NumLabel["pid"][0] <= 1 || s.NumLabel["tid"][0] < s.NumLabel["pid"][0] || s.Label["vcpu"][0] != "cpu0" {
			t.Errorf("labels of spin: %v, %v", s.Label, s.NumLabel)
		}
		switch i := index(stack, "main.inner"); {
		case i < 0:
		case s.Label["ring"][0] == "ring3":
			if inner += n; i+2 < len(stack) && stack[i+1] == "main.outer" && stack[i+2] == "main.main" {
				outer += n
			}
		}
		if s.Label["ring"][0] == "ring0" && index(stack, "ksys_read") >= 0 && index(stack, "main.main") > index(stack, "ksys_read") {
			entered += n
		}
	}
	for _, name := range []string{"start_kernel", "kernel_init_freeable", "do_syscall_64", "main.main"} {
		if !seen[name] {
			t.Errorf("%s is in no stack", name)
		}
	}
	if inner == 0 || outer < inner*9/10 {
		t.Errorf("%d samples in main.inner, %d with its callers", inner, outer)
	}
	if entered == 0 {
		t.Error("no stack leads from read in the kernel to main.main")
	}
	if kernel == 0 || rooted < kernel*8/10 {
		t.Errorf("of %d samples in the kernel, %d have a root", kernel, rooted)
	}
	if (translated > 0) != (engine == "jit") {
		t.Errorf("%d samples in translated code", translated)
	}
}

// checkModule looks for the module.
func checkModule(t *testing.T, p *profile.Profile) {
	var in, named, rooted int64
	for _, s := range p.Sample {
		if l := s.Location[0]; l.Mapping.File == "[raid6_pq]" {
			in += s.Value[0]
			if name := l.Line[0].Function.Name; strings.HasPrefix(name, "raid6_") || name == "init_module" { // that waits for the others' times to end
				named += s.Value[0]
			}
			if index(stackOf(s), "do_init_module") > 0 {
				rooted += s.Value[0]
			}
		}
	}
	if in == 0 || named < in*9/10 || rooted < in*9/10 {
		t.Errorf("%d samples in raid6_pq, %d with its names, %d below do_init_module", in, named, rooted)
	}
}

// checkTranslation looks at what the translator did.
func checkTranslation(t *testing.T, p *Profiler, prof *profile.Profile) {
	var sum [7]int64
	exits := map[string]int64{}
	for _, s := range prof.Sample {
		for i, v := range s.Value {
			sum[i] += v
		}
		if e := s.Label["exit"]; len(e) > 0 {
			exits[e[0]] += s.Value[5]
		}
	}
	st := p.jit.Stats()
	if sum[0] == 0 || sum[0] > int64(st.Regions) {
		t.Errorf("%d translations, the translator counted %d", sum[0], st.Regions)
	}
	if exits["interpreter"] == 0 || exits["tlb miss"] == 0 || sum[6] == 0 {
		t.Errorf("exits %v, %d ns running", exits, sum[6])
	}
	for r := range p.regions {
		if p.regions[r].img == nil {
			t.Fatalf("a region at %#x is in nothing", r.Addr)
		}
	}
	var out strings.Builder
	p.WriteHot(&out, 5)
	if text := out.String(); !strings.HasPrefix(text, "hottest regions") || !strings.Contains(text, " | ") || !strings.Contains(text, "translated") {
		t.Errorf("hot regions:\n%s", text)
	}
}
