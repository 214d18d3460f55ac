//go:build linux && amd64

package host

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"unsafe"

	"hotblock/internal/cpuid"
	"hotblock/internal/hugepage"
	"hotblock/internal/sighook"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Unsafe is used here for addresses of mapped memory, which the garbage
// collector neither moves nor frees.

// Enter jumps to code, an address in an arena, with GS pointing at f, and
// returns when that code jumps to f.Exit. It allocates nothing and uses
// none of Go's stack.
//
// The code starts with RSP = f.StackTop, DF clear, MXCSR and the x87 control word as
// Go has them, and nothing known of other registers. When it jumps to
// f.Exit all registers may hold anything, RSP, RBP and R14 included, and all
// flags but TF, NT and AC, which must be clear. MXCSR, the x87 control word and
// an empty x87 stack are the code's to restore, and Go runs slowly with the
// upper halves of YMM registers in use.
//
// It panics when GS does not point at f; see the thread contract.
//
//go:noescape
func Enter(f *Frame, code uintptr)

// Serialize makes the calling thread fetch again what it has fetched or decoded
// ahead of execution. Call it after writing code through an Arena's Write view
// and before running it: to the CPU that is cross-modifying code, since the
// write went through another linear address (SDM volume 3, 9.1.3). In practice
// no x86 CPU needs it as its caches are coherent by physical address and code
// that is new is not in its pipeline.
//
// It is an IRET to itself, as in the kernel's sync_core: about 40 ns. CPUID,
// the usual choice, traps in a virtual machine and takes microseconds. It
// concerns only the calling thread: other threads that run code which is being
// changed need one of their own; a return from an interrupt or a fault is one.
func Serialize()

func setGSBase(base uintptr) // WRGSBASE
func gsBase() uintptr        // RDGSBASE

// addrs returns the addresses of routines that are not for Go to call.
func addrs() (run, exit, handler uintptr)

// onWrongGS is where Enter goes when GS is not f's, with Enter's arguments.
func onWrongGS(f *Frame, code uintptr) {
	panic(fmt.Sprintf("host: Enter with frame %#x on a thread whose GS base is %#x", f.Self, GS()))
}

// Variables that the signal handler reads. An arena is the addresses from lo up
// to hi; hi is written last when a slot is filled and first when it is cleared,
// so a reader between the two sees an empty range.
var (
	arenaTable [MaxArenas]struct{ lo, hi uintptr }
	runLo      uintptr // Enter's part that needs GS
	runSize    uintptr
	exitLo     uintptr // what Frame.Exit points to
	exitSize   uintptr
	oldHandler sighook.Handlers
)

var arenaMu sync.Mutex // for changes of arenaTable

var (
	features    Features
	installOnce sync.Once
	installErr  error
)

const (
	hwcap2FSGSBASE = 1 << 1 // AT_HWCAP2, arch/x86/include/uapi/asm/hwcap2.h
	atHWCAP2       = 26
	archSetGS      = 0x1001
	archGetGS      = 0x1004
)

func init() {
	features = Features{
		BMI1:   cpu.X86.HasBMI1,
		BMI2:   cpu.X86.HasBMI2,
		ADX:    cpu.X86.HasADX,
		POPCNT: cpu.X86.HasPOPCNT,
		AVX:    cpu.X86.HasAVX,
		AVX2:   cpu.X86.HasAVX2,
		FMA:    cpu.X86.HasFMA,
		ERMS:   cpu.X86.HasERMS,
	}
	// SDM volume 2, CPUID: what package cpu does not tell.
	_, _, c1, _ := cpuid.Leaf(1, 0)
	features.MOVBE = c1>>22&1 != 0
	features.F16C = features.AVX && c1>>29&1 != 0
	_, b7, _, _ := cpuid.Leaf(7, 0)
	features.SHA = b7>>29&1 != 0
	_, _, cx, _ := cpuid.Leaf(0x80000001, 0)
	features.LZCNT = cx>>5&1 != 0
	if aux, err := unix.Auxv(); err == nil {
		for _, a := range aux {
			if a[0] == atHWCAP2 {
				features.FSGSBASE = a[1]&hwcap2FSGSBASE != 0
			}
		}
	}
}

