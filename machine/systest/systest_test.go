// Package systest runs small guest programs that test what a processor does
// beside computing: exceptions, paging, segmentation, tasks, debug registers,
// interrupts, code that changes itself.
//
// Each program in testdata is assembled with nasm, run on every engine and,
// where qemu-system-x86_64 is installed, under QEMU as well. All must print the
// same and end with PASS. Directives are comment lines of the source:
//
//	; qemu-differs: reason     QEMU's output is not looked at
//	; qemu-cpu: name           QEMU's -cpu argument, in place of max
//	; cpu: name                the CPU argument here, in place of max
//	; ends: reset              the program ends in a reset and prints no PASS
package systest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/devices/chardev"
	"hotblock/internal/guesttest"
	"hotblock/machine"
)

// engines are what programs run on, as machine.Config.SetEngine takes it: the last ones
// have another strategy of the translator each, and are left out by -short.
func engines() []string {
	e := []string{"interp", "jit,threshold=1", "jit,threshold=2,verify=all"}
	if !testing.Short() {
		for _, s := range guesttest.Strategies() {
			e = append(e, s+",threshold=1")
		}
	}
	return e
}

// limit is how long a program may run. None takes more than a few seconds.
const limit = time.Minute

// result is what a program did.
type result struct {
	output string
	code   int // of the process; 1 is the programs' success
	reset  bool
}

// sink collects the debug console.
type sink struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buf.Len()+len(p) > 1<<20 {
		return len(p), nil
	}
	return s.buf.Write(p)
}

func (s *sink) Start(chardev.Frontend) error { return nil }
func (s *sink) Room()                        {}
func (s *sink) Close() error                 { return nil }

func TestPrograms(t *testing.T) {
	nasm := findNASM(t)
	qemu, _ := exec.LookPath("qemu-system-x86_64")
	files, err := filepath.Glob("testdata/*.asm")
	if err != nil || len(files) == 0 {
		t.Fatal("no programs in testdata: ", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".asm"), func(t *testing.T) {
			t.Parallel()
			p := load(t, f)
			img := assemble(t, nasm, f)
			var failed []uint64
			defer func() { showLines(t, img+".lst", failed) }()
			var want *result
			if qemu != "" && p["qemu-differs"] == "" {
				r := runQEMU(t, qemu, img, p)
				failed = append(failed, p.check(t, "QEMU", r)...)
				want = &r
			}
			for _, e := range engines() {
				r := runHere(t, e, img, p)
				failed = append(failed, p.check(t, e, r)...)
				if want != nil && r.output != want.output {
					t.Errorf("%s and QEMU disagree.\n%s:\n%s\nQEMU:\n%s", e, e, r.output, want.output)
				}
			}
		})
	}
}

// directives are the comment lines of a source that say how to run it.
type directives map[string]string

func load(t *testing.T, file string) directives {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	d := directives{}
	for line := range strings.Lines(string(src)) {
		line, ok := strings.CutPrefix(line, "; ")
		if !ok {
			continue
		}
		for _, k := range []string{"qemu-differs", "qemu-cpu", "cpu", "ends"} {
			if v, ok := strings.CutPrefix(line, k+":"); ok {
				d[k] = strings.TrimSpace(v)
			}
		}
	}
	return d
}

func (d directives) check(t *testing.T, who string, r result) (failed []uint64) {
	t.Helper()
	for _, m := range failure.FindAllStringSubmatch(r.output, -1) {
		at, _ := strconv.ParseUint(m[1], 16, 32)
		failed = append(failed, at)
	}
	if d["ends"] == "reset" {
		if !r.reset || strings.Contains(r.output, "FAIL") {
			t.Errorf("%s: ended with code %d and not with a reset:\n%s", who, r.code, r.output)
		}
		return failed
	}
	if r.code != 1 || !strings.HasSuffix(r.output, "PASS\n") {
		t.Errorf("%s: ended with code %d (reset: %v) after printing:\n%s", who, r.code, r.reset, r.output)
	}
	return failed
}

