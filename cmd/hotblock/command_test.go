package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tests run the command as a process of its own: this test binary, which
// takes itself for the command where the environment says so.
const asCommand = "HOTBLOCK_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
	}
	os.Exit(m.Run())
}

func runCommand(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(append(os.Environ(), asCommand+"=1"), env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

func wantLine(t *testing.T, code int, stdout, stderr, word string) {
	t.Helper()
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "hotblock: ") || !strings.Contains(stderr, word) {
		t.Errorf("code %d, %q, %q; want a line with %q", code, stdout, stderr, word)
	}
}

func TestCommandRefuses(t *testing.T) {
	for args, word := range map[string]string{"-nonsense": "-nonsense", "-m|x": "512M", "-serial|file:/nonexistent/x|-kernel|x": "/nonexistent/x"} {
		code, out, errs := runCommand(t, nil, strings.Split(args, "|")...)
		wantLine(t, code, out, errs, word)
	}
}

// TestCommandRefusesKernels gives files that cannot be booted.
func TestCommandRefusesKernels(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	arm := make([]byte, 4096)
	copy(arm[56:], "ARM\x64")
	for args, word := range map[string]string{
		"-kernel|/nonexistent":                                "no such file",
		"-kernel|" + dir:                                      "directory",
		"-kernel|" + file("empty", nil):                       "empty",
		"-kernel|" + file("short", []byte("x")):               "truncated",
		"-kernel|" + file("arm", arm):                         "AArch64",
		"-kernel|" + file("text", bytes.Repeat(arm[:9], 999)): "not a kernel",
		"-bios|/nonexistent":                                  "no such file",
	} {
		code, out, errs := runCommand(t, nil, strings.Split(args+"|-m|64M", "|")...)
		wantLine(t, code, out, errs, word)
	}
}

func TestCommandHelps(t *testing.T) {
	if code, out, errs := runCommand(t, nil, "-help"); code != 0 || !strings.Contains(out, "usage:") || errs != "" {
		t.Errorf("code %d, %q, %q", code, out, errs)
	}
}

// TestNoAptNoCache is the first start on a host that has nothing.
func TestNoAptNoCache(t *testing.T) {
	env := []string{"PATH=" + t.TempDir(), "HOTBLOCK_CACHE=" + t.TempDir()}
	for _, args := range [][]string{nil, {"fetch"}, {"fetch", "nasm"}} {
		code, out, errs := runCommand(t, env, args...)
		wantLine(t, code, out, errs, "apt-get")
	}
}

// TestCacheThatCannotBe has a file where the cache should be.
func TestCacheThatCannotBe(t *testing.T) {
	code, out, errs := runCommand(t, []string{"HOTBLOCK_CACHE=/dev/null/cache"}, "fetch")
	wantLine(t, code, out, errs, "HOTBLOCK_CACHE")
}