// Available reports whether this host can run generated code: it has BMI2. What
// else it has is in HostFeatures.
func Available() bool { return features.BMI2 }

// HostFeatures returns what the host has.
func HostFeatures() Features { return features }

// SetGS sets the GS base of the calling thread. The goroutine must be locked to
// the thread.
func SetGS(base uintptr) {
	if features.FSGSBASE {
		setGSBase(base)
		return
	}
	setGSCall(base)
}

// setGSCall is SetGS for hosts without FSGSBASE.
func setGSCall(base uintptr) {
	if _, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archSetGS, base, 0); e != 0 {
		panic("host: arch_prctl(ARCH_SET_GS): " + e.Error())
	}
}

// GS returns the GS base of the calling thread.
func GS() uintptr {
	if features.FSGSBASE {
		return gsBase()
	}
	return gsCall()
}

// gsCall is GS for hosts without FSGSBASE.
func gsCall() uintptr {
	var base uintptr
	if _, _, e := unix.RawSyscall(unix.SYS_ARCH_PRCTL, archGetGS, uintptr(unsafe.Pointer(&base)), 0); e != 0 {
		panic("host: arch_prctl(ARCH_GET_GS): " + e.Error())
	}
	return base
}

func addrOf(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func roundUp(n int) int { return (n + unix.Getpagesize() - 1) &^ (unix.Getpagesize() - 1) }

// NewArena maps an arena of size bytes, rounded up to pages, and makes its
// faults known to the signal handler. size is 1 to MaxArena. It fails
// where the host does not allow executable memory, and when there are MaxArenas
// already.
func NewArena(size int) (*Arena, error) {
	if size <= 0 || size > MaxArena {
		return nil, fmt.Errorf("host: an arena of %d bytes; it is 1 to %d", size, MaxArena)
	}
	size = roundUp(size)
	// The seal only keeps the file from being given to execve, and the newer
	// vm.memfd_noexec settings want it; kernels before 6.3 do not know it.
	fd, err := unix.MemfdCreate("hotblock-code", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate("hotblock-code", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("host: memory file for translated code: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, fmt.Errorf("host: %d bytes for translated code: %w", size, err)
	}
	a := &Arena{}
	if a.Write, err = hugepage.MapFile(fd, size, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return nil, fmt.Errorf("host: mapping %d bytes for translated code: %w", size, err)
	}
	if a.exec, err = hugepage.MapFile(fd, size, unix.PROT_READ|unix.PROT_EXEC); err != nil {
		hugepage.Unmap(a.Write)
		return nil, fmt.Errorf("host: mapping %d executable bytes (does the system forbid it?): %w", size, err)
	}
	a.Base = addrOf(a.exec)

	arenaMu.Lock()
	defer arenaMu.Unlock()
	for i := range arenaTable {
		if e := &arenaTable[i]; e.hi == 0 {
			atomic.StoreUintptr(&e.lo, a.Base)
			atomic.StoreUintptr(&e.hi, a.Base+uintptr(size))
			a.slot = i
			return a, nil
		}
	}
	hugepage.Unmap(a.exec)
	hugepage.Unmap(a.Write)
	return nil, fmt.Errorf("host: %d arenas are in use", MaxArenas)
}

// Populate has the host find pages for the arena from byte from up to byte to, both in
// it, at once: that costs less than a fault for each page of either mapping, and least in
// huge pages. It returns up to where there are pages now, which may be further. Where
// the host does not know how (Linux before 5.14), nothing happens.
func (a *Arena) Populate(from, to int) (end int) {
	page := unix.Getpagesize()
	from, to = from&^(page-1), roundUp(to)
	for at := from &^ (hugepage.Size - 1); at+hugepage.Size <= len(a.Write) && hugepage.Collapse(a.Write[at:at+hugepage.Size]); {
		at += hugepage.Size
		unix.Madvise(a.exec[from:at], unix.MADV_POPULATE_READ)
		if from = at; from >= to {
			return from
		}
	}
	if unix.Madvise(a.Write[from:to], unix.MADV_POPULATE_WRITE) == nil {
		unix.Madvise(a.exec[from:to], unix.MADV_POPULATE_READ)
	}
	return to
}

// Close unmaps the arena. No thread may be in it, or be about to enter it.
// Closing it again does nothing.
func (a *Arena) Close() error {
	if a.exec == nil {
		return nil
	}
	arenaMu.Lock()
	atomic.StoreUintptr(&arenaTable[a.slot].hi, 0)
	atomic.StoreUintptr(&arenaTable[a.slot].lo, 0)
	arenaMu.Unlock()
	err := errors.Join(hugepage.Unmap(a.exec), hugepage.Unmap(a.Write))
	a.exec, a.Write, a.Base = nil, nil, 0
	return err
}

// A Frame's mapping: the native stacks, each behind a page that faults, and then the
// Frame with what follows it, each from the start of a page.
const stackSlack = 64 // bytes left above Stacks[i]

var (
	framesMu sync.Mutex
	frames   = map[uintptr][]byte{} // mappings by Frame.Self
)

// NewFrame maps size bytes of zeroed memory, at least FrameSize, that start with
// a Frame, and a native stack for it. The memory is page-aligned and not on the
// Go heap: it must hold no Go pointers.
func NewFrame(size int) (*Frame, error) {
	if size < FrameSize || size > MaxArena {
		return nil, fmt.Errorf("host: a frame of %d bytes; it is %d to %d", size, FrameSize, MaxArena)
	}
	page := unix.Getpagesize()
	stack := page + StackSize
	b, err := unix.Mmap(-1, 0, NumStacks*stack+roundUp(size)+hugepage.Size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("host: mapping %d bytes of CPU state: %w", size, err)
	}
	at := NumStacks * stack
	at += int(-(addrOf(b) + uintptr(at)) & (hugepage.Size - 1))
	hugepage.Advise(b[at:]) // it is looked at all over
	f := (*Frame)(unsafe.Pointer(&b[at]))
	stacks := b[at-NumStacks*stack:]
	for i := range NumStacks {
		s := stacks[i*stack : (i+1)*stack]
		if err := unix.Mprotect(s[:page], unix.PROT_NONE); err != nil {
			unix.Munmap(b)
			return nil, fmt.Errorf("host: guarding a native stack: %w", err)
		}
		f.guards[i] = addrOf(s)
		f.Stacks[i] = addrOf(s) + uintptr(stack) - stackSlack
	}
	_, exit, _ := addrs()
	f.Self = uintptr(unsafe.Pointer(f))
	f.Exit = exit
	f.StackTop = f.Stacks[0]
	framesMu.Lock()
	frames[f.Self] = b
	framesMu.Unlock()
	return f, nil
}

// SetBottoms makes code what a RET goes to that finds nothing on a stack of f: its
// RSP is Stacks[i]+8 then.
func (f *Frame) SetBottoms(code uintptr) {
	for _, s := range f.Stacks {
		*(*uintptr)(unsafe.Add(unsafe.Pointer(f), int(s)-int(f.Self))) = code
	}
}

// Free unmaps f and its stack. No thread may have GS pointing at it.
func (f *Frame) Free() error {
	framesMu.Lock()
	b := frames[f.Self]
	delete(frames, f.Self)
	framesMu.Unlock()
	return unix.Munmap(b)
}

// Install puts the signal handler in front of Go's. It does so once; later calls
// return what the first one did. It fails where another part of the program has
// taken a handler away.
func Install() error {
	installOnce.Do(func() { installErr = install() })
	return installErr
}

func install() error {
	run, exit, handler := addrs()
	runLo, runSize = run, funcSize(run)
	exitLo, exitSize = exit, funcSize(exit)
	err := sighook.Chain(handler, &oldHandler,
		unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGURG)
	if err != nil {
		return fmt.Errorf("host: %w", err)
	}
	return nil
}

// funcSize returns the length in bytes of the function that starts at pc.
func funcSize(pc uintptr) uintptr {
	f := runtime.FuncForPC(pc)
	n := uintptr(1)
	for runtime.FuncForPC(pc+n) == f {
		n++
	}
	return n
}
