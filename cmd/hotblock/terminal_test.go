//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"hotblock/boot/fetch/fetchtest"
	"hotblock/devices"
	"hotblock/machine"
)

// The command on a terminal of its own, as a user sees it.

const (
	bootTime = 1 * time.Minute // before a boot counts as hung
	prompt   = "hotblock:~# "
)

// terminal is the command on a pseudo-terminal.
type terminal struct {
	t      *testing.T
	host   *os.File // what the user types into and sees
	tty    *os.File
	before unix.Termios
	cmd    *exec.Cmd
	done   chan struct{}
	code   int

	mu   sync.Mutex
	out  []byte
	more chan struct{}
	pos  int
}

func termios(t *testing.T, f *os.File) unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// onTerminal starts the command on a terminal of 80 by 25.
func onTerminal(t *testing.T, env []string, args ...string) *terminal {
	t.Helper()
	host, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s := &terminal{t: t, host: host, tty: tty, done: make(chan struct{}), more: make(chan struct{}, 1)}
	if err := pty.Setsize(host, &pty.Winsize{Rows: 25, Cols: 80}); err != nil {
		t.Fatal(err)
	}
	s.before = termios(t, tty)
	s.cmd = exec.Command(os.Args[0], args...)
	s.cmd.Env = append(append(os.Environ(), asCommand+"=1", "TERM=xterm", "GOTRACEBACK=single"), env...)
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := host.Read(buf)
			s.mu.Lock()
			s.out = append(s.out, buf[:n]...)
			s.mu.Unlock()
			select {
			case s.more <- struct{}{}:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	go func() {
		s.cmd.Wait()
		s.code = s.cmd.ProcessState.ExitCode()
		close(s.done)
	}()
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		<-s.done
		tty.Close()
		host.Close()
	})
	return s
}

func (s *terminal) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.ReplaceAll(string(s.out), "\r", "")
}

// expect waits for text after what was expected before.
func (s *terminal) expect(text string) {
	s.t.Helper()
	limit := time.After(bootTime)
	done := s.done
	for {
		out := s.text()
		if i := strings.Index(out[s.pos:], text); i >= 0 {
			s.pos += i + len(text)
			return
		}
		select {
		case <-s.more:
		case <-done:
			done = nil
			time.AfterFunc(time.Second, func() { // for the rest of the output
				select {
				case s.more <- struct{}{}:
				default:
				}
			})
		case <-limit:
			s.t.Fatalf("no %q; the output:\n%s", text, out[max(0, len(out)-3000):])
		}
		if done == nil && !strings.Contains(s.text()[s.pos:], text) {
			select {
			case <-s.more:
				continue
			case <-limit:
			case <-time.After(5 * time.Second):
			}
			s.t.Fatalf("the command ended with %d before it printed %q; the output:\n%s", s.code, text, out[max(0, len(out)-3000):])
		}
	}
}

func (s *terminal) send(text string) {
	s.t.Helper()
	if _, err := io.WriteString(s.host, text); err != nil {
		s.t.Fatal(err)
	}
}

