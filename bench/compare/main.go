// Command compare runs the same static program on the host, in a guest in
// hotblock and in the same guest in QEMU TCG, one after the other, and prints how
// many times slower than native each class of work is in both emulators. It also
// times a boot of the stock kernel to the guest's first line.
//
// Usage: go run ./bench/compare [-runs N] [-qemu-cpu MODEL]
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"time"

	"hotblock/boot/fetch"
	"hotblock/boot/initramfs"
	"hotblock/devices/chardev"
	"hotblock/machine"
)

const cmdline = "console=ttyS0 quiet cryptomgr.notests"

// measurements are nanoseconds by class of work, of one run. "boot" is the time
// from the start of the emulator to the first line of init.
type measurements map[string]float64

func main() {
	log.SetFlags(0)
	log.SetPrefix("compare: ")
	runs := flag.Int("runs", 3, "how often each of the three runs, in turn")
	qemuCPU := flag.String("qemu-cpu", "max", "QEMU's CPU model")
	accels := flag.String("accel", "interp", "hotblock's engines, separated by commas")
	flag.Parse()

	dir, err := os.MkdirTemp("", "compare")
	check(err)
	defer os.RemoveAll(dir)
	prog := filepath.Join(dir, "guest")
	build := exec.Command("go", "build", "-o", prog, "hotblock/bench/compare/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
	if out, err := build.CombinedOutput(); err != nil {
		log.Fatalf("%v\n%s", err, out)
	}
	code, err := os.ReadFile(prog)
	check(err)
	rd, err := initramfs.Build(initramfs.Options{Init: code})
	check(err)
	initrd := filepath.Join(dir, "initrd")
	check(os.WriteFile(initrd, rd, 0o600))
	kernel, err := fetch.Kernel(context.Background(), "cloud")
	check(err)

	type runner struct {
		name string
		run  func() measurements
	}
	runners := []runner{{"native", func() measurements { return native(prog) }}}
	if qemu, err := exec.LookPath("qemu-system-x86_64"); err == nil {
		runners = append(runners, runner{"QEMU", func() measurements { return runQEMU(qemu, *qemuCPU, kernel, initrd) }})
	} else {
		log.Print("no qemu-system-x86_64: install it to compare with QEMU")
	}
	for _, a := range strings.Split(*accels, ",") {
		runners = append(runners, runner{a, func() measurements { return runHotblock(a, kernel, initrd) }})
	}
	all := make([][]measurements, len(runners))
	for range *runs {
		for i, r := range runners {
			all[i] = append(all[i], r.run())
		}
	}

	// The table: medians of the ratios of runs that follow each other.
	var classes []string
	for c := range all[0][0] {
		classes = append(classes, c)
	}
	sort.Strings(classes)
	fmt.Printf("\n| class | native ns |")
	for _, r := range runners[1:] {
		fmt.Printf(" %s / native |", r.name)
	}
	fmt.Printf("\n|---|---|%s\n", strings.Repeat("---|", len(runners)-1))
	for _, c := range classes {
		fmt.Printf("| %s | %.1f |", c, median(all[0], func(i int) float64 { return all[0][i][c] }))
		for r := 1; r < len(runners); r++ {
			fmt.Printf(" %.1f |", median(all[r], func(i int) float64 { return all[r][i][c] / all[0][i][c] }))
		}
		fmt.Println()
	}
	fmt.Println()
	for r := 1; r < len(runners); r++ {
		fmt.Printf("boot to init, %s: %.2f s\n", runners[r].name, median(all[r], func(i int) float64 { return all[r][i]["boot"] / 1e9 }))
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func median(m []measurements, f func(int) float64) float64 {
	v := make([]float64, len(m))
	for i := range m {
		v[i] = f(i)
	}
	sort.Float64s(v)
	return v[len(v)/2]
}

// parse takes the results out of the program's output.
func parse(line string, m measurements) {
	if r, ok := strings.CutPrefix(strings.TrimSpace(line), "RESULT "); ok {
		if name, v, ok := strings.Cut(r, "="); ok {
			var ns float64
			if _, err := fmt.Sscan(v, &ns); err == nil {
				m[name] = ns
			}
		}
	}
}

func native(prog string) measurements {
	out, err := exec.Command(prog).Output()
	check(err)
	m := measurements{}
	for line := range strings.Lines(string(out)) {
		parse(line, m)
	}
	return m
}

func runQEMU(qemu, cpu, kernel, initrd string) measurements {
	start := time.Now()
	cmd := exec.Command(qemu, "-accel", "tcg", "-cpu", cpu, "-m", "1G", "-nodefaults", "-nographic", "-serial", "stdio", "-no-reboot",
		"-kernel", kernel, "-initrd", initrd, "-append", cmdline)
	out, err := cmd.StdoutPipe()
	check(err)
	check(cmd.Start())
	m := measurements{}
	s := bufio.NewScanner(out)
	for s.Scan() {
		if strings.Contains(s.Text(), "BOOTED") {
			m["boot"] = float64(time.Since(start))
		}
		parse(s.Text(), m)
	}
	check(cmd.Wait())
	return m
}

func runHotblock(accel, kernel, initrd string) measurements {
	start := time.Now()
	con := &console{m: measurements{}, start: start}
	cfg := machine.DefaultConfig()
	cfg.Accel = accel
	cfg.Kernel, cfg.Initrd, cfg.Cmdline = kernel, initrd, cmdline
	cfg.CmdlineLinux = "spectre_bhi=off"
	cfg.VGA = false
	cfg.NoReboot = true
	cfg.Serial = []chardev.Spec{{}}
	cfg.Host.Serial = []chardev.Backend{con}
	mach, err := machine.New(cfg)
	check(err)
	defer mach.Close()
	exit, err := mach.Run(context.Background())
	check(err)
	if exit.Reason != machine.ExitPowerOff {
		log.Fatalf("hotblock ended with %+v", exit)
	}
	return con.m
}

// console reads results off the guest's serial line.
type console struct {
	mu    sync.Mutex
	line  bytes.Buffer
	m     measurements
	start time.Time
}

func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range p {
		if b != '\n' {
			c.line.WriteByte(b)
			continue
		}
		if bytes.Contains(c.line.Bytes(), []byte("BOOTED")) {
			c.m["boot"] = float64(time.Since(c.start))
		}
		parse(c.line.String(), c.m)
		c.line.Reset()
	}
	return len(p), nil
}

func (c *console) Start(chardev.Frontend) error { return nil }
func (c *console) Room()                        {}
func (c *console) Close() error                 { return nil }
