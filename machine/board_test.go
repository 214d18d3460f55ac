package machine

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"hotblock/devices"
	"hotblock/devices/acpi"
	"hotblock/devices/fwcfg"
	"hotblock/devices/pci"
	"hotblock/devices/pm"
	"hotblock/mmu"
)

func testBoard(t testing.TB, change func(*BoardConfig)) (*Board, *devices.ManualClock) {
	t.Helper()
	clock := devices.NewManualClock()
	cfg := BoardConfig{RAM: 16 << 20, CPUs: 2, Clock: clock, VGA: true, HPET: true,
		Serial: []io.Writer{io.Discard, io.Discard, io.Discard, io.Discard}}
	cfg.IDE[0] = IDEDrive{Disk: &devices.MemDisk{Bytes: pattern(1 << 20)}}
	cfg.IDE[2] = IDEDrive{Disk: &devices.MemDisk{Bytes: pattern(1 << 20), RO: true}, CDROM: true}
	if change != nil {
		change(&cfg)
	}
	b, err := NewBoard(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Free)
	return b, clock
}

// pattern is n bytes in which each sector differs.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>9)*7
	}
	return b
}

func TestDirectBoot(t *testing.T) {
	b, _ := testBoard(t, nil)
	rsdp, err := b.DirectBoot()
	if err != nil {
		t.Fatal(err)
	}
	if rsdp < 0xe0000 || rsdp >= 0x100000 {
		t.Errorf("RSDP at %#x, where no kernel looks", rsdp)
	}
	var sig [8]byte
	b.Mem.Read(rsdp, sig[:])
	if string(sig[:]) != "RSD PTR " {
		t.Errorf("at the RSDP is %q", sig)
	}
	var end uint64
	for _, r := range b.E820() {
		if r.Base < end || r.Size == 0 {
			t.Errorf("E820 range %#x+%#x overlaps the one before it or is empty", r.Base, r.Size)
		}
		end = r.Base + r.Size
	}
	// ACPI registers are where the FADT says.
	if a, c := b.Ports.In(pm.Base+pm.PMTimer, 4), b.Ports.In(pm.Base+pm.PM1Control, 2); a == 0xffffffff || c != 0 {
		t.Errorf("PM timer %#x, PM1 control %#x", a, c)
	}
	for _, f := range b.PCI.Functions() {
		if f.Reg(pci.RegCommand, 2)&(pci.CmdIO|pci.CmdMem) == 0 && f.Reg(pci.RegVendor, 2) == 0x1234 {
			t.Errorf("%s is not enabled", f.Name)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	for _, c := range []BoardConfig{{RAM: 1 << 20}, {CPUs: 1}, {CPUs: 1, RAM: 1<<20 + 1}, {CPUs: 300, RAM: 1 << 20},
		{CPUs: 1, RAM: 1 << 50}, {CPUs: 1, RAM: 1 << 20, BIOS: make([]byte, 5)}} {
		if _, err := NewBoard(c); err == nil {
			t.Errorf("%+v is no error", c)
		}
	}
}

func TestMemoryLayout(t *testing.T) {
	bios := bytes.Repeat([]byte{0xea}, 256<<10)
	bios[len(bios)-1] = 0x5a
	b, _ := testBoard(t, func(c *BoardConfig) { c.RAM = 4 << 30; c.BIOS = bios })
	for _, x := range []struct {
		pa   uint64
		kind mmu.Kind
		has  bool
	}{{0, mmu.RAM, true}, {0x9ffff, mmu.RAM, true}, {0xa0000, mmu.IO, true}, {0xe0000, mmu.ROM, true}, {0xd0000, 0, false},
		{LowRAMTop - 1, mmu.RAM, true}, {ECAMBase, mmu.IO, true}, {0xfec00000, mmu.IO, true}, {0xfee00000, mmu.IO, true},
		{0xffffffff, mmu.ROM, true}, {1 << 32, mmu.RAM, true}, {1<<32 + (4<<30 - LowRAMTop) - 1, mmu.RAM, true},
		{1<<32 + (4<<30 - LowRAMTop), 0, false}} {
		r := b.Mem.Find(x.pa)
		if (r != nil) != x.has || r != nil && r.Kind != x.kind {
			t.Errorf("at %#x is %+v", x.pa, r)
		}
	}
	if v := b.Mem.ReadUint(0xfffff, 1); v != 0x5a {
		t.Errorf("the BIOS's last byte at 1 MiB reads %#x", v)
	}
	// PAM: write to RAM under the ROM, then show it.
	b.PCI.WriteConfig(0, 0, 0x59, 1, 0x20)
	r := b.Mem.Find(0xf0000)
	r.WriteDev.WriteMMIO(0, 4, 0x11223344)
	if v := b.Mem.ReadUint(0xf0000, 1); v != 0xea {
		t.Errorf("reads come from RAM: %#x", v)
	}
	b.PCI.WriteConfig(0, 0, 0x59, 1, 0x10)
	b.Mem.WriteUint(0xf0000, 4, 0)
	if v := b.Mem.ReadUint(0xf0000, 4); v != 0x11223344 {
		t.Errorf("shadow RAM reads %#x", v)
	}
	b.PCI.WriteConfig(0, 0, 0x59, 1, 0x30)
	b.Mem.WriteUint(0xf0000, 4, 0x55)
	if v := b.Mem.ReadUint(0xf0000, 4); v != 0x55 {
		t.Errorf("shadow RAM cannot be written: %#x", v)
	}
	b.Reset()
	if v := b.Mem.ReadUint(0xf0000, 1); v != 0xea {
		t.Error("a reset does not bring the BIOS back")
	}
}

func TestPCIConfig(t *testing.T) {
	b, _ := testBoard(t, nil)
	cf8 := func(devfn, reg uint32) { b.Ports.Out(0xcf8, 4, 1<<31|devfn<<8|reg) }
	cf8(0, 0)
	if v := b.Ports.In(0xcfc, 4); v != 0x12378086 {
		t.Errorf("host bridge %#x", v)
	}
	if v := b.Ports.In(0xcfe, 2); v != 0x1237 {
		t.Errorf("device ID alone %#x", v)
	}
	if v := b.Mem.ReadUint(ECAMBase+1<<15, 4); v != 0x70008086 {
		t.Errorf("ISA bridge through ECAM %#x", v)
	}
	cf8(31<<3, 0)
	if v := b.Ports.In(0xcfc, 4); v != 0xffffffff {
		t.Errorf("an empty slot reads %#x", v)
	}
	// Size the framebuffer, move it, and see it there.
	cf8(2<<3, 0x10)
	b.Ports.Out(0xcfc, 4, 0xffffffff)
	if v := b.Ports.In(0xcfc, 4); v != 0xff000008 {
		t.Errorf("BAR 0 sizes as %#x", v)
	}
	for _, at := range []uint32{0xe0000000, 0xd0000000} {
		b.Ports.Out(0xcfc, 4, at)
		cf8(2<<3, 4)
		b.Ports.Out(0xcfc, 2, 2)
		if r := b.Mem.Find(uint64(at) + 0xffffff); r == nil || r.Kind != mmu.RAM {
			t.Errorf("the framebuffer is not at %#x", at)
		}
		cf8(2<<3, 0x10)
	}
	if b.Mem.Find(0xe0000000) != nil {
		t.Error("the framebuffer stayed at its old address")
	}
	// Over RAM and over the I/O APIC it is not decoded.
	for _, at := range []uint32{0, 0xff000000, 0xfe000000} {
		b.Ports.Out(0xcfc, 4, at)
		if r := b.Mem.Find(0xfec00000); r == nil || r.Name != "I/O APIC" {
			t.Fatalf("a BAR at %#x hides the I/O APIC", at)
		}
	}
	if r := b.Mem.Find(0); r == nil || r.Name != "RAM" {
		t.Error("a BAR hides RAM")
	}
}

func TestPowerOffAndResets(t *testing.T) {
	var off, resets, code int
	b, _ := testBoard(t, func(c *BoardConfig) {
		c.OnPowerOff = func() { off++ }
		c.OnReset = func() { resets++ }
		c.OnExit = func(n int) { code = n }
	})
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	b.Ports.Out(0xb2, 1, pm.AcpiEnable)
	if b.Ports.In(pm.Base+pm.PM1Control, 2)&1 == 0 {
		t.Error("SCI_EN is clear after ACPI was enabled")
	}
	b.Ports.Out(pm.Base+pm.PM1Control, 2, 1|pm.SleepTypeS5<<10|1<<13)
	b.Ports.Out(0xcf9, 1, 2)
	b.Ports.Out(0xcf9, 1, 6)
	b.Ports.Out(0x64, 1, 0xfe)
	b.Ports.Out(0x92, 1, 1)
	b.Ports.Out(0xf4, 1, 0x10)
	if off != 1 || resets != 3 || code != 0x21 {
		t.Errorf("%d power-offs, %d resets, exit code %#x", off, resets, code)
	}
}

func TestPowerButton(t *testing.T) {
	b, _ := testBoard(t, nil)
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	if b.PM.PowerButton() {
		t.Error("a guest without ACPI listens to the power button")
	}
	b.Ports.Out(pm.Base, 2, 0xffff)
	b.Ports.Out(0xb2, 1, pm.AcpiEnable)
	b.Ports.Out(pm.Base+2, 2, 1<<8)
	// SCI through the I/O APIC: pin 9, level.
	b.IOAPIC.WriteMMIO(0, 4, 0x10+2*9)
	b.IOAPIC.WriteMMIO(0x10, 4, 0x8059)
	if !b.PM.PowerButton() || !b.LAPIC(0).HasInterrupt() {
		t.Error("the power button makes no SCI")
	}
}

func TestPMTimer(t *testing.T) {
	b, clock := testBoard(t, nil)
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	clock.Advance(1e9)
	if v := b.Ports.In(pm.Base+pm.PMTimer, 4); v != pm.Hz {
		t.Errorf("the PM timer is at %d after a second", v)
	}
	clock.Advance(4e9)
	if v := b.Ports.In(pm.Base+pm.PMTimer, 4); v != 5*pm.Hz&0xffffff {
		t.Errorf("the PM timer is at %#x after five seconds: it has 24 bits", v)
	}
	if b.Ports.In(pm.Base, 2)&1 == 0 {
		t.Error("the timer's carry left no status")
	}
}

func TestFWCfg(t *testing.T) {
	b, _ := testBoard(t, func(c *BoardConfig) { c.FWCfg = map[string][]byte{"opt/test": []byte("hello")} })
	read := func(key uint32, n int) []byte {
		b.Ports.Out(0x510, 2, key)
		out := make([]byte, n)
		for i := range out {
			out[i] = byte(b.Ports.In(0x511, 1))
		}
		return out
	}
	if s := read(0, 4); string(s) != "QEMU" {
		t.Errorf("signature %q", s)
	}
	if s := read(3, 8); binary.LittleEndian.Uint64(s) != 16<<20 {
		t.Errorf("RAM size % x", s)
	}
	n := binary.BigEndian.Uint32(read(fwcfg.KeyFileDir, 4))
	dir := read(fwcfg.KeyFileDir, 4+64*int(n))[4:]
	names := map[string]uint32{}
	var last string
	for ; len(dir) > 0; dir = dir[64:] {
		name := string(bytes.TrimRight(dir[8:64], "\x00"))
		if name <= last {
			t.Errorf("%q comes after %q", name, last)
		}
		last = name
		names[name] = uint32(binary.BigEndian.Uint16(dir[4:]))
	}
	for _, want := range []string{"etc/e820", acpi.FileTables, acpi.FileLoader, acpi.FileRSDP, "opt/test"} {
		if names[want] == 0 {
			t.Errorf("no file %s", want)
		}
	}
	// The same by DMA, with a read past the end.
	req := binary.BigEndian.AppendUint32(nil, names["opt/test"]<<16|8|2)
	req = binary.BigEndian.AppendUint32(req, 8)
	req = binary.BigEndian.AppendUint64(req, 0x2000)
	b.Mem.Write(0x1000, req)
	b.Mem.Write(0x2000, []byte("XXXXXXXXY"))
	if hi, lo := b.Ports.In(0x514, 4), b.Ports.In(0x518, 4); hi != 0x554d4551 || lo != 0x47464320 {
		t.Errorf("DMA signature %#x %#x", hi, lo)
	}
	b.Ports.Out(0x518, 4, 0x00100000)
	var got [9]byte
	b.Mem.Read(0x2000, got[:])
	if string(got[:]) != "hello\x00\x00\x00Y" || b.Mem.ReadUint(0x1000, 4) != 0 {
		t.Errorf("DMA read %q, control %#x", got, b.Mem.ReadUint(0x1000, 4))
	}
}

// ata runs a command on drive 0 of the channel at base.
func ata(b *Board, base uint16, regs [6]uint32, cmd uint32) {
	for i, v := range regs {
		b.Ports.Out(base+1+uint16(i), 1, v)
	}
	b.Ports.Out(base+7, 1, cmd)
}

func readWords(b *Board, base uint16, n int) []byte {
	var out []byte
	for range n / 4 {
		out = binary.LittleEndian.AppendUint32(out, b.Ports.In(base, 4))
	}
	return out
}

func TestATA(t *testing.T) {
	b, _ := testBoard(t, nil)
	disk := pattern(1 << 20)
	ata(b, 0x1f0, [6]uint32{0, 0, 0, 0, 0, 0xe0}, 0xec)
	id := readWords(b, 0x1f0, 512)
	if n := binary.LittleEndian.Uint32(id[120:]); n != 2048 {
		t.Errorf("IDENTIFY says %d sectors", n)
	}
	if st := b.Ports.In(0x1f7, 1); st != 0x50 {
		t.Errorf("status %#x after IDENTIFY", st)
	}
	ata(b, 0x1f0, [6]uint32{0, 3, 5, 0, 0, 0xe0}, 0x20)
	if got := readWords(b, 0x1f0, 3*512); !bytes.Equal(got, disk[5*512:8*512]) {
		t.Error("READ SECTORS gives other data")
	}
	ata(b, 0x1f0, [6]uint32{0, 1, 7, 0, 0, 0xa0}, 0x20) // CHS 0/0/7
	if got := readWords(b, 0x1f0, 512); !bytes.Equal(got, disk[6*512:7*512]) {
		t.Error("CHS addresses another sector")
	}
	ata(b, 0x1f0, [6]uint32{0, 8, 0, 0, 0, 0xe0}, 0xc6)
	ata(b, 0x1f0, [6]uint32{0, 10, 100, 0, 0, 0xe0}, 0xc5) // WRITE MULTIPLE
	for range 10 * 128 {
		b.Ports.Out(0x1f0, 4, 0xdeadbeef)
	}
	if st := b.Ports.In(0x1f7, 1); st != 0x50 {
		t.Errorf("status %#x after WRITE MULTIPLE", st)
	}
	for i := range uint16(4) {
		b.Ports.Out(0x1f2+i, 1, 0) // the high bytes of a 48-bit address
	}
	ata(b, 0x1f0, [6]uint32{0, 1, 109, 0, 0, 0xe0}, 0x24)
	if got := readWords(b, 0x1f0, 512); binary.LittleEndian.Uint32(got[508:]) != 0xdeadbeef {
		t.Error("the last sector was not written")
	}
	ata(b, 0x1f0, [6]uint32{0, 1, 0xff, 0xff, 0xff, 0xef}, 0x20)
	if st, e := b.Ports.In(0x1f7, 1), b.Ports.In(0x1f1, 1); st&1 == 0 || e != 0x10 {
		t.Errorf("past the end: status %#x error %#x", st, e)
	}
	// The slave that is not there.
	b.Ports.Out(0x1f6, 1, 0xb0)
	if st := b.Ports.In(0x1f7, 1); st != 0 {
		t.Errorf("status of a missing drive %#x", st)
	}
}

func TestBusMasterDMA(t *testing.T) {
	b, _ := testBoard(t, nil)
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	disk := pattern(1 << 20)
	bm := uint16(b.PCI.ReadConfig(0, 9, 0x20, 4) &^ 3)
	if bm == 0 {
		t.Fatal("the bus master registers have no address")
	}
	// Two regions for 16 sectors.
	b.Mem.WriteUint(0x1000, 8, 0x0800_0010_0000)
	b.Mem.WriteUint(0x1008, 8, 0x80001800_00200000)
	b.Ports.Out(bm+4, 4, 0x1000)
	b.Ports.Out(bm, 1, 8)
	b.IOAPIC.WriteMMIO(0, 4, 0x10+2*14)
	b.IOAPIC.WriteMMIO(0x10, 4, 0x5e)
	ata(b, 0x1f0, [6]uint32{0, 16, 3, 0, 0, 0xe0}, 0xc8)
	b.Ports.Out(bm, 1, 9)
	if st := b.Ports.In(bm+2, 1); st&7 != 4 {
		t.Errorf("bus master status %#x", st)
	}
	got := make([]byte, 0x2000)
	b.Mem.Read(0x100000, got[:0x800])
	b.Mem.Read(0x200000, got[0x800:])
	if !bytes.Equal(got, disk[3*512:19*512]) {
		t.Error("DMA gives other data")
	}
	if v, ok := b.LAPIC(0).Ack(); !ok || v != 0x5e {
		t.Error("no interrupt at the end")
	}
	b.Ports.In(0x1f7, 1)
	b.Mem.Write(0x100000, bytes.Repeat([]byte{0xcc}, 0x800))
	b.Ports.Out(bm, 1, 0)
	b.Ports.Out(bm+2, 1, 6)
	ata(b, 0x1f0, [6]uint32{0, 16, 3, 0, 0, 0xe0}, 0xca)
	b.Ports.Out(bm, 1, 1)
	ata(b, 0x1f0, [6]uint32{0, 1, 3, 0, 0, 0xe0}, 0x20)
	if got := readWords(b, 0x1f0, 512); got[0] != 0xcc {
		t.Error("DMA write did not reach the disk")
	}
}

// packet sends a packet and returns the answer by programmed I/O.
func packet(b *Board, p ...byte) (data []byte, status uint32) {
	const base = 0x170
	ata(b, base, [6]uint32{0, 0, 0, 0, 0x10, 0xa0}, 0xa0)
	p = append(p, make([]byte, 12-len(p))...)
	for i := 0; i < 12; i += 2 {
		b.Ports.Out(base, 2, uint32(binary.LittleEndian.Uint16(p[i:])))
	}
	for {
		status = b.Ports.In(base+7, 1)
		if status&8 == 0 {
			return data, status
		}
		n := b.Ports.In(base+4, 1) | b.Ports.In(base+5, 1)<<8
		for range n / 2 {
			data = binary.LittleEndian.AppendUint16(data, uint16(b.Ports.In(base, 2)))
		}
	}
}

func TestATAPI(t *testing.T) {
	b, _ := testBoard(t, nil)
	disk := pattern(1 << 20)
	ata(b, 0x170, [6]uint32{0, 0, 0, 0, 0, 0xa0}, 0xec)
	if st, mid, hi := b.Ports.In(0x177, 1), b.Ports.In(0x174, 1), b.Ports.In(0x175, 1); st&1 == 0 || mid != 0x14 || hi != 0xeb {
		t.Errorf("IDENTIFY of a CD-ROM: status %#x signature %#x %#x", st, mid, hi)
	}
	if d, st := packet(b, 0x12, 0, 0, 0, 36); st&1 != 0 || len(d) != 36 || d[0] != 5 || !strings.HasPrefix(string(d[8:]), "HOTBLOCK") {
		t.Errorf("INQUIRY: %q, status %#x", d, st)
	}
	if d, _ := packet(b, 0x25); binary.BigEndian.Uint32(d) != 511 || binary.BigEndian.Uint32(d[4:]) != 2048 {
		t.Errorf("READ CAPACITY: % x", d)
	}
	if d, st := packet(b, 0x28, 0, 0, 0, 0, 9, 0, 0, 5); st&1 != 0 || !bytes.Equal(d, disk[9*2048:14*2048]) {
		t.Errorf("READ(10) gives %d bytes, status %#x", len(d), st)
	}
	if d, _ := packet(b, 0x43, 0, 0, 0, 0, 0, 0, 0, 100); len(d) != 20 {
		t.Errorf("READ TOC: % x", d)
	}
	if _, st := packet(b, 0x28, 0, 0, 0, 2, 0, 0, 0, 1); st&1 == 0 {
		t.Error("reading past the end succeeds")
	}
	if d, _ := packet(b, 0x03, 0, 0, 0, 18); d[2] != 5 || d[12] != 0x21 {
		t.Errorf("sense % x", d)
	}
	packet(b, 0x1e, 0, 0, 0, 1)
	if b.IDE.SetMedium(1, 0, nil) {
		t.Error("the disc comes out of a locked drive")
	}
	packet(b, 0x1e)
	b.IDE.SetMedium(1, 0, nil)
	if _, st := packet(b, 0x00); st&1 == 0 {
		t.Error("an empty drive is ready")
	}
	b.IDE.SetMedium(1, 0, &devices.MemDisk{Bytes: disk})
	if _, st := packet(b, 0x00); st&1 == 0 {
		t.Error("a new disc is no unit attention")
	}
	if _, st := packet(b, 0x00); st&1 != 0 {
		t.Error("the drive does not get ready")
	}
}

func TestVGAText(t *testing.T) {
	b, _ := testBoard(t, nil)
	// Mode 3, as far as reading out needs it.
	for i, v := range map[uint32]uint32{1: 79, 9: 15, 0x12: 0x8f, 7: 0x02, 0x13: 40, 0xa: 13, 0xb: 14, 0xe: 0, 0xf: 81} {
		b.Ports.Out(0x3d4, 2, i|v<<8)
	}
	b.Ports.Out(0x3c4, 2, 0x0302)
	b.Ports.Out(0x3c4, 2, 0x0204)
	b.Ports.Out(0x3ce, 2, 0x1005)
	b.Ports.Out(0x3ce, 2, 0x0e06)
	for i, c := range "Hello" {
		b.Mem.WriteUint(0xb8000+160+uint64(2*i), 2, uint64(c)|0x1700)
	}
	text, ok := b.VGA.Text()
	if !ok || text.Cols != 80 || text.Rows != 25 || text.Line(1) != "Hello" || text.Cells[80].Attr != 0x17 {
		t.Fatalf("screen %dx%d: %q", text.Cols, text.Rows, text.String())
	}
	if !text.CursorOn || text.CursorX != 1 || text.CursorY != 1 {
		t.Errorf("cursor at %d,%d", text.CursorX, text.CursorY)
	}
	if v := b.Mem.ReadUint(0xb8000+160, 2); v != 0x1748 {
		t.Errorf("reads back %#x", v)
	}
	if img := b.VGA.Image(); img.Rect.Dx() != 720 || img.Rect.Dy() != 400 {
		t.Errorf("image of %v", img.Rect)
	}
}

func TestVBE(t *testing.T) {
	b, _ := testBoard(t, nil)
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	vbe := func(i, v uint32) {
		b.Ports.Out(0x1ce, 2, i)
		b.Ports.Out(0x1cf, 2, v)
	}
	vbe(1, 640)
	vbe(2, 480)
	vbe(3, 32)
	vbe(4, 0x41)
	lfb := uint64(b.PCI.ReadConfig(0, 2<<3, 0x10, 4) &^ 15)
	b.Mem.WriteUint(lfb+4*(640*7+5), 4, 0x00112233)
	img := b.VGA.Image()
	if c := img.RGBAAt(5, 7); c.R != 0x11 || c.G != 0x22 || c.B != 0x33 || img.Rect.Dx() != 640 {
		t.Errorf("pixel %v of %v", c, img.Rect)
	}
	// The banked window shows the same memory.
	vbe(5, 0)
	if v := b.Mem.ReadUint(0xa0000+4*(640*7+5), 4); v != 0x00112233 {
		t.Errorf("the window at 0xa0000 reads %#x", v)
	}
}

// TestHPET runs a periodic timer over pin 2 in legacy mode: the PIT is cut off.
func TestHPET(t *testing.T) {
	b, clock := testBoard(t, nil)
	h := uint64(acpi.HPETBase)
	b.IOAPIC.WriteMMIO(0, 4, 0x10+2*2)
	b.IOAPIC.WriteMMIO(0x10, 4, 0x60)
	b.LAPIC(0).EnableVirtualWire()
	if v := b.Mem.ReadUint(h, 8); v>>32 != 10000000 {
		t.Errorf("period %d", v>>32)
	}
	b.Mem.WriteUint(h+0x100, 8, 1<<2|1<<3|1<<6)
	b.Mem.WriteUint(h+0x108, 8, 100000) // 1 ms
	b.Mem.WriteUint(h+0x10, 8, 3)
	n := 0
	for range 100 {
		clock.Advance(1e6)
		if _, ok := b.LAPIC(0).Ack(); ok {
			n++
			b.LAPIC(0).WriteMMIO(0xb0, 4, 0)
		}
	}
	if n != 100 {
		t.Errorf("%d interrupts in 100 ms", n)
	}
	if v := b.Mem.ReadUint(h+0xf0, 8); v != 10000000 {
		t.Errorf("counter %d after 100 ms", v)
	}
}

// TestPCIInterrupts drives a function by INTx and by MSI-X.
func TestPCIInterrupts(t *testing.T) {
	b, _ := testBoard(t, nil)
	f := pci.NewFunction("test", pci.ID{Vendor: 0x1af4, Device: 0x1000, IntPin: 1})
	f.AddMSIX(2, 1, 0, 0x800)
	f.AddBAR(1, pci.BAR{Size: 4096, MMIO: lapicless{}})
	slot, err := b.AddPCI(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	line := int(b.PCI.ReadConfig(0, slot<<3, pci.RegIntLine, 1))
	if line != 10 && line != 11 {
		t.Fatalf("interrupt line %d", line)
	}
	b.IOAPIC.WriteMMIO(0, 4, uint64(0x10+2*line))
	b.IOAPIC.WriteMMIO(0x10, 4, 0x8061)
	if f.Notify(0) {
		t.Error("MSI-X is on after reset")
	}
	f.SetINTx(true)
	if v, ok := b.LAPIC(0).Ack(); !ok || v != 0x61 {
		t.Error("INTx does not arrive")
	}
	f.SetINTx(false)
	b.LAPIC(0).WriteMMIO(0xb0, 4, 0)
	bar := uint64(b.PCI.ReadConfig(0, slot<<3, 0x14, 4) &^ 15)
	b.Mem.WriteUint(bar+16, 8, 0xfee01000)
	b.Mem.WriteUint(bar+24, 8, 0x71)
	b.PCI.WriteConfig(0, slot<<3, int(b.PCI.ReadConfig(0, slot<<3, pci.RegCapPtr, 1))+2, 2, 0x8000)
	b.LAPIC(1).EnableVirtualWire()
	if !f.Notify(1) || !b.LAPIC(1).HasInterrupt() {
		t.Error("MSI-X does not arrive")
	}
	f.Notify(0) // masked
	if v := b.Mem.ReadUint(bar+0x800, 8); v != 1 {
		t.Errorf("pending bits %#x", v)
	}
}

type lapicless struct{}

func (lapicless) ReadMMIO(uint64, int) uint64   { return 0 }
func (lapicless) WriteMMIO(uint64, int, uint64) {}

// FuzzBoard throws port, memory and configuration accesses at a whole board,
// and time. Nothing may panic or hang.
func FuzzBoard(f *testing.F) {
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 1))
		b := make([]byte, 4096)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Add([]byte{1, 0xf7, 0x01, 0xec, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		b, clock := testBoard(t, nil)
		if len(in) > 0 && in[0]&1 != 0 {
			if _, err := b.DirectBoot(); err != nil {
				t.Fatal(err)
			}
		}
		fuzzBoard(b, clock, in)
	})
}

// interesting has port ranges and memory windows with devices behind them.
var (
	fuzzPorts = []uint16{0x00, 0x20, 0x40, 0x60, 0x70, 0x80, 0xa0, 0xb0, 0xc0, 0xf4, 0x170, 0x1ce, 0x1f0, 0x376, 0x3b0, 0x3c0, 0x3d0,
		0x3f0, 0x4d0, 0x501, 0x510, 0x600, 0x608, 0x700, 0xcf8, 0xc000, 0xfff8}
	fuzzMem = []uint64{0xa0000, 0xb8000, 0xfec00000, 0xfed00000, 0xfee00000, 0xfee01000, ECAMBase, ECAMBase + 1<<15, ECAMBase + 2<<15,
		0xfd000000, 0xfebf0000, 0x1000, 0xfffffff8}
)

func fuzzBoard(b *Board, clock *devices.ManualClock, in []byte) {
	traffic(b, clock, in)
	b.Reset()
}

// traffic does what in says, eight bytes an access.
func traffic(b *Board, clock *devices.ManualClock, in []byte) {
	for len(in) >= 8 {
		op, size := in[0], 1<<(in[1]&3)
		v := uint64(binary.LittleEndian.Uint32(in[4:])) * 0x100000001
		port := fuzzPorts[int(in[2])%len(fuzzPorts)] + uint16(in[3]&15)
		pa := fuzzMem[int(in[2])%len(fuzzMem)] + uint64(in[3])*uint64(in[1]>>4)
		ps := min(size, 4)
		switch op % 10 {
		case 0, 1, 2:
			b.Ports.Out(port, ps, uint32(v))
		case 3:
			b.Ports.In(port, ps)
		case 4, 5:
			b.Mem.WriteUint(pa, size, v)
		case 6:
			b.Mem.ReadUint(pa, size)
		case 7:
			b.PCI.WriteConfig(0, []int{0, 8, 9, 11, 16}[int(in[2])%5], int(in[3]), min(size, 4), uint32(v))
		case 8:
			clock.Advance(int64(v & 0xffff))
		case 9:
			switch in[2] & 7 {
			case 0:
				b.LAPIC(0).Ack()
			case 1:
				b.LAPIC(1).WriteMSR(0x800+uint32(in[3]), v)
			case 2:
				b.LAPIC(0).WriteMSR(0x1b, 0xfee00000|uint64(in[3])<<8)
			case 3:
				b.UART[0].Receive(in[:in[3]&7])
			case 4:
				b.Keyboard.Type("a")
				b.Keyboard.MoveMouse(int(in[3]), -int(in[4]), in[5])
			case 5:
				b.VGA.Text()
			case 6:
				b.PM.PowerButton()
			case 7:
				b.LAPIC(0).ReadMSR(0x800 + uint32(in[3]))
			}
		}
		in = in[8:]
	}
}

// TestRandomTraffic is the fuzz function on fixed random input, with every
// picture drawn once at the end.
func TestRandomTraffic(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		b, clock := testBoard(t, nil)
		if _, err := b.DirectBoot(); err != nil {
			t.Fatal(err)
		}
		in := make([]byte, 8*2000)
		for i := range in {
			in[i] = byte(r.Uint32())
		}
		fuzzBoard(b, clock, in)
		b.VGA.Image()
	}
}

// TestConcurrentTraffic throws random accesses at a board from several
// goroutines, with timers running on host time: a wrong lock order ends it in a
// deadlock, and the race detector sees what is not locked.
func TestConcurrentTraffic(t *testing.T) {
	clock := devices.NewRealClock()
	b, _ := testBoard(t, func(c *BoardConfig) { c.Clock = clock })
	if _, err := b.DirectBoot(); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for seed := range uint64(4) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			r := rand.New(rand.NewPCG(seed, 3))
			in := make([]byte, 8*20000)
			for i := range in {
				in[i] = byte(r.Uint32())
			}
			traffic(b, devices.NewManualClock(), in)
		}()
	}
	wg.Wait()
	clock.Pause()
}
