// Package machine wires a PC: memory, devices and CPUs, and runs it.
package machine

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"hotblock/devices"
	"hotblock/devices/acpi"
	"hotblock/devices/debugport"
	"hotblock/devices/dma"
	"hotblock/devices/fwcfg"
	"hotblock/devices/hpet"
	"hotblock/devices/i440fx"
	"hotblock/devices/i8042"
	"hotblock/devices/ide"
	"hotblock/devices/ioapic"
	"hotblock/devices/lapic"
	"hotblock/devices/pci"
	"hotblock/devices/pic"
	"hotblock/devices/piix"
	"hotblock/devices/pit"
	"hotblock/devices/pm"
	"hotblock/devices/rtc"
	"hotblock/devices/smbios"
	"hotblock/devices/uart"
	"hotblock/devices/vga"
	"hotblock/mmu"
	"hotblock/x86"
)

// The board's address map. RAM fills [0, LowRAMTop) and goes on at 4 GiB.
const (
	LowRAMTop = 0xb0000000 // RAM below 4 GiB ends here at the latest
	ECAMBase  = 0xb0000000 // PCI configuration space, 256 MiB
	PCI32Base = 0xc0000000 // PCI memory below 4 GiB
	PCI32End  = 0xfec00000
	PCI64End  = 1 << 39

	// For direct boot: ACPI's root pointer, SMBIOS entry point and tables.
	rsdpAddr   = 0xf0000
	smbiosAddr = 0xf0040
	smbiosTab  = 0xf1000

	ebda = 0x9fc00 // end of conventional memory
)

// MinRAM is the least memory a board is built with, in bytes.
const MinRAM = 1 << 20

// BoardConfig says what is on the board.
type BoardConfig struct {
	RAM  uint64 // bytes, a multiple of 4 KiB
	CPUs int    // 1 to 255

	BIOS    []byte // firmware image, ends at 4 GiB; nil for direct boot
	VGA     bool   // a VGA at PCI slot 2
	VGABIOS []byte // its option ROM; nil for none
	HPET    bool

	// IDE are the drives: primary master and slave, secondary master and slave.
	IDE [4]IDEDrive

	Clock devices.Clock // nil: real time
	// TSC reads CPU i's time stamp counter, offset included; TSCHz is its
	// frequency. nil: the clock, in ns.
	TSC     func(cpu int) uint64
	TSCHz   uint64
	TimerHz uint64 // frequency of the APIC timer (CPUID leaf 0x15); 0: 1 GHz
	// Signals are the CPUs. They may be connected later, with Connect.
	Signals  []x86.Signals
	PhysBits uint // MAXPHYADDR; 0: 40

	// Serial are the outputs of COM1 to COM4; ports past its end, and nil
	// ones, are absent, but for io.Discard.
	Serial []io.Writer
	// DebugOut gets the bytes of ports 0xe9 and 0x402.
	DebugOut io.Writer

	RTC       time.Time         // date at start; zero: the host's, in UTC
	BootOrder string            // of c (disk), d (CD-ROM), a (floppy), n (network); "" is "cd"
	BootMenu  bool              // SeaBIOS asks for F12
	FWCfg     map[string][]byte // more files for fw_cfg

	// Events of the guest. They are called on the goroutine of the CPU that
	// made them, with no lock held, and should only note what happened.
	OnPowerOff func()
	OnReset    func()
	OnExit     func(code int) // debug exit ports
	OnA20      func(enabled bool)
	// GuestError is told of what a correct guest does not do (-d guest_errors).
	GuestError func(format string, args ...any)
}

// IDEDrive is a drive on an IDE channel. The zero value is none.
type IDEDrive struct {
	Disk   devices.Disk // of a CD-ROM drive: nil for an empty tray
	CDROM  bool
	Serial string // at most 20 characters; "" for a default
}

// E820 is one range of the memory map that firmware gives to a system.
type E820 struct {
	Base, Size uint64
	Type       uint32 // 1 RAM, 2 reserved, 3 ACPI tables, 4 ACPI NVS
}

// Types of E820 ranges.
const (
	E820RAM      = 1
	E820Reserved = 2
	E820ACPI     = 3
)

