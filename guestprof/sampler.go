package guestprof

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hotblock/interp"
	"hotblock/jit"
	"hotblock/mmu"
	"hotblock/x86"
)

// DefaultHz is how many samples a second are taken, and MaxHz the most there can be.
const (
	DefaultHz = 1000
	MaxHz     = 10000
)

// Options are how a guest is profiled.
type Options struct {
	Hz       int    // samples a second, 1 to MaxHz; 0: DefaultHz
	Symbols  string // a vmlinux or System.map of the guest's kernel; empty: its kallsyms
	Binaries string // a directory with files of the guest, for symbols that are not in its memory
}

// Profiler takes samples of one CPU.
type Profiler struct {
	cpu   *interp.CPU
	opt   Options
	given *symtab
	ticks atomic.Uint64 // that no sample stands for yet
	stop  chan struct{}
	start time.Time
	jit   *jit.Engine // whose regions are followed, or nil

	mu      sync.Mutex
	view    view
	kernel  *kernel
	files   map[fileKey]*file
	maps    map[mapKey]vma
	kernels int // that there have been
	memory  int // bytes of symbols that are kept
	frames  map[frame]uint32
	byID    []frame
	labels  map[labels]uint32
	byLabel []labels
	samples map[string]uint64 // ticks, by label and stack
	special map[string]*image
	idle    uint64 // ticks while the CPU was halted
	cut     uint64 // samples whose callers were left out, to bound memory
	regions map[*jit.Record]frame

	pcs []uint64
	key []byte
}

// frame is a place in the code of an image: of a file, an offset in bytes; else an
// address.
type frame struct {
	img  *image
	addr uint64
}

// labels are what a sample is labelled with.
type labels struct {
	comm      string
	pid, tgid uint32
	known     bool // comm, pid and tgid are
	cr3       uint64
	cpl       uint8
	native    bool
}

type mapKey struct {
	k    *kernel
	mm   uint64
	tgid uint32
	page uint64
}

const (
	maxFrames  = 1 << 20
	maxSamples = 1 << 20
	maxLabels  = 1 << 16
	maxMaps    = 1 << 16
	maxKernels = 1000      // that are looked for
	maxMemory  = 512 << 20 // bytes of symbols
)

// New makes a profiler of a CPU, which must not run yet. Its errors are those of
// reading Options.Symbols.
func New(c *interp.CPU, opt Options) (*Profiler, error) {
	if opt.Hz == 0 {
		opt.Hz = DefaultHz
	}
	if opt.Hz < 1 || opt.Hz > MaxHz {
		return nil, fmt.Errorf("%d samples a second: give 1 to %d", opt.Hz, MaxHz)
	}
	p := &Profiler{cpu: c, opt: opt, files: map[fileKey]*file{}, maps: map[mapKey]vma{}, frames: map[frame]uint32{},
		labels: map[labels]uint32{}, samples: map[string]uint64{}, special: map[string]*image{}, byID: make([]frame, 1)}
	if opt.Symbols != "" {
		s, err := readSymbols(opt.Symbols)
		if err != nil {
			return nil, err
		}
		p.given = s
	}
	c.OnSample = p.sample
	return p, nil
}

// Start begins to take samples. It may be called once.
func (p *Profiler) Start() {
	p.start = time.Now()
	p.stop = make(chan struct{})
	period := time.Second / time.Duration(p.opt.Hz)
	go func() {
		t := time.NewTicker(period)
		defer t.Stop()
		posted := uint64(0)
		for {
			select {
			case <-p.stop:
				return
			case <-t.C:
			}
			// A host that is busy may let ticks fall out.
			due := uint64(time.Since(p.start) / period)
			if due > posted {
				p.ticks.Add(min(due-posted, uint64(p.opt.Hz)/10+1))
				posted = due
				p.cpu.RequestSample()
			}
		}
	}()
}

// Stop ends sampling.
func (p *Profiler) Stop() {
	if p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
}

// sample is called by the CPU, on its goroutine.
func (p *Profiler) sample() {
	n := p.ticks.Swap(0)
	if n == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cpu.Halted || p.cpu.Waiting() {
		p.idle += n
		return
	}
	p.take(n)
	p.ticks.Store(0) // those of this function are not the guest's
	if p.jit != nil && p.cpu.Translated() {
		p.jit.Sampled(n)
	}
}

// look prepares to read the guest's memory.
func (p *Profiler) look() {
	c := p.cpu
	p.view.set(c.Mem, c.DebugPaging())
	p.followKernel()
}