// sendUntil types keys again and again until the answer is there.
func (s *terminal) sendUntil(keys, answer string) {
	s.t.Helper()
	for range 100 {
		s.send(keys)
		for range 10 {
			if strings.Contains(s.text()[s.pos:], answer) {
				s.expect(answer)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	s.t.Fatalf("no %q after %q; the output:\n%s", answer, keys, s.text()[s.pos:])
}

// wait waits for the command's end, and checks its exit code and that the
// terminal is what it was.
func (s *terminal) wait(code int) {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(time.Minute):
		s.t.Fatalf("the command does not end; the output:\n%s", s.text())
	}
	if s.code != code {
		out := s.text()
		s.t.Errorf("exit code %d, want %d; the output:\n%s", s.code, code, out[max(0, len(out)-3000):])
	}
	if after := termios(s.t, s.tty); after != s.before {
		s.t.Errorf("the terminal is left as %+v; it was %+v", after, s.before)
	}
}

// needGuest skips a test where the default guest cannot be had.
func needGuest(t *testing.T) {
	t.Helper()
	fetchtest.Kernel(t, "cloud")
	fetchtest.File(t, "busybox-static", "bin/busybox")
}

// TestShell uses the default guest as one does, and quits it.
func TestShell(t *testing.T) {
	needGuest(t)
	s := onTerminal(t, nil)
	s.expect(prompt)
	if termios(t, s.tty) == s.before {
		t.Error("the terminal is not raw")
	}
	s.send("echo $((6*7))-$(uname -m)\n")
	s.expect("42-x86_64\n")

	// Ctrl-C interrupts the guest's program, not the machine.
	s.send("echo s''leeps; sleep 1000\n")
	s.expect("sleeps\n")
	s.sendUntil("\x03", prompt) // again where it came before sleep was there
	s.send("echo $((1+1)) again\n")
	s.expect("2 again\n")

	for _, size := range []pty.Winsize{{Rows: 10, Cols: 20}, {Rows: 1, Cols: 1}, {Rows: 100, Cols: 300}, {Rows: 25, Cols: 80}} {
		if err := pty.Setsize(s.host, &size); err != nil {
			t.Fatal(err)
		}
	}
	s.send("\x01h")
	s.expect("Ctrl-a x    quit the machine")
	// In the shell Ctrl-a goes to the beginning of the line.
	s.send("\n")
	s.expect(prompt)
	s.send("cho $((3*3))-edited\x01\x01e\n")
	s.expect("9-edited\n")
	s.send("\x01x")
	s.wait(0)
}

// TestPowerOff and what else ends the machine from inside.
func TestPowerOff(t *testing.T) {
	needGuest(t)
	for _, v := range []struct {
		name, command string
		args          []string
		code          int
	}{
		{"poweroff", "poweroff", nil, 0},
		{"no-reboot", "reboot -f", []string{"-no-reboot"}, 0},
	} {
		t.Run(v.name, func(t *testing.T) {
			s := onTerminal(t, nil, v.args...)
			s.expect(prompt)
			s.send(v.command + "\n")
			s.wait(v.code)
		})
	}
}

// TestSignals ends the machine from outside.
func TestSignals(t *testing.T) {
	kernel := flatKernel(t, halt)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT} {
		s := onTerminal(t, nil, "-kernel", kernel, "-m", "16M")
		s.expect("K")
		if termios(t, s.tty) == s.before {
			t.Error("the terminal is not raw")
		}
		s.cmd.Process.Signal(sig)
		s.wait(128 + int(sig))
	}
}

// TestErrorAfterStart has a peer that is not there, which is found when the
// terminal is raw.
func TestErrorAfterStart(t *testing.T) {
	s := onTerminal(t, nil, "-kernel", flatKernel(t, halt), "-m", "16M", "-serial", "mon:stdio", "-serial", "unix:"+filepath.Join(t.TempDir(), "nobody"))
	s.expect("hotblock: ")
	s.expect("nobody")
	s.wait(1)
}

// The environment variable that has onMachine break the machine.
const panicWhere = "HOTBLOCK_TEST_PANIC"

func init() {
	where := os.Getenv(panicWhere)
	if where == "" {
		return
	}
	onMachine = func(m *machine.Machine) {
		switch where {
		case "cpu":
			m.Board.Ports.Claim(0x5000, 1, 1, devices.PortFuncs{Write: func(uint16, int, uint32) { panic("a device broke") }})
		case "timer":
			devices.AfterFunc(m.Board.Clock, 200e6, func() { panic("a timer broke") })
		}
	}
}

// TestPanic is a bug in the emulator: the terminal has to be put back for its
// message and for what comes after.
func TestPanic(t *testing.T) {
	for _, v := range []struct{ where, message string }{{"cpu", "panic: a device broke"}, {"timer", "panic: a timer broke"}} {
		for _, display := range []string{"none", "curses"} {
			t.Run(v.where+"/"+display, func(t *testing.T) {
				// Port 0x5000 is written to after a while.
				kernel := flatKernel(t, []byte{0xb9, 0, 0, 0x40, 0, 0xe2, 0xfe, 0x66, 0xba, 0, 0x50, 0xee, 0xf4, 0xeb, 0xfd})
				args := []string{"-kernel", kernel, "-m", "16M", "-display", display}
				if display == "curses" {
					args = append(args, "-serial", "none")
				}
				s := onTerminal(t, []string{panicWhere + "=" + v.where}, args...)
				s.expect(v.message)
				s.wait(2)
			})
		}
	}
}

// TestInputEnds runs with input that is at its end: from /dev/null, and from a
// pipe that holds commands only.
func TestInputEnds(t *testing.T) {
	needGuest(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), asCommand+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := &watched{text: prompt, seen: make(chan struct{})}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// What comes before the guest's driver is there is lost, as on hardware.
	select {
	case <-out.seen:
	case <-time.After(bootTime):
		cmd.Process.Kill()
	}
	io.WriteString(in, "echo $((3*7)) && sleep 1 && poweroff -f\n")
	in.Close()
	kill := time.AfterFunc(bootTime, func() { cmd.Process.Kill() })
	err = cmd.Wait()
	kill.Stop()
	if err != nil || !strings.Contains(out.b.String(), "\n21\r\n") {
		t.Errorf("%v; the output:\n%s", err, &out.b)
	}
	// Nothing is left to read from the start, and the guest still ends by itself.
	code, stdout, stderr := runCommand(t, nil, "-kernel", flatKernel(t, exitWith(9)), "-m", "16M")
	if code != 19 || !strings.Contains(stdout, "K") || stderr != "" {
		t.Errorf("code %d, %q, %q", code, stdout, stderr)
	}
}

// watched closes seen when a text was written to it.
type watched struct {
	text string
	seen chan struct{}
	b    bytes.Buffer
	once sync.Once
}

func (w *watched) Write(p []byte) (int, error) {
	w.b.Write(p)
	if strings.Contains(w.b.String(), w.text) {
		w.once.Do(func() { close(w.seen) })
	}
	return len(p), nil
}

// TestOutputClosed has nobody read the output any more.
func TestOutputClosed(t *testing.T) {
	// A kernel that prints for ever.
	kernel := flatKernel(t, []byte{0x66, 0xba, 0xf8, 0x03, 0xb0, 'x', 0xee, 0xeb, 0xfd})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-kernel", kernel, "-m", "16M")
	cmd.Env = append(os.Environ(), asCommand+"=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = w, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := r.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Close()
	cmd.Wait()
	if c := cmd.ProcessState.ExitCode(); c != 128+13 || stderr.Len() != 0 {
		t.Errorf("exit code %d, %q", c, &stderr)
	}
}

// TestTraceFile logs to a file.
func TestTraceFile(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	// Any exception without an IDT is a triple fault.
	code, _, stderr := runCommand(t, nil, "-kernel", flatKernel(t, []byte{0x90, 0x0f, 0x0b}), "-m", "16M", "-no-reboot", "-d", "int,exec,in_asm", "-D", log)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if code != 0 || stderr != "" {
		t.Errorf("code %d, %q", code, stderr)
	}
	for _, want := range []string{"IN: ", "nop", "ud2", "Trace 0:", "v=06 #UD", "triple fault"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %q in the log:\n%s", want, b)
		}
	}
}

// TestCurses shows the kernel's console on the VGA in the terminal, and types at
// the shell on it.
func TestCurses(t *testing.T) {
	needGuest(t)
	s := onTerminal(t, nil, "-display", "curses", "-serial", "none", "-append", "console=tty0")
	s.expect("hotblock:~#")
	// What is drawn is parted by cursor movements, so the answer is one word.
	s.send("echo $((1234*5678))\r")
	s.expect("7006652")
	if err := pty.Setsize(s.host, &pty.Winsize{Rows: 8, Cols: 20}); err != nil {
		t.Fatal(err)
	}
	s.send("echo $((10*11))1\r")
	s.expect("1101")
	if err := pty.Setsize(s.host, &pty.Winsize{Rows: 40, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	s.send("clear; echo $((111*111*111))\r")
	s.expect("1367631")
	s.send("\x01x")
	s.wait(0)
	s = onTerminal(t, nil, "-display", "curses", "-serial", "none", "-kernel", flatKernel(t, halt), "-m", "16M")
	s.expect("\x1b[?1049h")
	s.cmd.Process.Signal(syscall.SIGTERM)
	s.wait(128 + 15)
	s.expect("\x1b[?1049l")
}

// TestSecondStart needs neither the network nor apt, once the guest is there.
func TestSecondStart(t *testing.T) {
	needGuest(t)
	s := onTerminal(t, []string{"PATH=" + t.TempDir(), "http_proxy=http://127.0.0.1:1", "https_proxy=http://127.0.0.1:1"})
	s.expect(prompt)
	s.send("poweroff -f\n")
	s.wait(0)
}

// Flat multiboot kernels of a few instructions, entered in 32-bit protected mode.

// halt sleeps for ever with interrupts off.
var halt = []byte{0xf4, 0xeb, 0xfd}

// exitWith ends the machine through isa-debug-exit.
func exitWith(v byte) []byte { return []byte{0xb0, v, 0x66, 0xba, 0x01, 0x05, 0xee, 0xf4, 0xeb, 0xfd} }

// flatKernel writes a kernel that prints K on COM1 and goes on with code.
func flatKernel(t *testing.T, code []byte) string {
	t.Helper()
	p := filepath.Join(t.TempDir(), fmt.Sprintf("kernel-%x", code[:min(len(code), 4)]))
	if err := os.WriteFile(p, flatImage(append([]byte{0x66, 0xba, 0xf8, 0x03, 0xb0, 'K', 0xee}, code...)), 0o666); err != nil {
		t.Fatal(err)
	}
	return p
}

func flatImage(code []byte) []byte {
	const base, magic, flags = 0x100000, 0x1badb002, 1 << 16
	var b []byte
	for _, v := range []uint32{magic, flags, 1<<32 - magic - flags, base, base, 0, 0, base + 32} {
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	return append(b, code...)
}

// runFor runs the command until it ends, or ends it with SIGTERM after d. Where sign
// is true, d begins with the guest's first output: before, the process may not have
// come so far that it handles signals.
func runFor(t *testing.T, d time.Duration, sign bool, args ...string) (code int, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(d+time.Minute, func() { cmd.Process.Kill() })
	defer kill.Stop()
	if sign {
		out.Read(make([]byte, 1)) // or the end: Wait tells
	}
	term := time.AfterFunc(d, func() { cmd.Process.Signal(syscall.SIGTERM) })
	defer term.Stop()
	io.Copy(io.Discard, out)
	err = cmd.Wait()
	var ee *exec.ExitError
	if err != nil && !errors.As(err, &ee) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), errs.String()
}
