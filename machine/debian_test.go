package machine_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotblock/internal/guesttest"
	"hotblock/machine"
)

// bootTime is how long a boot may take before it counts as hung. It is generous:
// nothing here measures.
const bootTime = 5 * time.Minute

// build compiles one of the programs in testdata for the guest.
func build(t *testing.T, name string) (path string, code []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, "./testdata/"+name)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, code
}

// wildPointer is the smallest static program that reads from an address that is
// not mapped: one page with an ELF header, a program header and an instruction.
func wildPointer() []byte {
	const base, start = 0x400000, 0x78
	le := binary.LittleEndian
	b := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	b = le.AppendUint16(b, 2)  // executable
	b = le.AppendUint16(b, 62) // x86-64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+start)
	b = le.AppendUint64(b, 0x40) // program headers
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 64, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1) // PT_LOAD
	b = le.AppendUint32(b, 5) // read, execute
	for _, v := range []uint64{0, base, base, start + 10, start + 10, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	return append(b, 0x48, 0x8b, 0x04, 0x25, 0xef, 0xbe, 0xad, 0x00, 0x90, 0x90) // mov 0xadbeef, %rax
}

// TestDebian boots Debian's kernels to a shell, types commands, and powers off.
func TestDebian(t *testing.T) {
	for _, flavour := range []string{"cloud", "generic"} {
		for _, engine := range guesttest.Engines {
			t.Run(flavour+"/"+engine, func(t *testing.T) {
				host, hello := build(t, "hello")
				want, err := exec.Command(host).Output()
				if err != nil {
					t.Fatal(err)
				}
				g := guesttest.Start(t, guesttest.Debian(t, flavour, engine, map[string][]byte{"bin/hello": hello, "bin/wild": wildPointer()}))
				g.Expect(guesttest.Prompt, bootTime)
				g.Quiet()

				if out, _ := g.Shell("uname -sm", time.Minute); !strings.Contains(out, "Linux x86_64") {
					t.Errorf("uname: %q", out)
				}
				if out, status := g.Shell("hello", bootTime); out != string(want) || status != 0 {
					t.Errorf("status %d, in the guest:\n%s\non the host:\n%s", status, out, want)
				}
				if out, status := g.Shell("hello panic", bootTime); status != 2 || !strings.Contains(out, "nil pointer dereference") || !strings.Contains(out, "SIGSEGV") {
					t.Errorf("nil pointer in Go: status %d\n%s", status, out)
				}
				if _, status := g.Shell("wild", time.Minute); status != 128+11 {
					t.Errorf("a wild pointer ended the program with status %d", status)
				}
				if out, _ := g.Shell("dmesg | grep segfault", time.Minute); !strings.Contains(out, "wild[") || !strings.Contains(out, "segfault at adbeef ip 0000000000400078") {
					t.Errorf("dmesg has no segfault: %q", out)
				}
				if _, status := g.Shell("sleep 1 & wait; test $(cat /proc/uptime | cut -d. -f1) -ge 1", time.Minute); status != 0 {
					t.Errorf("sleep: status %d", status)
				}
				if out, status := g.Shell("expr 6 \\* 7; seq 1 2000 | md5sum; seq 1 5000 | gzip -c | gzip -dc | sha256sum", time.Minute); status != 0 || out != toolsOutput {
					t.Errorf("tools: status %d, %q", status, out)
				}
				g.Send("poweroff\n")
				if exit := g.Wait(time.Minute); exit.Reason != machine.ExitPowerOff || exit.Code != 0 {
					t.Errorf("ended with %+v", exit)
				}
			})
		}
	}
}

// toolsOutput is what the commands of TestDebian print anywhere.
const toolsOutput = `42
ea4d0a24dabcaa11f9aa979b872d162b  -
23f90f8b2c3a4b5f3b5e156339994afd5c2718b378aca6f0e17111f80a70d4ec  -
`

// TestReboot has the guest restart the machine, which boots again.
func TestReboot(t *testing.T) {
	for _, engine := range guesttest.Engines {
		t.Run(engine, func(t *testing.T) {
			g := guesttest.Start(t, guesttest.Debian(t, "cloud", engine, nil))
			g.Expect(guesttest.Prompt, bootTime)
			g.Send("reboot\n")
			g.Expect("Linux version", bootTime)
			g.Expect(guesttest.Prompt, bootTime)
			powerOff(t, g, time.Minute)
			cfg := guesttest.Debian(t, "cloud", engine, nil)
			cfg.NoReboot = true
			g = guesttest.Start(t, cfg)
			g.Expect(guesttest.Prompt, bootTime)
			g.Send("reboot -f\n")
			if exit := g.Wait(time.Minute); exit.Reason != machine.ExitReset {
				t.Errorf("with NoReboot it ended with %+v", exit)
			}
		})
	}
}