func (p *Profiler) take(n uint64) {
	p.look()
	c := p.cpu
	l := labels{cpl: c.CPL, native: c.Translated()}
	t := p.currentTask()
	if t.ok {
		l.comm, l.pid, l.tgid, l.known = t.comm, t.pid, t.tgid, true
	} else if c.CR0&x86.CR0PG != 0 {
		l.cr3 = c.CR3 &^ (pageSize - 1)
	}
	id, ok := p.labels[l]
	if !ok {
		if len(p.labels) >= maxLabels {
			l = labels{cpl: l.cpl, native: l.native}
			id, ok = p.labels[l]
		}
		if !ok {
			id = uint32(len(p.byLabel))
			p.byLabel = append(p.byLabel, l)
			p.labels[l] = id
		}
	}
	p.key = binary.LittleEndian.AppendUint32(p.key[:0], id)
	p.stack(&t)
	if ticks, ok := p.samples[string(p.key)]; ok {
		p.samples[string(p.key)] = ticks + n
		return
	}
	if len(p.samples) >= maxSamples {
		p.cut++
		p.key = p.key[:8]
	}
	p.samples[string(p.key)] += n
}

// linux reports whether the CPU is in the mode in which the profiler knows Linux.
func (p *Profiler) linux() bool { return p.view.paging.Form == mmu.Paging4 }

// followKernel sees to it that p.kernel is what runs now.
func (p *Profiler) followKernel() {
	c, k := p.cpu, p.kernel
	if !p.linux() {
		return
	}
	lstar := c.LSTAR
	if !kernelHalf(lstar) {
		lstar = 0
	}
	if k == nil && (lstar != 0 || kernelHalf(c.RIP)) || k != nil && k.lstar != 0 && k.lstar != lstar && (lstar != 0 || kernelHalf(c.RIP)) {
		if p.kernels++; k != nil {
			// Only the names are needed any more.
			k.btf, k.orc, k.modules = nil, nil, nil
		}
		k = &kernel{img: &image{name: "[kernel.kallsyms]"}}
		p.kernel = k
		clear(p.maps)
	}
	if k == nil {
		return
	}
	if k.lstar == 0 && lstar != 0 {
		k.lstar, k.anchor = lstar, lstar
		if k.ready && k.orc == nil {
			k.findORC(&p.view) // old kernels sort the tables at boot
		}
	}
	if !k.ready && k.lstar == 0 && c.CPL == 0 && c.RIP >= kernelText {
		k.anchor = c.RIP
	}
	if k.ready || k.anchor == 0 {
		return
	}
	if k.wait--; k.wait < 0 && k.tries < 12 && p.kernels <= maxKernels {
		k.tries++
		k.wait = 8 << k.tries
		if k.findKernel(&p.view, p.given); k.ready {
			k.syms = p.keep(k.syms)
			k.img.syms = k.syms
		}
	}
}

// kernelText is the least address of kernel code (Documentation/arch/x86/x86_64/mm.rst).
const kernelText = 0xffffffff80000000

// keep returns symbols that are to be kept, or nil where there are too many.
func (p *Profiler) keep(s *symtab) *symtab {
	if s == nil {
		return nil
	}
	n := len(s.names) + len(s.addr)*21
	if p.memory+n > maxMemory {
		return nil
	}
	p.memory += n
	return s
}

// currentTask is who runs on the CPU.
func (p *Profiler) currentTask() task {
	c := p.cpu
	if !p.linux() || p.kernel == nil || !p.kernel.ready {
		return task{}
	}
	gs := c.Seg[x86.GS].Base
	if c.CPL == 3 || !kernelHalf(gs) {
		gs = c.KernelGSBase // SWAPGS has yet to come, or was
	}
	return p.kernel.task(&p.view, gs)
}

// stack appends the frames of the CPU's stack to p.key.
func (p *Profiler) stack(t *task) {
	c := p.cpu
	k := p.kernel
	var user userRegs
	wide := c.Seg[x86.CS].Attr&x86.SegL != 0
	p.pcs = p.pcs[:0]
	switch {
	case c.CPL == 3 && c.CR0&x86.CR0PG != 0:
		user = userRegs{c.RIP + c.CodeBase(), c.R[x86.RSP], c.R[x86.RBP], true}
	case c.CPL == 0 && k != nil && wide && kernelHalf(c.RIP):
		p.pcs, user = unwindKernel(&p.view, p.orcFor, c.RIP, (*[16]uint64)(c.R[:16]), p.pcs)
		for _, pc := range p.pcs {
			p.push(p.kernelFrame(pc))
		}
	default:
		p.push(p.bootFrame())
	}
	if user.ok {
		depth := len(p.pcs)
		p.pcs = unwindUser(&p.view, user, wide || c.CPL != 3, p.pcs)
		for _, pc := range p.pcs[depth:] {
			p.push(p.userFrame(k, t, pc))
		}
	}
}

