package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/pprof/profile"
)

// loopROM is firmware that counts down for a while, prints a line to the debug
// console, and then does what end says.
func loopROM(t *testing.T, end string) string {
	t.Helper()
	rom := make([]byte, 1<<16)
	copy(rom, "\x66\xb9\x00\x00\x00\x02"+ // mov $0x2000000, %ecx
		"\x67\xe2\xfd"+ // 1: addr32 loop 1b
		"\xb0x\xe6\xe9\xb0\n\xe6\xe9"+ // out "x", newline
		end)
	copy(rom[0xfff0:], "\xe9\x0d\x00") // jmp to offset 0 of the segment
	path := filepath.Join(t.TempDir(), "rom")
	if err := os.WriteFile(path, rom, 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	romExit = "\xba\x01\x05\x30\xc0\xee\xeb\xfe" // 0 to port 0x501
	romHang = "\xeb\xfe"
)

// checkProfile reads a profile and wants samples in it, and nothing beside it.
func checkProfile(t *testing.T, path string, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckValid(); err != nil {
		t.Error(err)
	}
	if len(p.Sample) == 0 || !strings.Contains(p.String(), want) {
		t.Errorf("no %q in\n%s", want, p)
	}
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(files) != 1 {
		t.Errorf("beside the profile there is %v, %v", files, err)
	}
}

func romArgs(rom, out string) []string {
	return []string{"-bios", rom, "-m", "16M", "-nodefaults", "-debugcon", "stdio", "-device", "isa-debug-exit", "-profile", out}
}

// TestProfileWritten ends the machine in several ways; each leaves a profile.
func TestProfileWritten(t *testing.T) {
	t.Run("exit", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "guest.pb.gz")
		code, stdout, errs := runCommand(t, nil, romArgs(loopROM(t, romExit), out)...)
		if code != 1 || strings.TrimSpace(stdout) != "x" || errs != "" {
			t.Errorf("%d, %q, %q", code, stdout, errs)
		}
		checkProfile(t, out, "[16-bit code]")
	})
	t.Run("signal", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "guest.pb.gz")
		cmd := exec.CommandContext(t.Context(), os.Args[0], romArgs(loopROM(t, romHang), out)...)
		cmd.Env = append(os.Environ(), asCommand+"=1")
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
			t.Error(err)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if code := cmd.ProcessState.ExitCode(); code != 128+15 {
			t.Errorf("code %d", code)
		}
		checkProfile(t, out, "[16-bit code]")
	})
	t.Run("flame", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "guest.pb.gz")
		runCommand(t, nil, romArgs(loopROM(t, romExit), out)...)
		code, svg, errs := runCommand(t, nil, "flame", "-by", "ring,tier", "-title", "A title", out)
		if code != 0 || errs != "" || !strings.HasPrefix(svg, "<svg") || !strings.Contains(svg, "A title") || !strings.Contains(svg, "<title>ring0: ") {
			t.Errorf("%d, %q, %.200q", code, errs, svg)
		}
	})
}

// TestProfileKeepsOld sees to it that a profile of an earlier run stays where the
// next one does not come to run.
func TestProfileKeepsOld(t *testing.T) {
	out := filepath.Join(t.TempDir(), "guest.pb.gz")
	if err := os.WriteFile(out, []byte("old"), 0o666); err != nil {
		t.Fatal(err)
	}
	code, stdout, errs := runCommand(t, nil, "-kernel", "/nonexistent", "-profile", out)
	wantLine(t, code, stdout, errs, "/nonexistent")
	code, stdout, errs = runCommand(t, nil, "-accel", "interp", "-bios", loopROM(t, romExit), "-nodefaults", "-profile", out+",kind=translation")
	wantLine(t, code, stdout, errs, "translat")
	if b, err := os.ReadFile(out); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
	if files, err := os.ReadDir(filepath.Dir(out)); err != nil || len(files) != 1 {
		t.Errorf("%v, %v", files, err)
	}
}
