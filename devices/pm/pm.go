// Package pm is the power management function of the PIIX4 (82371AB, function
// 3): the ACPI registers, the SMI command ports 0xb2 and 0xb3, the SMBus host
// controller, and the reset control register at port 0xcf9.
//
// There is no system management mode; a write of AcpiEnable or AcpiDisable to
// port 0xb2 does at once what a BIOS's handler would have done.
package pm

import (
	"sync"

	"hotblock/devices"
	"hotblock/devices/pci"
)

// Hz is the frequency of the PM timer.
const Hz = 3579545

// Base is where firmware of this machine puts the ACPI registers, and SMBus
// those of the SMBus controller.
const (
	Base  = 0x600
	SMBus = 0x700
)

// What the FADT tells an operating system to write to port 0xb2.
const (
	AcpiEnable  = 0xf1
	AcpiDisable = 0xf0
)

// Offsets from Base (82371AB data sheet, 7.2; the ACPI blocks in FADT terms).
const (
	PM1Event   = 0x00
	PM1Control = 0x04
	PMTimer    = 0x08
	GPE0       = 0x0c
)

// SleepTypeS5 is the SLP_TYP of soft off.
const SleepTypeS5 = 0

// PM1 status and enable bits (ACPI 4.8.4.1).
const (
	stsTimer  = 1 << 0
	stsBM     = 1 << 4
	stsGlobal = 1 << 5
	stsPower  = 1 << 8
	stsSleep  = 1 << 9
	stsRTC    = 1 << 10
	stsWake   = 1 << 15
	stsAll    = stsTimer | stsBM | stsGlobal | stsPower | stsSleep | stsRTC | stsWake
	enAll     = stsTimer | stsGlobal | stsPower | stsSleep | stsRTC

	cntSCI   = 1 << 0
	cntSlpEn = 1 << 13
)

const (
	regPMBase  = 0x40
	regDevActB = 0x58
	regPMMisc  = 0x80
	regSMBase  = 0x90
	regSMCfg   = 0xd2
)

// PM is function 3 of slot 1.
type PM struct {
	*pci.Function
	clock devices.Clock
	ports *devices.PortBus
	sci   devices.IRQLine

	onPowerOff func()
	onReset    func()

	claimMu sync.Mutex
	claim   *devices.PortClaim
	smClaim *devices.PortClaim
	base    uint16
	smBase  uint16

	mu       sync.Mutex
	sts, en  uint16
	cnt      uint16
	gpeSts   uint16
	gpeEn    uint16
	other    [64]byte // PIIX4's own registers past GPE0
	apmc     byte
	apms     byte
	rcr      byte
	smb      [16]byte
	timer    devices.Timer
	timerAt  int64
	overflow uint64 // half periods of the PM timer seen
}

