package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"hotblock/boot"
	"hotblock/devices"
	"hotblock/devices/chardev"
	"hotblock/devices/debugport"
	"hotblock/internal/hosttsc"
	"hotblock/interp"
	"hotblock/jit"
	"hotblock/mmu"
	"hotblock/x86"
)

// Machine is a PC: a board and its CPUs.
type Machine struct {
	Board *Board
	CPU   *interp.CPU
	JIT   *jit.Engine // nil where the interpreter runs all

	cfg   *Config
	clock clock
	entry *boot.Entry // of direct boot
	log   *interp.Log
	files []*os.File // disk images

	mu    sync.Mutex
	ended bool
	exit  Exit
	reset bool
}

// New builds a machine, opens its images, and loads what it is to boot. Its
// errors name what is wrong with the configuration.
func New(cfg *Config) (_ *Machine, err error) {
	model, err := x86.ParseModel(cfg.CPU, interp.Supports)
	if err != nil {
		return nil, err
	}
	m := &Machine{cfg: cfg, log: traceLog(cfg)}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	bc, err := m.boardConfig(model)
	if err != nil {
		return nil, err
	}
	if m.Board, err = NewBoard(bc); err != nil {
		return nil, err
	}
	if err := m.connectCPU(model); err != nil {
		return nil, err
	}
	if d := cfg.DebugExit; d != nil && d.Port != 0xf4 && d.Port != 0x501 {
		exit := debugport.Exit{Do: bc.OnExit}
		exit.Attach(m.Board.Ports, d.Port, int(d.Size))
	}
	if err := m.load(); err != nil {
		return nil, err
	}
	m.startCPU()
	return m, nil
}

// traceLog makes the engine's log of what the command line asks for.
func traceLog(cfg *Config) *interp.Log {
	l := &interp.Log{Out: io.Discard}
	if cfg.Host.Trace == nil {
		return l
	}
	l.Out = cfg.Host.Trace
	for _, i := range []struct {
		t Trace
		i interp.LogItem
	}{{TraceInAsm, interp.LogInAsm}, {TraceInt, interp.LogInt}, {TraceExec, interp.LogExec}, {TraceCPU, interp.LogCPU}, {TraceFPU, interp.LogFPU},
		{TraceMMU, interp.LogMMU}, {TraceReset, interp.LogReset}, {TraceGuestErrors, interp.LogGuestErrors}, {TraceUnimp, interp.LogUnimp}} {
		if cfg.Trace&i.t != 0 {
			l.Items |= i.i
		}
	}
	return l
}

func (m *Machine) boardConfig(model *x86.Model) (BoardConfig, error) {
	cfg := m.cfg
	bc := BoardConfig{
		RAM:  cfg.RAM,
		CPUs: cfg.CPUs,
		TSC: func(int) uint64 {
			return m.clock.tsc() + m.CPU.TSCOffset
		},
		TSCHz:      model.TSCHz,
		TimerHz:    model.CrystalHz(),
		PhysBits:   x86.PhysBits,
		RTC:        cfg.RTC.start(),
		BootOrder:  cfg.Boot.Order,
		BootMenu:   cfg.Boot.Menu,
		FWCfg:      map[string][]byte{},
		OnPowerOff: m.powerOff,
		OnReset:    m.postReset,
		OnA20: func(open bool) {
			if m.CPU != nil { // not while the board is built
				m.CPU.SetA20(open)
			}
		},
		OnExit:     func(code int) { m.end(Exit{Reason: ExitDebug, Code: code}) },
		GuestError: func(format string, args ...any) { m.log.Printf(interp.LogGuestErrors, format, args...) },
	}
	clock := devices.NewRealClock()
	clock.Guard = func(f func()) func() {
		return func() {
			defer chardev.RestoreOnPanic()
			f()
		}
	}
	bc.Clock = clock
	m.clock.board = &bc
	for _, f := range cfg.FWCfg {
		bc.FWCfg[f.Name] = f.Data
	}
	if cfg.Firmware != "" {
		b, err := boot.ReadFirmware(cfg.Firmware)
		if err != nil {
			return bc, err
		}
		bc.BIOS = b
	}
	bc.VGA = cfg.VGA
	if cfg.VGA && cfg.VGABIOS != "" {
		b, err := os.ReadFile(cfg.VGABIOS)
		if err != nil {
			return bc, fmt.Errorf("cannot read the VGA BIOS: %w", err)
		}
		bc.VGABIOS = b
	}
	if err := m.openDrives(&bc); err != nil {
		return bc, err
	}
	for _, b := range cfg.Host.Serial {
		bc.Serial = append(bc.Serial, b)
	}
	if cfg.Host.DebugCon != nil {
		bc.DebugOut = cfg.Host.DebugCon
	}
	return bc, nil
}

