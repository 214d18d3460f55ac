//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hotblock/boot/fetch/fetchtest"
)

// Guests that run wild. Whatever they do, the process neither crashes nor hangs:
// it ends by itself, or by the signal that a user sends.

// fuzzPorts reads and writes ports at random: a linear congruential generator
// makes port and value, and ports that end or reset the machine are passed over.
func fuzzPorts(seed uint32) []byte {
	b := []byte{0xbb}
	b = binary.LittleEndian.AppendUint32(b, seed) // mov ebx, seed
	loop := len(b)
	b = append(b,
		0x69, 0xdb, 0x0d, 0x66, 0x19, 0x00, // imul ebx, ebx, 1664525
		0x81, 0xc3, 0x5f, 0xf3, 0x6e, 0x3c, // add ebx, 1013904223
		0x89, 0xda, 0xc1, 0xea, 0x10, // mov edx, ebx; shr edx, 16
		0xf7, 0xc3, 0x00, 0x80, 0x00, 0x00, // test ebx, 0x8000
		0x74, 0x06, // jz +6
		0x81, 0xe2, 0xff, 0x0f, 0x00, 0x00, // and edx, 0xfff: where devices are
	)
	for _, r := range [][2]uint16{{0xf0, 0xf8}, {0x4fd, 0x506}, {0x5e, 0x65}, {0x8d, 0x93}, {0xcf5, 0xcff}, {0x5fd, 0x640}} {
		// lea ecx, [edx-first]; cmp ecx, n; jb loop
		b = append(b, 0x8d, 0x8a)
		b = binary.LittleEndian.AppendUint32(b, -uint32(r[0]))
		b = append(b, 0x81, 0xf9)
		b = binary.LittleEndian.AppendUint32(b, uint32(r[1]-r[0]))
		b = append(b, 0x0f, 0x82)
		b = binary.LittleEndian.AppendUint32(b, uint32(loop-len(b)-4))
	}
	b = append(b,
		0x89, 0xd8, 0xc1, 0xc0, 0x0d, // mov eax, ebx; rol eax, 13
		0xee, 0xef, 0x66, 0xef, 0xec, 0xed, // out dx, al; out dx, eax; out dx, ax; in al, dx; in eax, dx
		0xe9)
	return binary.LittleEndian.AppendUint32(b, uint32(loop-len(b)-4))
}

// fuzzPCI writes at random to PCI configuration space, and to what may be mapped
// by it.
func fuzzPCI(seed uint32) []byte {
	b := []byte{0xbb}
	b = binary.LittleEndian.AppendUint32(b, seed)
	loop := len(b)
	b = append(b,
		0x69, 0xdb, 0x0d, 0x66, 0x19, 0x00,
		0x81, 0xc3, 0x5f, 0xf3, 0x6e, 0x3c,
		0x89, 0xd8, 0xc1, 0xe8, 0x08, // mov eax, ebx; shr eax, 8
		0x25, 0xfc, 0x1f, 0x00, 0x00, // and eax, 0x1ffc: four slots
		0x0d, 0x00, 0x00, 0x00, 0x80, // or eax, 1<<31
		0xba, 0xf8, 0x0c, 0x00, 0x00, 0xef, // mov edx, 0xcf8; out dx, eax
		0xba, 0xfc, 0x0c, 0x00, 0x00, // mov edx, 0xcfc
		0x89, 0xd8, 0xc1, 0xc0, 0x11, 0xef, 0xed, // mov eax, ebx; rol eax, 17; out; in
		0x89, 0xd9, 0x81, 0xc9, 0x00, 0x00, 0x00, 0xa0, // mov ecx, ebx; or ecx, 0xa0000000
		0x89, 0x01, 0x8b, 0x01, 0x88, 0x01, // mov [ecx], eax; mov eax, [ecx]; mov [ecx], al
		0xe9)
	return binary.LittleEndian.AppendUint32(b, uint32(loop-len(b)-4))
}

func le32(op []byte, v uint32) []byte { return binary.LittleEndian.AppendUint32(op, v) }

// jump is jmp to an address, by a register.
func jump(to uint32) []byte { return append(le32([]byte{0xb8}, to), 0xff, 0xe0) }

// fill writes ones from an address on, for 16 MiB.
func fill(from uint32) []byte {
	b := append(le32([]byte{0xbf}, from), le32([]byte{0xb9}, 16<<20)...)
	return append(b, 0xb0, 0xff, 0xf3, 0xaa, 0xf4, 0xeb, 0xfd)
}