// New returns the function; sci is its interrupt, ISA IRQ 9, active high.
func New(clock devices.Clock, ports *devices.PortBus, sci devices.IRQLine) *PM {
	p := &PM{
		Function: pci.NewFunction("PIIX4 PM", pci.ID{Vendor: 0x8086, Device: 0x7113, Class: 0x068000, Revision: 3,
			SubVendor: 0x1af4, SubDevice: 0x1100, IntPin: 1}),
		clock: clock, ports: ports, sci: sci,
	}
	p.SetReg(pci.RegCommand, []byte{0, 0, 0x80, 0x02}, []byte{0x01, 0x00})
	p.SetReg(pci.RegIntLine, []byte{9}, []byte{0xff})
	p.SetReg(regPMBase, []byte{1, 0, 0, 0}, []byte{0xc0, 0xff, 0, 0})
	// SMI on APMC writes counts as set up, so that firmware does not try to
	// install a handler.
	p.SetReg(regDevActB, []byte{0, 0, 0, 0x02}, []byte{0xff, 0xff, 0xff, 0xff})
	p.SetReg(0x5c, []byte{0, 0, 0, 0x90}, []byte{0xff, 0xff, 0xff, 0xff})
	p.SetReg(0x60, []byte{0, 0, 0, 0x60, 0, 0, 0, 0x98}, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	p.SetReg(regPMMisc, []byte{0}, []byte{0x01})
	p.SetReg(regSMBase, []byte{1, 0, 0, 0}, []byte{0xf0, 0xff, 0, 0})
	p.SetReg(regSMCfg, []byte{0}, []byte{0x0f})
	p.OnConfig = p.config
	p.timer = clock.NewTimer(p.onTimer)
	return p
}

// Attach puts ports 0xb2 and 0xb3 on the port bus. Port 0xcf9 is reached
// through the PCI bus: pass CF9 to it.
func (p *PM) Attach() { p.ports.Claim(0xb2, 2, 1, p.apm()) }

// OnPowerOff sets the function that is called, with no lock held, when the
// guest switches the machine off (S5).
func (p *PM) OnPowerOff(f func()) { p.onPowerOff = f }

// OnReset sets the function that is called, with no lock held, when the guest
// resets the machine through port 0xcf9.
func (p *PM) OnReset(f func()) { p.onReset = f }

// FirmwareInit does what firmware does: registers at Base, SMBus at SMBus.
// bus is the bus the function is on.
func (p *PM) FirmwareInit(bus *pci.Bus) {
	slot, fn := p.Slot()
	devfn := slot<<3 | fn
	bus.WriteConfig(0, devfn, regPMBase, 4, Base|1)
	bus.WriteConfig(0, devfn, regPMMisc, 1, 1)
	bus.WriteConfig(0, devfn, regSMBase, 4, SMBus|1)
	bus.WriteConfig(0, devfn, regSMCfg, 1, 0x09)
}

// Reset brings the ACPI registers to their reset state.
func (p *PM) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sts, p.en, p.cnt, p.gpeSts, p.gpeEn = 0, 0, 0, 0, 0
	p.other = [64]byte{}
	p.smb = [16]byte{}
	p.apmc, p.apms, p.rcr = 0, 0, 0
	p.overflow = p.ticks() >> 23
	p.update()
}

// config moves the port ranges; it runs with the PCI bus's lock held.
func (p *PM) config(off, size int) {
	p.claimMu.Lock()
	defer p.claimMu.Unlock()
	base := uint16(0)
	if p.Reg(regPMMisc, 1)&1 != 0 {
		base = uint16(p.Reg(regPMBase, 2)) &^ 0x3f
	}
	if base != p.base {
		p.base = base
		p.ports.Release(p.claim)
		p.claim = nil
		if base != 0 {
			p.claim = p.ports.ClaimWeak(base, 64, 4, devices.PortFuncs{
				Read:  func(port uint16, size int) uint32 { return p.read(int(port-base), size) },
				Write: func(port uint16, size int, v uint32) { p.write(int(port-base), size, v) },
			})
		}
	}
	base = 0
	if p.Reg(regSMCfg, 1)&1 != 0 {
		base = uint16(p.Reg(regSMBase, 2)) &^ 0xf
	}
	if base != p.smBase {
		p.smBase = base
		p.ports.Release(p.smClaim)
		p.smClaim = nil
		if base != 0 {
			p.smClaim = p.ports.ClaimWeak(base, 16, 1, devices.PortFuncs{
				Read:  func(port uint16, _ int) uint32 { return p.readSMB(int(port - base)) },
				Write: func(port uint16, _ int, v uint32) { p.writeSMB(int(port-base), byte(v)) },
			})
		}
	}
}

// PowerButton presses the power button. It reports whether the guest listens:
// where it does not, a user who means it has to switch the machine off.
func (p *PM) PowerButton() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sts |= stsPower
	p.update()
	return p.cnt&cntSCI != 0 && p.en&stsPower != 0
}

// GPE raises general-purpose event n (0 to 15).
func (p *PM) GPE(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gpeSts |= 1 << (n & 15)
	p.update()
}

func (p *PM) ticks() uint64 { return devices.MulDiv(uint64(p.clock.Now()), Hz, 1e9) }

// update sets the timer status (bit 23 of the PM timer toggled), drives SCI and
// sets the host timer for the next toggle where that is enabled.
func (p *PM) update() {
	if n := p.ticks() >> 23; n != p.overflow {
		p.overflow = n
		p.sts |= stsTimer
	}
	on := p.cnt&cntSCI != 0 && (p.sts&p.en&enAll != 0 || p.gpeSts&p.gpeEn != 0)
	p.sci.Set(on)
	if p.en&stsTimer != 0 && p.sts&stsTimer == 0 {
		p.timerAt = int64(devices.MulDiv((p.overflow+1)<<23, 1e9, Hz)) + 1
		p.timer.Set(p.timerAt)
	} else {
		p.timerAt = 0
		p.timer.Stop()
	}
}