// Board is a PC without CPUs. It alone knows where everything is.
type Board struct {
	Mem   *mmu.Memory
	Ports *devices.PortBus
	Clock devices.Clock

	APIC     *lapic.Bus
	IOAPIC   *ioapic.IOAPIC
	PIC      *pic.PIC
	PIT      *pit.PIT
	RTC      *rtc.RTC
	UART     [4]*uart.UART // nil where absent
	Keyboard *i8042.Controller
	PCI      *pci.Bus
	PM       *pm.PM
	IDE      *ide.Controller
	VGA      *vga.VGA   // nil where absent
	HPET     *hpet.HPET // nil where absent
	DMA      *dma.DMA
	FWCfg    *fwcfg.FWCfg
	POST     *debugport.POST

	cfg    BoardConfig
	ram    *mmu.Block
	rom    *mmu.Block
	lowTop uint64 // end of RAM below 4 GiB
	top    uint64 // end of RAM above 4 GiB, 4 GiB for none
	host   *i440fx.Bridge
	isa    *piix.Bridge
	lines  [16]*devices.SharedLine
	tables *acpi.Tables
	acpiAt uint64
	// pitLine and rtcLine are cut while the HPET replaces PIT and RTC.
	pitLine, rtcLine *gate
	ferr             devices.IRQLine
}

// gate is a wire with a switch in it.
type gate struct {
	mu          sync.Mutex
	out         devices.IRQLine
	level, open bool
}

func (g *gate) Set(level bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.level = level
	g.out.Set(level && !g.open)
}

func (g *gate) cut(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	g.out.Set(g.level && !open)
}

// comPorts are the serial ports of a PC.
var comPorts = [4]acpi.COM{{Port: 0x3f8, IRQ: 4}, {Port: 0x2f8, IRQ: 3}, {Port: 0x3e8, IRQ: 4}, {Port: 0x2e8, IRQ: 3}}

// NewBoard builds the board in its power-on state. It fails where the
// configuration cannot be: the error names the value and what to do.
func NewBoard(cfg BoardConfig) (*Board, error) {
	switch {
	case cfg.CPUs < 1 || cfg.CPUs > 255:
		return nil, fmt.Errorf("%d CPUs: give 1 to 255", cfg.CPUs)
	case cfg.RAM < MinRAM:
		return nil, fmt.Errorf("%d bytes of memory: give at least 1 MiB", cfg.RAM)
	case cfg.RAM%mmu.PageSize != 0:
		return nil, fmt.Errorf("%d bytes of memory: give a multiple of 4 KiB", cfg.RAM)
	case cfg.RAM > PCI64End/2:
		return nil, fmt.Errorf("%d GiB of memory: give at most %d GiB", cfg.RAM>>30, uint64(PCI64End/2)>>30)
	case len(cfg.BIOS)%mmu.PageSize != 0 || len(cfg.BIOS) > 16<<20:
		return nil, fmt.Errorf("a BIOS image of %d bytes: it has to be a multiple of 4 KiB and at most 16 MiB", len(cfg.BIOS))
	}
	if cfg.Clock == nil {
		cfg.Clock = devices.NewRealClock()
	}
	if cfg.TSC == nil {
		clock := cfg.Clock
		cfg.TSC = func(int) uint64 { return uint64(clock.Now()) }
		cfg.TSCHz = 1e9
	}
	if cfg.RTC.IsZero() {
		cfg.RTC = time.Now().UTC()
	}
	b := &Board{Mem: &mmu.Memory{}, Ports: &devices.PortBus{}, Clock: cfg.Clock, cfg: cfg}
	if err := b.memory(); err != nil {
		return nil, err
	}
	b.interrupts()
	b.legacy()
	if err := b.pci(); err != nil {
		return nil, err
	}
	if err := b.firmware(); err != nil {
		return nil, err
	}
	b.Reset()
	return b, nil
}