// clock is the TSC's source: the board's clock once there is a board.
type clock struct{ board *BoardConfig }

func (c clock) tsc() uint64 { return uint64(c.board.Clock.Now()) }

// connectCPU makes the CPU and joins it to the board.
func (m *Machine) connectCPU(model *x86.Model) error {
	b := m.Board
	m.clock.board = &b.cfg
	c := interp.New(b.Mem, model)
	m.CPU = c
	if m.cfg.Accel == "jit" {
		var err error
		settings := m.cfg.JIT
		if m.cfg.Trace&TraceOutAsm != 0 {
			settings.Dump = m.cfg.Host.Trace
		}
		if m.JIT, err = jit.New(c, settings); err != nil {
			return err
		}
	}
	apic := b.LAPIC(0)
	c.Ports = b.Ports
	c.Int = apic
	c.NumCPUs = uint32(m.cfg.CPUs)
	c.Log = m.log
	c.TSC = m.clock.tsc
	if rc, ok := b.Clock.(*devices.RealClock); ok && hosttsc.Usable() {
		c.HostTSC = rc.Rate
	}
	c.LocalIO = func(page uint64) mmu.MMIO {
		if base, ok := apic.Window(); ok && base == page {
			return apic
		}
		return nil
	}
	b.Connect(0, c)
	c.OnTSCChange = apic.TSCChanged
	c.FERR = b.FERR
	return nil
}

// load puts what the machine boots into its memory.
func (m *Machine) load() error {
	cfg := m.cfg
	if cfg.Kernel == "" {
		if cfg.Firmware == "" {
			return errors.New("there is nothing to boot: give -kernel, or -bios with a drive")
		}
		return nil
	}
	if cfg.Firmware != "" {
		return errors.New("-kernel with -bios is not supported: give one of the two")
	}
	b := m.Board
	rsdp, err := b.DirectBoot()
	if err != nil {
		return err
	}
	if !cfg.ACPI {
		rsdp = 0
	}
	p := boot.Params{Mem: b.Mem, RAM: cfg.RAM, RSDP: rsdp, VGAText: b.VGA != nil, Kernel: cfg.Kernel, Initrd: cfg.Initrd, InitrdData: cfg.InitrdData,
		Cmdline: cfg.Cmdline, CmdlineLinux: cfg.CmdlineLinux}
	for _, e := range b.E820() {
		p.E820 = append(p.E820, boot.E820Entry{Addr: e.Base, Size: e.Size, Type: e.Type})
	}
	if cfg.Host.Messages != nil {
		p.Log = func(format string, args ...any) { fmt.Fprintf(cfg.Host.Messages, "hotblock: "+format+"\n", args...) }
	}
	m.entry, err = boot.Load(p)
	// The unpacked kernel is garbage now, and as large as many a guest.
	debug.FreeOSMemory()
	return err
}

// startCPU sets the CPU to the loaded kernel's entry, or leaves it at the reset
// vector for firmware.
func (m *Machine) startCPU() {
	c := m.CPU
	c.ResetState(true)
	base, _ := m.Board.LAPIC(0).ReadMSR(x86.MSRAPICBase)
	c.APICBaseChanged(base)
	e := m.entry
	if e == nil {
		return
	}
	seg := func(s boot.Segment) x86.Segment {
		return x86.Segment{Base: s.Base, Limit: s.Limit, Sel: s.Selector, Attr: s.Access}
	}
	c.RIP = e.IP
	copy(c.R[:16], e.GPR[:])
	c.SetRFLAGS(e.Flags)
	c.CR0, c.CR3, c.CR4, c.EFER = e.CR0, e.CR3, e.CR4, e.EFER
	c.GDTR = x86.Table{Base: e.GDT.Base, Limit: e.GDT.Limit}
	c.IDTR = x86.Table{Base: e.IDT.Base, Limit: e.IDT.Limit}
	for i := range c.Seg {
		c.Seg[i] = seg(e.Data)
	}
	c.Seg[x86.CS] = seg(e.CS)
	c.TR, c.LDTR = seg(e.TR), seg(e.LDT)
	setMTRRs(c)
	c.Refresh()
}