// here is the frame of the code at RIP.
func (p *Profiler) here(t *task) frame {
	c, k := p.cpu, p.kernel
	switch {
	case c.CPL == 3 && c.CR0&x86.CR0PG != 0:
		return p.userFrame(k, t, c.RIP+c.CodeBase())
	case c.CPL == 0 && k != nil && c.Seg[x86.CS].Attr&x86.SegL != 0 && kernelHalf(c.RIP):
		return p.kernelFrame(c.RIP)
	}
	return p.bootFrame()
}

// bootFrame is the frame of code that is neither a kernel's nor a program's.
func (p *Profiler) bootFrame() frame {
	c := p.cpu
	name := "[16-bit code]"
	switch {
	case c.Seg[x86.CS].Attr&x86.SegL != 0 && c.EFER&x86.EFERLMA != 0:
		name = "[boot code]"
	case c.CR0&x86.CR0PE != 0 && c.Seg[x86.CS].Attr&x86.SegD != 0:
		name = "[32-bit code]"
	}
	return frame{p.named(name), c.RIP + c.CodeBase()}
}

// push appends a frame to p.key.
func (p *Profiler) push(f frame) { p.key = binary.LittleEndian.AppendUint32(p.key, p.intern(f)) }

// intern gives a frame a number; 0 stands for those that are too many.
func (p *Profiler) intern(f frame) uint32 {
	id, ok := p.frames[f]
	if !ok {
		if len(p.byID) >= maxFrames {
			return 0
		}
		id = uint32(len(p.byID))
		p.byID = append(p.byID, f)
		p.frames[f] = id
	}
	return id
}

// named returns the image that stands for code of no file.
func (p *Profiler) named(name string) *image {
	m := p.special[name]
	if m == nil {
		m = &image{name: name}
		p.special[name] = m
	}
	return m
}

func (p *Profiler) orcFor(ip uint64) *orcTable {
	k := p.kernel
	if !k.ready || ip-k.text < maxImage {
		return k.orc
	}
	if m := p.module(k, ip); m != nil {
		return m.orc
	}
	return nil
}

func (p *Profiler) kernelFrame(pc uint64) frame {
	k := p.kernel
	if k.ready && pc-k.text >= maxImage {
		if m := p.module(k, pc); m != nil {
			return frame{m.img, pc}
		}
	}
	return frame{k.img, pc}
}

// userFrame finds out what a program's address belongs to.
func (p *Profiler) userFrame(k *kernel, t *task, pc uint64) frame {
	if k == nil || !t.ok {
		return frame{p.named("[user]"), pc}
	}
	key := mapKey{k, t.mm, t.tgid, pc / pageSize}
	m, ok := p.maps[key]
	if !ok {
		if m, ok = p.vma(k, t.mm, pc); !ok {
			return frame{p.named("[user]"), pc} // perhaps the mappings are being changed
		}
		if len(p.maps) >= maxMaps {
			clear(p.maps)
		}
		p.maps[key] = m
	}
	if m.file != nil {
		p.readFile(k, m.file)
		return frame{m.file.img, pc - m.start + m.off}
	}
	if m.start != 0 && m.end-m.start <= 16*pageSize {
		if f, ok := p.vdso(k, &m, pc); ok {
			return f
		}
	}
	return frame{p.named(m.name), pc}
}

// vdso is for code that the kernel maps into programs, which is an ELF file in
// memory.
func (p *Profiler) vdso(k *kernel, m *vma, pc uint64) (frame, bool) {
	magic, ok := p.view.u32(m.start)
	if !ok || magic != 0x464c457f {
		return frame{}, false
	}
	img := p.special["[vdso]"]
	if img == nil || img.syms == nil {
		img = p.named("[vdso]")
		size := m.end - m.start
		e := readELF(func(off, n uint64) []byte {
			if off > size || n > size-off {
				return nil
			}
			return copied(&p.view, m.start+off, n)
		})
		if e != nil {
			img.syms, img.id = p.keep(e.syms), e.id
			img.setRange(e.loads)
		}
	}
	return frame{img, pc - m.start}, true
}