// memory lays out RAM and ROM.
func (b *Board) memory() error {
	ram, err := mmu.NewBlock("RAM", b.cfg.RAM)
	if err != nil {
		return err
	}
	b.ram = ram
	b.lowTop = min(b.cfg.RAM, LowRAMTop)
	b.top = 1 << 32
	b.Mem.Map(mmu.Region{Name: "RAM", Base: 0, Size: 0xa0000, Blk: ram})
	if b.lowTop > 1<<20 {
		b.Mem.Map(mmu.Region{Name: "RAM", Base: 1 << 20, Size: b.lowTop - 1<<20, Blk: ram, Off: 1 << 20})
	}
	if rest := b.cfg.RAM - b.lowTop; rest > 0 {
		b.Mem.Map(mmu.Region{Name: "RAM above 4 GiB", Base: 1 << 32, Size: rest, Blk: ram, Off: b.lowTop})
		b.top += rest
	}
	if n := uint64(len(b.cfg.BIOS)); n > 0 {
		if b.rom, err = mmu.NewBlock("BIOS", n); err != nil {
			return err
		}
		copy(b.rom.Bytes, b.cfg.BIOS)
		b.Mem.Map(mmu.Region{Name: "BIOS", Base: 1<<32 - n, Size: n, Kind: mmu.ROM, Blk: b.rom})
	}
	return nil
}

// interrupts builds local APICs, I/O APIC and PIC, and the 16 ISA lines that
// end at both of the latter.
func (b *Board) interrupts() {
	b.APIC = &lapic.Bus{}
	for i := range b.cfg.CPUs {
		c := lapic.Config{
			ID: uint32(i), BSP: i == 0, Clock: b.Clock,
			TSC: func() uint64 { return b.cfg.TSC(i) }, TSCHz: b.cfg.TSCHz,
			TimerHz: b.cfg.TimerHz, PhysBits: b.cfg.PhysBits,
		}
		if i < len(b.cfg.Signals) {
			c.Signals = b.cfg.Signals[i]
		}
		lapic.New(b.APIC, c)
	}
	bsp := b.LAPIC(0)
	b.IOAPIC = ioapic.New(b.APIC, 0)
	b.APIC.OnEOI(b.IOAPIC.EOI)
	b.PIC = pic.New(devices.IRQFunc(bsp.LINT0))
	bsp.ConnectPIC(b.PIC.Ack)
	b.PIC.Attach(b.Ports)
	for irq := range b.lines {
		pin := irq
		switch irq {
		case 0:
			pin = 2 // the MADT's override
		case 2:
			pin = -1
		}
		b.lines[irq] = devices.NewSharedLine(devices.Fan(b.PIC.Line(irq), b.IOAPIC.Pin(pin)))
	}
	b.Mem.Map(mmu.Region{Name: "local APIC", Base: lapic.Base, Size: 1 << 20, Kind: mmu.IO, Dev: lapic.MSIWindow{Bus: b.APIC}})
	b.Mem.Map(mmu.Region{Name: "I/O APIC", Base: ioapic.Base, Size: mmu.PageSize, Kind: mmu.IO, Dev: b.IOAPIC})
}

// IRQ returns a new source of an ISA interrupt line.
func (b *Board) IRQ(n int) devices.IRQLine { return b.lines[n&15].Source() }

// FERR is the CPU's pin that reports an x87 exception where CR0.NE is clear: it
// raises IRQ 13, which a write to port 0xf0 lowers.
func (b *Board) FERR() { b.ferr.Set(true) }

