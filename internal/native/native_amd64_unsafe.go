//go:build linux && amd64

package native

import (
	"encoding/binary"
	"fmt"
	"sync"
	"unsafe"

	"hotblock/internal/sighook"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Available says whether Run works on this host.
const Available = true

const (
	arenaSize = 4 << 20
	stackSize = 64 << 10
	areaSize  = 4096
)

// Offsets in the save area, shared with native_amd64.s.
const (
	offRFLAGS  = 128
	offEntry   = 136
	offFaultIP = 144
	offVector  = 176
	offErr     = 184
	offAddr    = 192
	offHaveAVX = 216
	offFX      = 256
	offYMM     = 768
)

// Variables that the assembly uses. One block runs at a time, under mu.
var (
	areaPtr     uintptr
	savedAX     uint64
	codeLo      uintptr
	codeHi      uintptr
	oldHandlers sighook.Handlers
)

var (
	mu       sync.Mutex
	started  bool
	area     []byte // the save area
	arenaRW  []byte // the arena's writable view
	used     int
	slots    = map[string]int{}
	stackTop uint64
	exitAddr uintptr
)

func enter()
func addrs() (exit, handler uintptr)
func serialize()

func addrOf(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// start maps the arena and puts onFault in front of Go's handlers.
func start() {
	must := func(what string, err error) {
		if err != nil {
			panic(fmt.Sprintf("native: %s: %v", what, err))
		}
	}
	fd, err := unix.MemfdCreate("native", unix.MFD_CLOEXEC)
	must("memfd_create", err)
	must("ftruncate", unix.Ftruncate(fd, arenaSize))
	arenaRW, err = unix.Mmap(fd, 0, arenaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must("mmap", err)
	rx, err := unix.Mmap(fd, 0, arenaSize, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED)
	must("mmap of executable memory", err)
	unix.Close(fd)
	area, err = unix.Mmap(-1, 0, areaSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must("mmap", err)
	stack, err := unix.Mmap(-1, 0, stackSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must("mmap", err)

	areaPtr = addrOf(area)
	codeLo = addrOf(rx)
	codeHi = codeLo + arenaSize
	stackTop = uint64(addrOf(stack)) + stackSize - 256
	if cpu.X86.HasAVX {
		area[offHaveAVX] = 1
	}
	var handler uintptr
	exitAddr, handler = addrs()
	must("signal handlers", sighook.Chain(handler, &oldHandlers,
		unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP))
	started = true
}

// prologue is the length of what stands in front of a block: it loads RAX, the
// last register, and keeps the block aligned.
const prologue = 16

// place copies code into the arena, unless it is there already, and returns its
// offset.
func place(code []byte) int {
	if off, ok := slots[string(code)]; ok {
		return off
	}
	n := (prologue + len(code) + 14 + 63) &^ 63
	if n > arenaSize {
		panic("native: block too long")
	}
	if used+n > arenaSize {
		used = 0
		clear(slots)
	}
	b := arenaRW[used : used+n]
	off := used + prologue
	used += n
	// mov rax, area; mov rax, [rax]
	copy(b, []byte{0x90, 0x90, 0x90, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x48, 0x8b, 0x00})
	binary.LittleEndian.PutUint64(b[5:], uint64(areaPtr))
	b = b[prologue:]
	k := copy(b, code)
	copy(b[k:], []byte{0xff, 0x25, 0, 0, 0, 0}) // jmp [rip+0]
	binary.LittleEndian.PutUint64(b[k+6:], uint64(exitAddr))
	slots[string(code)] = off
	serialize() // the write went through another linear address (SDM volume 3, 9.1.3)
	return off
}

// Run executes code on the host with the registers of st, until it runs off its
// end or faults, and leaves the registers in st.
func Run(code []byte, st *State) Result {
	mu.Lock()
	defer mu.Unlock()
	if !started {
		start()
	}
	le := binary.LittleEndian
	off := place(code)
	a := area
	for i, v := range st.GPR {
		le.PutUint64(a[i*8:], v)
	}
	if st.GPR[4] == 0 {
		le.PutUint64(a[4*8:], stackTop)
	}
	le.PutUint64(a[offRFLAGS:], st.RFLAGS&0xcd5|0x202)
	le.PutUint64(a[offEntry:], uint64(codeLo)+uint64(off)-prologue)
	le.PutUint64(a[offVector:], ^uint64(0))
	fx := a[offFX:offYMM]
	le.PutUint16(fx[0:], st.X87.FCW)
	le.PutUint16(fx[2:], st.X87.FSW)
	fx[4], fx[5] = st.X87.FTW, 0
	le.PutUint16(fx[6:], st.X87.FOP)
	le.PutUint64(fx[8:], st.X87.FIP)
	le.PutUint64(fx[16:], st.X87.FDP)
	le.PutUint32(fx[24:], st.MXCSR&0xffff)
	for i, r := range st.X87.ST {
		le.PutUint64(fx[32+16*i:], r.Frac)
		le.PutUint64(fx[40+16*i:], uint64(r.SE))
	}
	for i := range st.YMM {
		y := &st.YMM[i]
		le.PutUint64(fx[160+16*i:], y[0])
		le.PutUint64(fx[168+16*i:], y[1])
		for j, v := range y {
			le.PutUint64(a[offYMM+32*i+8*j:], v)
		}
	}

	enter()

	for i := range st.GPR {
		st.GPR[i] = le.Uint64(a[i*8:])
	}
	st.RFLAGS = le.Uint64(a[offRFLAGS:])
	st.X87.FCW = le.Uint16(fx[0:])
	st.X87.FSW = le.Uint16(fx[2:])
	st.X87.FTW = fx[4]
	st.X87.FOP = le.Uint16(fx[6:])
	st.X87.FIP = le.Uint64(fx[8:])
	st.X87.FDP = le.Uint64(fx[16:])
	st.MXCSR = le.Uint32(fx[24:])
	for i := range st.X87.ST {
		st.X87.ST[i] = F80{le.Uint64(fx[32+16*i:]), le.Uint16(fx[40+16*i:])}
	}
	for i := range st.YMM {
		y := &st.YMM[i]
		if a[offHaveAVX] != 0 {
			for j := range y {
				y[j] = le.Uint64(a[offYMM+32*i+8*j:])
			}
		} else {
			y[0], y[1] = le.Uint64(fx[160+16*i:]), le.Uint64(fx[168+16*i:])
		}
	}
	r := Result{Vector: int(int64(le.Uint64(a[offVector:])))}
	if r.Vector >= 0 {
		r.Error = le.Uint64(a[offErr:])
		r.Addr = le.Uint64(a[offAddr:])
		r.Off = int(le.Uint64(a[offFaultIP:]) - uint64(codeLo) - uint64(off))
	}
	return r
}

// Alloc maps size bytes (rounded up to pages) that blocks can address, and
// returns them with their address. The pages before and after are not mapped.
// The memory is never given back.
func Alloc(size int) (buf []byte, addr uint64) {
	size = (size + 4095) &^ 4095
	b, err := unix.Mmap(-1, 0, size+2*4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err == nil {
		err = unix.Mprotect(b[4096:4096+size], unix.PROT_READ|unix.PROT_WRITE)
	}
	if err != nil {
		panic(fmt.Sprintf("native: mmap: %v", err))
	}
	buf = b[4096 : 4096+size : 4096+size]
	return buf, uint64(addrOf(buf))
}
