package machine_test

import (
	"bufio"
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"hotblock/bench/suite"
	"hotblock/boot/fetch"
	"hotblock/boot/initramfs"
	"hotblock/internal/guesttest"
	"hotblock/machine"
)

// A guest that works for long: it compiles, compresses, hashes, forks and runs
// interpreters in rounds (testdata/soak/round.sh), each with the same input. Every
// round has to give what the host gives with the same programs, and the process has
// to take no more memory after many rounds than after some.

var soak = flag.Duration("soak", 0, "how long TestSoak runs, in place of a few rounds")

// soakRounds is the fewest rounds: one to compare with where the host cannot run the
// programs, one more that may still warm up, and one for the memory.
const soakRounds = 3

// By how many bytes the process may grow from the second third of a run to the last,
// between the rounds of each that took least. What lies above is a saw: the tables of
// what is translated grow with the code cache, and go when it is flushed, which a few
// rounds may not see.
const (
	soakDrift     = 16 << 20
	soakDriftCold = 96 << 20 // where a third has fewer rounds than soakWarm
	soakWarm      = 20
)

// soakMaps is by how many mappings it may grow; the host allows 65530.
const soakMaps = 2000

var soakPackages = []string{"dash", "bash", "coreutils", "grep", "gzip", "xz-utils", "zstd", "gcc-12", "cpp-12", "binutils", "binutils-x86-64-linux-gnu", "libc6-dev", "linux-libc-dev",
	"python3.11-minimal", "perl-base", "lua5.4", "luajit"}

// soakUnused are large files of the packages that no program of a round reads.
var soakUnused = []string{"lto1", "lto-wrapper", "lto-dump", "libasan", "libtsan", "liblsan", "libubsan", "libhwasan", "libgomp", "libitm", "libquadmath",
	"libm-", "libmvec", "usr/include/linux/", "/sys-root/", "gprof", "gold", "dwp"}