// legacy builds what sits at fixed ports.
func (b *Board) legacy() {
	b.pitLine, b.rtcLine = &gate{out: b.IRQ(0)}, &gate{out: b.IRQ(8)}
	b.PIT = pit.New(b.Clock, b.pitLine)
	b.PIT.Attach(b.Ports)
	b.RTC = rtc.New(b.Clock, b.rtcLine, b.cfg.RTC)
	b.RTC.Attach(b.Ports)
	b.Keyboard = i8042.New(b.IRQ(1), b.IRQ(12))
	b.Keyboard.Attach(b.Ports)
	b.Keyboard.OnReset(b.reset)
	if b.cfg.OnA20 != nil {
		b.Keyboard.OnA20(b.cfg.OnA20)
	}
	for i, w := range b.cfg.Serial {
		if i >= len(b.UART) || w == nil {
			continue
		}
		b.UART[i] = uart.New(b.Clock, b.IRQ(comPorts[i].IRQ), w)
		b.Ports.Claim(comPorts[i].Port, 8, 1, b.UART[i])
	}
	con := debugport.Console{Out: b.cfg.DebugOut}
	con.Attach(b.Ports, 0xe9)
	con.Attach(b.Ports, 0x402)
	exit := debugport.Exit{Do: b.cfg.OnExit}
	exit.Attach(b.Ports, 0xf4, 4)
	exit.Attach(b.Ports, 0x501, 4)
	b.ferr = b.IRQ(13)
	b.Ports.Claim(0xf0, 2, 1, devices.PortFuncs{Write: func(uint16, int, uint32) { b.ferr.Set(false) }})
	b.POST = &debugport.POST{}
	b.Ports.Claim(0x80, 1, 1, b.POST)
	b.DMA = dma.New()
	b.DMA.Attach(b.Ports)
	if b.cfg.HPET {
		pin := func(gsi int) devices.IRQLine {
			switch gsi {
			case 2:
				return b.IRQ(0)
			case 8:
				return b.IRQ(8)
			}
			return b.IOAPIC.Pin(gsi)
		}
		b.HPET = hpet.New(b.Clock, pin, b.APIC.MSI, func(on bool) {
			b.pitLine.cut(on)
			b.rtcLine.cut(on)
		})
		b.Mem.Map(mmu.Region{Name: "HPET", Base: acpi.HPETBase, Size: mmu.PageSize, Kind: mmu.IO, Dev: b.HPET})
	}
	if f := b.cfg.GuestError; f != nil {
		b.Ports.Unclaimed = func(port uint16, size int, write bool, v uint32) {
			if write {
				f("write of %#x, %d bytes, to port %#x that no device has", v, size, port)
			} else {
				f("read of %d bytes from port %#x that no device has", size, port)
			}
		}
	}
}

func (b *Board) reset() {
	if b.cfg.OnReset != nil {
		b.cfg.OnReset()
	}
}

// pci builds the bus and what is on it.
func (b *Board) pci() error {
	b.isa = piix.New(func(irq int) devices.IRQLine {
		if irq < 3 || irq == 8 || irq == 13 {
			return devices.NoIRQ // reserved in the routing registers
		}
		return b.IRQ(irq)
	})
	b.PCI = pci.NewBus(b.Mem, b.Ports, b.APIC.MSI, b.isa)
	b.PCI.AddWindow(PCI32Base, PCI32End-PCI32Base)
	b.PCI.AddWindow(b.top, PCI64End-b.top)
	b.Mem.Map(mmu.Region{Name: "PCI configuration", Base: ECAMBase, Size: pci.ECAMSize, Kind: mmu.IO, Dev: pci.ECAM{Bus: b.PCI}})
	b.host = i440fx.New(b.pam)
	b.PM = pm.New(b.Clock, b.Ports, b.IRQ(9))
	b.PM.Attach()
	b.PM.OnReset(b.reset)
	b.PM.OnPowerOff(func() {
		if b.cfg.OnPowerOff != nil {
			b.cfg.OnPowerOff()
		}
	})
	b.PCI.CF9 = b.PM.CF9()
	b.IDE = ide.New(b.IRQ(14), b.IRQ(15))
	b.IDE.Attach(b.Ports)
	for i, d := range b.cfg.IDE {
		serial := d.Serial
		if serial == "" {
			serial = fmt.Sprintf("HB%05d", i+1)
		}
		switch {
		case d.CDROM:
			b.IDE.AddCDROM(i>>1, i&1, d.Disk, serial)
		case d.Disk != nil:
			b.IDE.AddDisk(i>>1, i&1, d.Disk, serial)
		}
	}
	for _, x := range []struct {
		slot, fn int
		f        *pci.Function
	}{{0, 0, b.host.Function}, {1, 0, b.isa.Function}, {1, 1, b.IDE.Function}, {1, 3, b.PM.Function}} {
		if err := b.PCI.Add(x.slot, x.fn, x.f); err != nil {
			return err
		}
	}
	if !b.cfg.VGA {
		return nil
	}
	v, err := vga.New(b.Clock, b.Mem, b.cfg.VGABIOS)
	if err != nil {
		return err
	}
	b.VGA = v
	v.Attach(b.Ports)
	b.Mem.Map(mmu.Region{Name: "VGA", Base: vga.WindowBase, Size: vga.WindowSize, Kind: mmu.IO, Dev: v})
	return b.PCI.Add(2, 0, v.Function)
}