func TestWildGuests(t *testing.T) {
	images := map[string][]byte{
		"nothing":           {},
		"ud2":               {0x0f, 0x0b},
		"stack in the sky":  append(le32([]byte{0xbc}, 0xd0000000), 0x50, 0xc3),
		"fill from 0":       fill(0),
		"fill from 2M":      fill(2 << 20),
		"fill the VGA":      fill(0xa0000),
		"fill the end":      fill(0xff000000),
		"fill the APIC":     fill(0xfee00000),
		"fill the I/O APIC": fill(0xfec00000),
		"fill ECAM":         fill(0xb0000000),
		// lgdt, lidt, cr0, cr3, cr4 and MSRs with nonsense.
		"bad GDT":      append(append([]byte{0x0f, 0x01, 0x15}, 0, 0, 0, 0xd0), 0xea, 0, 0, 0, 0, 8, 0),
		"bad paging":   {0xb8, 0x00, 0x00, 0x00, 0xd0, 0x0f, 0x22, 0xd8, 0xb8, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0xeb, 0xfe},
		"paging to IO": {0xb8, 0x00, 0x00, 0xe0, 0xfe, 0x0f, 0x22, 0xd8, 0xb8, 0x01, 0x00, 0x00, 0x80, 0x0f, 0x22, 0xc0, 0xeb, 0xfe},
	}
	for _, a := range []uint32{0, 0xa0000, 0xb8000, 0xfee00000, 0xfec00000, 0xb0000000, 0xd0000000, 0xfffffff0, 0xffffffff, 0xffffe} {
		images[fmt.Sprintf("jump to %#x", a)] = jump(a)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 16 {
		b := make([]byte, 4096)
		for j := range b {
			b[j] = byte(r.Uint32())
		}
		images[fmt.Sprintf("noise %d", i)] = b
	}
	for i := range 4 {
		images[fmt.Sprintf("ports %d", i)] = fuzzPorts(r.Uint32())
		images[fmt.Sprintf("PCI %d", i)] = fuzzPCI(r.Uint32())
	}
	for name, code := range images {
		t.Run(name, func(t *testing.T) {
			kernel := flatKernel(t, append(code, 0xcc))
			for _, more := range [][]string{nil, {"-no-reboot"}} {
				code, stderr := runFor(t, 150*time.Millisecond, true, append([]string{"-kernel", kernel, "-m", "16M"}, more...)...)
				if code < 0 || code == 2 || strings.Contains(stderr, "goroutine") || strings.Contains(stderr, "panic") {
					t.Errorf("%v: exit code %d, %s", more, code, stderr[:min(len(stderr), 3000)])
				}
			}
		})
	}
}

// TestTripleFault is reset on a triple fault, or the end with -no-reboot.
func TestTripleFault(t *testing.T) {
	kernel := flatKernel(t, []byte{0x0f, 0x0b})
	if code, stderr := runFor(t, time.Minute, false, "-kernel", kernel, "-m", "16M", "-no-reboot"); code != 0 || stderr != "" {
		t.Errorf("with -no-reboot: code %d, %q", code, stderr)
	}
	s := onTerminal(t, nil, "-kernel", kernel, "-m", "16M")
	for range 3 {
		s.expect("K")
	}
	s.send("\x01x")
	s.wait(0)
}

// TestWildFirmware gives SeaBIOS disks that do not boot, and firmware that is
// none.
func TestWildFirmware(t *testing.T) {
	dir := t.TempDir()
	noise := make([]byte, 1<<20)
	r := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	rom := dir + "/rom"
	if err := os.WriteFile(rom, noise[:128<<10], 0o666); err != nil {
		t.Fatal(err)
	}
	copy(noise[510:], "\x55\xaa")
	disk := dir + "/disk"
	if err := os.WriteFile(disk, noise, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-bios", rom}, {"-bios", fetchtest.File(t, "seabios", "usr/share/seabios/bios-256k.bin"), "-snapshot", "-hda", disk},
		{"-bios", fetchtest.File(t, "seabios", "usr/share/seabios/bios-256k.bin"), "-cdrom", disk}} {
		code, stderr := runFor(t, 2*time.Second, false, append(args, "-m", "16M")...)
		if code < 0 || code == 2 || strings.Contains(stderr, "goroutine") {
			t.Errorf("%v: exit code %d, %s", args, code, stderr)
		}
	}
}

// procStatus reads a number of KiB from /proc/PID/status.
func procStatus(t *testing.T, pid int, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && f[0] == key+":" {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s in status", key)
	return 0
}

// cpuTime is what a process has used, in clock ticks of 10 ms.
func cpuTime(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	return user + system
}

// TestIdle is a guest with 4 GiB that waits at its prompt: the host gives it
// only the memory that it has touched, and next to no time.
func TestIdle(t *testing.T) {
	needGuest(t)
	s := onTerminal(t, nil, "-m", "4G")
	s.expect(prompt)
	time.Sleep(time.Second)
	before := cpuTime(t, s.cmd.Process.Pid)
	time.Sleep(3 * time.Second)
	used := cpuTime(t, s.cmd.Process.Pid) - before
	rss := procStatus(t, s.cmd.Process.Pid, "VmRSS") >> 10
	t.Logf("%d MiB, %d ms of CPU time in 3 s", rss, used*10)
	if used > 30 {
		t.Errorf("%d ms of CPU time in 3 s", used*10)
	}
	if rss > 220+150 { // what the kernel itself takes, and what may come to that
		t.Errorf("%d MiB resident", rss)
	}
	s.send("\x01x")
	s.wait(0)
}

// TestManyEnds ends the machine at odd moments of its start.
func TestManyEnds(t *testing.T) {
	kernel := flatKernel(t, halt)
	for i := range 20 {
		cmd := exec.Command(os.Args[0], "-kernel", kernel, "-m", "16M")
		cmd.Env = append(os.Environ(), asCommand+"=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
		time.Sleep(time.Duration(i*i) * 100 * time.Microsecond)
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		kill.Stop()
		// Before the command takes signals, one just ends the process.
		ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if code := ws.ExitStatus(); code != 128+15 && !(ws.Signaled() && ws.Signal() == syscall.SIGTERM) {
			t.Errorf("after %d: %v", i, cmd.ProcessState)
		}
	}
}