// soakTree returns the directory of the programs, and all that the guest gets.
func soakTree(t *testing.T) (dir string, input map[string][]byte) {
	t.Helper()
	cache, err := fetch.Default()
	if err == nil {
		cache.Out = nil
		dir, err = suite.Tree(t.Context(), cache, soakPackages)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	input = suite.Inputs()
	input["text"] = input["text"][:1<<20]
	for _, name := range []string{"round.sh", "main.c"} {
		if input[name], err = os.ReadFile("testdata/soak/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return dir, input
}

// soakShell is a shell command that does a round in a tree, whose directories bench,
// tmp and dev are as it needs them.
func soakShell(tree string) string {
	return "chroot " + tree + ` /bin/sh -c 'rm -rf /tmp/w; mkdir /tmp/w; cd /tmp/w; cp /bench/text .; . /bench/round.sh' 2>&1 | cat`
}

// onHost does a round with the host's processor, and reports whether the host lets it.
func onHost(t *testing.T, tree string, input map[string][]byte) (out string, ok bool) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range input {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The directories of a tree are shared, so the mounts are in a namespace of
	// their own.
	script := fmt.Sprintf(`T=%s
mount --make-rprivate / && mount -t tmpfs none $T/tmp && mount --bind %s $T/bench && mount --bind /dev $T/dev || exit
%s`, tree, dir, soakShell("$T"))
	c := exec.CommandContext(t.Context(), "/bin/sh", "-c", script)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	b, err := c.CombinedOutput()
	if err != nil {
		t.Logf("the host does not run the programs, so rounds are compared with the first only: %v\n%s", err, b)
		return "", false
	}
	return string(b), true
}

// soakMemory is what the process takes.
type soakMemory struct {
	bytes int // resident, but for the guest's memory and code caches, and page tables
	code  int // resident bytes of code caches
	maps  int // mappings
	heap  int // bytes of Go objects, which are a part of bytes
	files int // descriptors
	tasks int // goroutines
}

func (m soakMemory) String() string {
	return fmt.Sprintf("%.1f MiB (%.1f of them Go's heap), %.1f of code, %d mappings, %d files, %d goroutines",
		float64(m.bytes)/(1<<20), float64(m.heap)/(1<<20), float64(m.code)/(1<<20), m.maps, m.files, m.tasks)
}

// measure reads what the process takes after all garbage has been collected.
func measure(t *testing.T) (m soakMemory) {
	t.Helper()
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	m.heap, m.tasks = int(stats.HeapAlloc), runtime.NumGoroutine()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	var into *int
	var ram int
	for in := bufio.NewScanner(bytes.NewReader(b)); in.Scan(); {
		w := strings.Fields(in.Text())
		switch {
		case len(w) >= 5 && !strings.HasSuffix(w[0], ":"): // addresses, permissions, offset, device, inode, and a name
			m.maps++
			switch name := strings.Join(w[5:], " "); {
			case strings.HasPrefix(name, "/memfd:hotblock-ram"):
				into = &ram
			case strings.HasPrefix(name, "/memfd:hotblock-code"):
				into = &m.code
			default:
				into = &m.bytes
			}
		case len(w) == 3 && w[0] == "Rss:":
			n, err := strconv.Atoi(w[1])
			if err != nil {
				t.Fatal(err)
			}
			*into += n << 10
		}
	}
	if ram == 0 {
		t.Error("the guest's memory is not among the mappings: it is counted with the rest")
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if w := strings.Fields(line); len(w) == 3 && w[0] == "VmPTE:" {
			n, err := strconv.Atoi(w[1])
			if err != nil {
				t.Fatal(err)
			}
			m.bytes += n << 10
		}
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	m.files = len(files)
	return m
}

// drift is by how much the least value of a run's last third is more than that of the
// second.
func drift(run []soakMemory, value func(soakMemory) int) int {
	least := func(part []soakMemory) int {
		least := value(part[0])
		for _, m := range part[1:] {
			least = min(least, value(m))
		}
		return least
	}
	n := len(run)
	return least(run[n-n/3:]) - least(run[n/3:n-n/3])
}

// TestSoak runs rounds of work in a guest, for as long as -soak says.
func TestSoak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	engine := cmp.Or(*engineFlag, machine.DefaultAccel)
	tree, input := soakTree(t)
	want, ok := onHost(t, tree, input)
	who := "on the host"

	list, err := suite.Files(tree, "d")
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(f initramfs.File) bool {
		return slices.ContainsFunc(soakUnused, func(part string) bool { return strings.Contains(f.Name, part) })
	})
	for name, data := range input {
		list = append(list, initramfs.File{Name: "d/bench/" + name, Data: data, Mode: 0o644})
	}
	cfg := guesttest.Debian(t, "cloud", engine, nil)
	var archive bytes.Buffer
	if err := initramfs.Write(&archive, list); err != nil {
		t.Fatal(err)
	}
	list = nil
	// The kernel takes several archives behind one another.
	cfg.InitrdData = append(cfg.InitrdData, archive.Bytes()...)
	archive = bytes.Buffer{}
	cfg.RAM = 1 << 30

	g := guesttest.Start(t, cfg)
	g.Expect(guesttest.Prompt, bootTime)
	g.Quiet()
	if out, status := g.Shell("mount --bind /dev /d/dev && mount -t tmpfs none /d/tmp", time.Minute); status != 0 {
		t.Fatalf("mounts: status %d, %s", status, out)
	}
	var run []soakMemory
	start, said := time.Now(), time.Now()
	for n := 1; n <= soakRounds || time.Since(start) < *soak; n++ {
		got, status := g.Shell(soakShell("/d"), bootTime)
		if !ok {
			want, ok, who = got, true, "in round 1"
		}
		if n == 1 {
			for _, bad := range []string{"not found", "annot", "differs", "e3b0c44298fc1c14"} { // the last is SHA-256 of nothing
				if strings.Contains(want, bad) {
					t.Fatalf("%s, a program failed:\n%s", who, want)
				}
			}
		}
		if status != 0 || got != want {
			t.Fatalf("round %d, status %d:\n%s\n%s:\n%s", n, status, got, who, want)
		}
		run = append(run, measure(t))
		if n <= soakRounds || time.Since(said) > time.Minute {
			said = time.Now()
			t.Logf("round %d, after %v: %v", n, time.Since(start).Round(time.Second), run[n-1])
		}
	}
	t.Logf("%d rounds in %v: %v", len(run), time.Since(start).Round(time.Second), run[len(run)-1])
	if out, _ := g.Shell("dmesg | grep -i -e oops -e BUG: -e segfault -e 'general protection' -e 'soft lockup'", time.Minute); out != "" {
		t.Errorf("the kernel complains:\n%s", out)
	}
	powerOff(t, g, bootTime)
	if g.M.JIT != nil {
		c := g.M.JIT.Stats()
		t.Logf("%d regions of %d instructions translated in %v, %d dropped for writes, %d flushes, %d windows", c.Regions, c.Instructions, c.TranslateTime.Round(time.Millisecond), c.Dropped, c.Flushes, c.Promoted)
	}

	by := drift(run, func(m soakMemory) int { return m.bytes })
	maps := drift(run, func(m soakMemory) int { return m.maps })
	t.Logf("from the second third to the last: %+.2f MiB, %+d mappings", float64(by)/(1<<20), maps)
	bound := soakDrift
	if len(run)/3 < soakWarm {
		bound = soakDriftCold
	}
	if by > bound {
		t.Errorf("the process grew by %d KiB, more than %d", by>>10, bound>>10)
	}
	if maps > soakMaps {
		t.Errorf("the process has %d mappings more, bound %d", maps, soakMaps)
	}
	first, last := run[0], run[len(run)-1]
	if last.files > first.files || last.tasks > first.tasks+2 {
		t.Errorf("after the first round: %v; after the last: %v", first, last)
	}
}