// pam maps a segment of 0xc0000-0xfffff by the host bridge's attributes. What
// is not RAM is the BIOS's last 128 KiB at 0xe0000 and nothing below that.
func (b *Board) pam(base, size uint64, attr int) {
	ram := mmu.Region{Name: "RAM", Base: base, Size: size, Blk: b.ram, Off: base}
	if attr == i440fx.ReadRAM|i440fx.WriteRAM {
		b.Mem.Map(ram)
		return
	}
	if attr == i440fx.ReadRAM {
		ram.Kind = mmu.ROM
		b.Mem.Map(ram)
		return
	}
	var sink mmu.MMIO
	if attr == i440fx.WriteRAM {
		sink = shadow{b.Mem, b.ram, base}
	}
	n := uint64(len(b.cfg.BIOS))
	if off := 1<<20 - base; b.rom != nil && off <= min(n, 0x20000) {
		b.Mem.Map(mmu.Region{Name: "BIOS", Base: base, Size: size, Kind: mmu.ROM, Blk: b.rom, Off: n - off, WriteDev: sink})
		return
	}
	if sink != nil {
		b.Mem.Map(mmu.Region{Name: "shadow", Base: base, Size: size, Kind: mmu.IO, Dev: sink})
		return
	}
	b.Mem.Unmap(base, size)
}

// shadow writes to the RAM behind a segment that reads from the bus.
type shadow struct {
	mem  *mmu.Memory
	ram  *mmu.Block
	base uint64
}

func (s shadow) ReadMMIO(uint64, int) uint64 { return ^uint64(0) }

func (s shadow) WriteMMIO(off uint64, size int, v uint64) {
	var p [8]byte
	binary.LittleEndian.PutUint64(p[:], v)
	at := s.base + off
	if at+uint64(size) > 1<<20 {
		return
	}
	for i, x := range p[:size] {
		s.ram.Bytes[at+uint64(i)] = x
		s.mem.Touched(s.ram, at+uint64(i), 1)
	}
}

// firmware fills CMOS and fw_cfg with what firmware asks for.
func (b *Board) firmware() error {
	b.FWCfg = fwcfg.New(devices.DMA{Mem: b.Mem})
	b.FWCfg.Attach(b.Ports)
	f := b.FWCfg
	f.SetUint(fwcfg.KeyRAMSize, b.cfg.RAM, 8)
	f.SetUint(fwcfg.KeyCPUs, uint64(b.cfg.CPUs), 2)
	f.SetUint(fwcfg.KeyMaxCPUs, uint64(b.cfg.CPUs), 2)
	f.SetUint(fwcfg.KeyNoGraphic, 0, 2)
	f.SetUint(fwcfg.KeyIRQ0, 1, 4)
	menu := uint64(0)
	if b.cfg.BootMenu {
		menu = 1
	}
	f.SetUint(fwcfg.KeyBootMenu, menu, 2)
	f.SetItem(fwcfg.KeyUUID, make([]byte, 16))
	var e820 []byte
	for _, r := range b.memoryMap() {
		e820 = binary.LittleEndian.AppendUint64(e820, r.Base)
		e820 = binary.LittleEndian.AppendUint64(e820, r.Size)
		e820 = binary.LittleEndian.AppendUint32(e820, r.Type)
	}
	ac := acpi.Config{
		CPUs: b.cfg.CPUs, ECAM: ECAMBase, PCI32Lo: PCI32Base, PCI32Hi: PCI32End - 1,
		PCI64Lo: (b.top + 1<<30 - 1) &^ (1<<30 - 1), PCI64Hi: PCI64End - 1,
		HPET: b.cfg.HPET, FWCfg: true,
	}
	for i, u := range b.UART {
		if u != nil {
			ac.COM = append(ac.COM, comPorts[i])
		}
	}
	b.tables = acpi.Build(ac)
	anchor, tables := smbios.Build(smbios.Config{CPUs: b.cfg.CPUs, RAM: b.cfg.RAM}, smbiosTab)
	files := map[string][]byte{
		"etc/e820":          e820,
		acpi.FileTables:     b.tables.Blob,
		acpi.FileRSDP:       b.tables.RSDP,
		acpi.FileLoader:     b.tables.Loader(),
		smbios.FileAnchor:   anchor,
		smbios.FileTables:   tables,
		"etc/system-states": {128, 0, 0, 129, 128, 128},
	}
	if b.cfg.BootMenu {
		files["etc/boot-menu-wait"] = []byte{0x88, 0x13} // 5000 ms
	}
	for name, data := range b.cfg.FWCfg {
		files[name] = data
	}
	for name, data := range files {
		if err := f.SetFile(name, data); err != nil {
			return err
		}
	}
	b.cmos()
	return nil
}