// setMTRRs sets the memory type range registers as firmware leaves them (SDM
// volume 3, 12.11): memory is write-back but for the VGA window, the ROM area,
// and the top gigabyte below 4 GiB, where devices are.
func setMTRRs(c *interp.CPU) {
	const (
		uncached     = 0
		writeProtect = 5
		writeBack    = 6
		enable       = 1<<11 | 1<<10 // all, and the fixed ranges
		valid        = 1 << 11
		physMask     = 1<<x86.PhysBits - 1
	)
	all := func(typ uint64) uint64 { return typ * 0x0101010101010101 }
	c.MTRRFix[0], c.MTRRFix[1], c.MTRRFix[2] = all(writeBack), all(writeBack), all(uncached)
	for i := 3; i < len(c.MTRRFix); i++ {
		c.MTRRFix[i] = all(writeProtect)
	}
	c.MTRRVar[0], c.MTRRVar[1] = 0xc0000000|uncached, physMask&^(1<<30-1)|valid
	c.MTRRDefType = enable | writeBack
}

// end notes why the machine ends, and stops the CPU. Only the first call counts.
func (m *Machine) end(e Exit) {
	m.mu.Lock()
	if !m.ended {
		m.ended, m.exit = true, e
	}
	m.mu.Unlock()
	m.CPU.Stop()
}

func (m *Machine) powerOff() {
	if m.cfg.NoShutdown {
		m.CPU.Stop()
		return
	}
	m.end(Exit{Reason: ExitPowerOff})
}

func (m *Machine) postReset() {
	m.mu.Lock()
	m.reset = true
	m.mu.Unlock()
	m.CPU.Stop()
}

// Run runs the machine until it ends or the context is cancelled. Where the
// translator is verified, the first *jit.Difference ends it.
func (m *Machine) Run(ctx context.Context) (_ Exit, err error) {
	for i, b := range m.cfg.Host.Serial {
		if b == nil || m.Board.UART[i] == nil {
			continue
		}
		u := m.Board.UART[i]
		u.OnRoom(b.Room)
		if err := b.Start(u); err != nil {
			return Exit{}, err
		}
	}
	if d := m.cfg.Host.DebugCon; d != nil {
		if err := d.Start(deafFrontend{}); err != nil {
			return Exit{}, err
		}
	}
	stop := context.AfterFunc(ctx, func() { m.end(Exit{Reason: ExitQuit}) })
	defer stop()
	defer chardev.RestoreOnPanic()
	if m.JIT != nil && m.cfg.Trace&TraceJIT != 0 && m.cfg.Host.Trace != nil {
		defer func() {
			s := m.JIT.Stats()
			s.Fprint(m.cfg.Host.Trace)
		}()
	}
	if m.JIT != nil && m.cfg.JIT.Counters != "" {
		defer func() {
			s := m.JIT.Stats()
			text, e := json.MarshalIndent(s.Counters(), "", " ")
			if e == nil {
				e = os.WriteFile(m.cfg.JIT.Counters, append(text, '\n'), 0o644)
			}
			if e != nil && err == nil {
				err = fmt.Errorf("-jit counters: %w", e)
			}
		}()
	}
	defer func() {
		if r := recover(); r != nil {
			d, ok := r.(*jit.Difference)
			if !ok {
				panic(r)
			}
			err = d
		}
	}()
	for {
		why := m.CPU.Run()
		m.mu.Lock()
		ended, reset := m.ended, m.reset
		m.reset = false
		m.mu.Unlock()
		switch {
		case ended:
			return m.exit, nil
		case reset, why == interp.ExitShutdown:
			if m.cfg.NoReboot {
				return Exit{Reason: ExitReset}, nil
			}
			if err := m.restart(); err != nil {
				return Exit{}, err
			}
		default: // a power-off with -no-shutdown: only the user ends it now
			<-ctx.Done()
		}
	}
}

// restart is a reset of the whole machine. Firmware runs again; a kernel that
// was booted directly is loaded again.
func (m *Machine) restart() error {
	m.Board.Reset()
	if m.cfg.Kernel != "" {
		if err := m.load(); err != nil {
			return err
		}
	}
	m.CPU.DropCode()
	m.startCPU()
	return nil
}

// deafFrontend takes no input.
type deafFrontend struct{}

func (deafFrontend) Receive(p []byte) int { return len(p) }

var _ chardev.Frontend = deafFrontend{}