func findNASM(t testing.TB) string {
	if p, err := exec.LookPath("nasm"); err == nil {
		return p
	}
	return fetchtest.File(t, "nasm", "usr/bin/nasm")
}

func assemble(t testing.TB, nasm, src string) string {
	t.Helper()
	img := filepath.Join(t.TempDir(), filepath.Base(src)+".bin")
	out, err := exec.Command(nasm, "-f", "bin", "-w-label-redef-late", "-w-ea-absolute", "-I", "testdata/", "-l", img+".lst", "-o", img, src).CombinedOutput()
	if err != nil || len(out) != 0 {
		t.Fatalf("nasm %s: %v\n%s", src, err, out)
	}
	return img
}

// failure is what the programs print where an assertion fails, and the address
// of what follows it.
var failure = regexp.MustCompile(`FAIL before ([0-9a-f]{8})`)

// showLines logs the source lines before the addresses of failures.
func showLines(t *testing.T, listing string, failed []uint64) {
	if !t.Failed() {
		return
	}
	b, err := os.ReadFile(listing)
	if err != nil {
		return
	}
	for _, r := range failed {
		var text, found string
		low := false
		for line := range strings.Lines(string(b)) {
			if len(line) < 40 {
				continue
			}
			if strings.Contains(line, "section low") {
				low = true
			} else if strings.Contains(line, "section .text") {
				low = false
			}
			nested := strings.HasPrefix(strings.TrimSpace(line[16:]), "<") || strings.Contains(line[36:min(len(line), 44)], "<")
			if off, err := strconv.ParseUint(strings.TrimSpace(line[7:min(16, len(line))]), 16, 32); err == nil {
				if low {
					off += lowBase
				} else {
					off += imageBase
				}
				if off < r && low == (r < imageBase) {
					found = text
				}
			}
			if !nested && strings.TrimSpace(line[40:]) != "" {
				text = strings.TrimSpace(line[:6]) + ": " + strings.TrimSpace(line[40:])
			}
		}
		t.Logf("%#x is behind line %s", r, found)
	}
}

// Where programs run: testdata/common.inc.
const (
	imageBase = 0x100000
	lowBase   = 0x8000
)

func runHere(t *testing.T, engine, img string, d directives) result {
	t.Helper()
	cfg := machine.DefaultConfig()
	if err := cfg.SetEngine(engine); err != nil {
		t.Fatal(err)
	}
	cfg.RAM = 64 << 20
	cfg.Kernel = img
	cfg.VGA = false
	cfg.NoReboot = true
	cfg.DebugExit = &machine.DebugExit{Port: 0xf4, Size: 4}
	if c := d["cpu"]; c != "" {
		cfg.CPU = c
	}
	out := &sink{}
	cfg.Host.DebugCon = out
	if os.Getenv("SYSTEST_TRACE") != "" {
		cfg.Trace = machine.TraceInt | machine.TraceGuestErrors
		cfg.Host.Trace = os.Stderr
	}
	m, err := machine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	exit, err := m.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := result{output: out.buf.String(), code: exit.Code, reset: exit.Reason == machine.ExitReset}
	if exit.Reason == machine.ExitQuit {
		r.output += fmt.Sprintf("[no end after %v: RIP %#x]\n", limit, m.CPU.RIP)
	}
	runtime.KeepAlive(m)
	return r
}

func runQEMU(t *testing.T, qemu, img string, d directives) result {
	t.Helper()
	cpu := d["qemu-cpu"]
	if cpu == "" {
		cpu = "max"
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-cpu", cpu, "-m", "64", "-kernel", img, "-display", "none",
		"-nodefaults", "-no-reboot", "-device", "isa-debug-exit", "-debugcon", "stdio")
	// isa-debug-exit without arguments is at 0x501.
	cmd.Args[len(cmd.Args)-3] = "isa-debug-exit,iobase=0xf4,iosize=0x04"
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if errs.Len() != 0 {
		out.WriteString(errs.String())
	}
	code := cmd.ProcessState.ExitCode()
	return result{output: out.String(), code: code, reset: code == 0}
}