// cmos writes the bytes by which a BIOS of this board learns of its memory.
func (b *Board) cmos() {
	set := func(i int, v uint64, n int) {
		for k := range n {
			b.RTC.SetCMOS(i+k, byte(v>>(8*k)))
		}
	}
	low := b.lowTop
	ext := min((low-1<<20)>>10, 0xffff)
	set(0x15, 640, 2)
	set(0x17, ext, 2)
	set(0x30, ext, 2)
	if low > 16<<20 {
		set(0x34, min((low-16<<20)>>16, 0xffff), 2)
	}
	set(0x5b, (b.top-1<<32)>>16, 3)
	set(0x5f, uint64(b.cfg.CPUs-1), 1)
	set(0x14, 0x06, 1) // equipment: FPU, PS/2 mouse
	// The BIOS translates the geometry of disks over 504 MiB by LBA.
	trans := uint64(0)
	for i, d := range b.cfg.IDE {
		if !d.CDROM && d.Disk != nil && d.Disk.Size() > 1024*16*63*512 {
			trans |= 1 << (2 * i)
		}
	}
	set(0x39, trans, 1)
	order := b.cfg.BootOrder
	if order == "" {
		order = "cd"
	}
	var codes [3]byte
	for i := 0; i < len(order) && i < len(codes); i++ {
		switch order[i] {
		case 'a':
			codes[i] = 1
		case 'c':
			codes[i] = 2
		case 'd':
			codes[i] = 3
		case 'n':
			codes[i] = 4
		}
	}
	set(0x3d, uint64(codes[0]|codes[1]<<4), 1)
	set(0x38, uint64(codes[2]<<4), 1)
}

// memoryMap is RAM and what is reserved beside it, as fw_cfg tells firmware.
func (b *Board) memoryMap() []E820 {
	m := []E820{{0, b.lowTop, E820RAM}, {ECAMBase, pci.ECAMSize, E820Reserved}}
	if b.top > 1<<32 {
		m = append(m, E820{1 << 32, b.top - 1<<32, E820RAM})
	}
	return m
}

// E820 is the memory map for a kernel that is booted directly.
func (b *Board) E820() []E820 {
	m := []E820{
		{0, ebda, E820RAM},
		{ebda, 0xa0000 - ebda, E820Reserved},
		{0xf0000, 0x10000, E820Reserved},
	}
	if b.acpiAt > 1<<20 {
		m = append(m, E820{1 << 20, b.acpiAt - 1<<20, E820RAM},
			E820{b.acpiAt, b.lowTop - b.acpiAt, E820ACPI})
	} else if b.lowTop > 1<<20 {
		m = append(m, E820{1 << 20, b.lowTop - 1<<20, E820RAM})
	}
	m = append(m, E820{ECAMBase, pci.ECAMSize, E820Reserved}, E820{0xfffc0000, 0x40000, E820Reserved})
	if b.top > 1<<32 {
		m = append(m, E820{1 << 32, b.top - 1<<32, E820RAM})
	}
	return m
}

// LAPIC returns CPU i's local APIC: its x86.IntController, and the mmu.MMIO of
// the page at its Window, which each CPU has to itself.
func (b *Board) LAPIC(i int) *lapic.LAPIC { return b.APIC.APICs()[i] }

// Connect joins CPU i to its local APIC. Call it before the machine runs.
func (b *Board) Connect(i int, sig x86.Signals) { b.LAPIC(i).Connect(sig) }

// RAM returns the block of all RAM: byte n of it is address n below LowRAM,
// and 4 GiB + n - LowRAM above.
func (b *Board) RAM() *mmu.Block { return b.ram }

// LowRAM returns the end of RAM below 4 GiB.
func (b *Board) LowRAM() uint64 { return b.lowTop }