func (p *PM) onTimer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timerAt != 0 && p.clock.Now() >= p.timerAt {
		p.update()
	}
}

// image is the register block as bytes, for reads of any size.
func (p *PM) image() (b [64]byte) {
	b = p.other
	put := func(off int, v uint16) { b[off], b[off+1] = byte(v), byte(v>>8) }
	put(0, p.sts)
	put(2, p.en)
	put(4, p.cnt)
	put(6, 0)
	t := p.ticks() & 0xffffff
	put(8, uint16(t))
	put(10, uint16(t>>16))
	put(12, p.gpeSts)
	put(14, p.gpeEn)
	return b
}

func (p *PM) read(off, size int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update()
	b := p.image()
	var v uint32
	for i := range size {
		v |= uint32(b[(off+i)&63]) << (8 * i)
	}
	return v
}

func (p *PM) write(off, size int, v uint32) {
	p.mu.Lock()
	p.update()
	off0 := false
	for i := range size {
		o, b := (off+i)&63, byte(v>>(8*i))
		set := func(r *uint16, mask uint16) {
			if o&1 == 0 {
				*r = *r&0xff00 | uint16(b)&mask
			} else {
				*r = *r&0xff | uint16(b)<<8&mask
			}
		}
		clr := func(r *uint16) {
			if o&1 == 0 {
				*r &^= uint16(b)
			} else {
				*r &^= uint16(b) << 8
			}
		}
		switch o {
		case 0, 1:
			clr(&p.sts)
		case 2, 3:
			set(&p.en, enAll)
		case 4, 5:
			set(&p.cnt, 0x3c03)
			if p.cnt&cntSlpEn != 0 {
				p.cnt &^= cntSlpEn
				off0 = p.cnt>>10&7 == SleepTypeS5
			}
		case 12, 13:
			clr(&p.gpeSts)
		case 14, 15:
			set(&p.gpeEn, 0xffff)
		default:
			if o >= 16 {
				p.other[o] = b
			}
		}
	}
	p.update()
	p.mu.Unlock()
	if off0 && p.onPowerOff != nil {
		p.onPowerOff()
	}
}

// apm is the pair of SMI command ports.
func (p *PM) apm() devices.PortDevice {
	return devices.PortFuncs{
		Read: func(port uint16, _ int) uint32 {
			p.mu.Lock()
			defer p.mu.Unlock()
			if port&1 == 0 {
				return uint32(p.apmc)
			}
			return uint32(p.apms)
		},
		Write: func(port uint16, _ int, v uint32) {
			p.mu.Lock()
			defer p.mu.Unlock()
			if port&1 != 0 {
				p.apms = byte(v)
				return
			}
			p.apmc = byte(v)
			switch v & 0xff {
			case AcpiEnable:
				p.cnt |= cntSCI
			case AcpiDisable:
				p.cnt &^= cntSCI
			}
			p.update()
		},
	}
}

// CF9 is the reset control register: a rising bit 2 resets the machine.
func (p *PM) CF9() devices.PortDevice {
	return devices.PortFuncs{
		Read: func(uint16, int) uint32 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return uint32(p.rcr)
		},
		Write: func(_ uint16, _ int, v uint32) {
			p.mu.Lock()
			reset := v&4 != 0 && p.rcr&4 == 0
			p.rcr = byte(v) & 0x06
			p.mu.Unlock()
			if reset && p.onReset != nil {
				p.onReset()
			}
		},
	}
}

// The SMBus has no devices: every transaction ends in a device error (82371AB
// data sheet, 7.3).
func (p *PM) readSMB(off int) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return uint32(p.smb[off&15])
}

func (p *PM) writeSMB(off int, b byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch off {
	case 0:
		p.smb[0] &^= b & 0x1e
	case 2:
		p.smb[2] = b &^ 0x40
		if b&0x40 != 0 {
			p.smb[0] |= 0x04
		}
	default:
		p.smb[off&15] = b
	}
}