// AddPCI puts a function on the bus, in the first free slot from 3 on, and
// returns the slot.
func (b *Board) AddPCI(f *pci.Function) (slot int, err error) {
	slot = b.PCI.FreeSlot(3)
	if slot < 0 {
		return 0, fmt.Errorf("no PCI slot is left for %s", f.Name)
	}
	return slot, b.PCI.Add(slot, 0, f)
}

// Reset brings every device to its power-on state. RAM keeps its content, the
// clock and CMOS theirs. The CPUs are reset by their owner, and must not run
// meanwhile.
func (b *Board) Reset() {
	for _, l := range b.APIC.APICs() {
		l.Reset()
	}
	b.IOAPIC.Reset()
	b.PIC.Reset()
	b.PCI.Reset()
	b.PM.Reset()
	b.PIT.Reset()
	b.RTC.Reset()
	b.Keyboard.Reset()
	for _, u := range b.UART {
		if u != nil {
			u.Reset()
		}
	}
	b.FWCfg.Reset()
	b.ferr.Set(false)
	b.IDE.Reset()
	b.DMA.Reset()
	if b.VGA != nil {
		b.VGA.Reset()
	}
	if b.HPET != nil {
		b.HPET.Reset()
	}
	b.acpiAt = 0
}

// Free gives the board's memory back to the host. Nothing may use the board,
// or run on it, after.
func (b *Board) Free() {
	b.ram.Free()
	if b.rom != nil {
		b.rom.Free()
	}
	if b.VGA != nil {
		b.VGA.Free()
	}
}

// DirectBoot does what a BIOS does before it starts a system, for a kernel that
// is booted without one: it places the ACPI tables in memory, makes
// 0xc0000-0xfffff RAM, gives PCI functions their addresses and interrupts and
// sets up interrupt controllers. Call it after Reset and before E820. It
// returns the address of the RSDP.
func (b *Board) DirectBoot() (rsdp uint64, err error) {
	for r := range 7 {
		v := uint32(0x33)
		if r == 0 {
			v = 0x30
		}
		b.PCI.WriteConfig(0, 0, 0x59+r, 1, v)
	}
	size := (uint64(len(b.tables.Blob)) + mmu.PageSize - 1) &^ (mmu.PageSize - 1)
	if b.lowTop < 2<<20+size {
		return 0, fmt.Errorf("%d MiB of memory are too little to boot a kernel: give more", b.cfg.RAM>>20)
	}
	b.acpiAt = b.lowTop - size
	blob, root := b.tables.Place(b.acpiAt)
	b.Mem.Write(b.acpiAt, blob)
	b.Mem.Write(rsdpAddr, root)
	anchor, tables := smbios.Build(smbios.Config{CPUs: b.cfg.CPUs, RAM: b.cfg.RAM}, smbiosTab)
	b.Mem.Write(smbiosAddr, anchor)
	b.Mem.Write(smbiosTab, tables)

	b.PM.FirmwareInit(b.PCI)
	b.IDE.FirmwareInit(b.PCI)
	irqs := []uint32{10, 10, 11, 11}
	for w, irq := range irqs {
		b.PCI.WriteConfig(0, 1<<3, 0x60+w, 1, irq)
	}
	if err := b.PCI.Assign(0xc000); err != nil {
		return 0, err
	}
	for _, f := range b.PCI.Functions() {
		if pin := f.Reg(pci.RegIntPin, 1); pin != 0 && f != b.PM.Function {
			slot, fn := f.Slot()
			b.PCI.WriteConfig(0, slot<<3|fn, pci.RegIntLine, 1, irqs[piix.Wire(slot, int(pin-1))])
		}
	}
	if b.VGA != nil {
		b.VGA.SetTextMode()
	}
	out := func(port uint16, vals ...uint32) {
		for _, v := range vals {
			b.Ports.Out(port, 1, v)
		}
	}
	out(0x4d1, 0x0c) // PCI interrupts are level-triggered
	out(0x20, 0x11)
	out(0x21, 0x08, 0x04, 0x01, 0xff)
	out(0xa0, 0x11)
	out(0xa1, 0x70, 0x02, 0x01, 0xff)
	for i, l := range b.APIC.APICs() {
		if i == 0 {
			l.EnableVirtualWire()
		}
	}
	return rsdpAddr, nil
}
