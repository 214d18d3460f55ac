package micro

// Loops in assembly, in loops_linux_amd64.s. Each runs n rounds, at least one,
// and returns a number that depends on all of them. Pointers are not kept.

func aluLoop(n uint64) uint64
func adcLoop(n uint64) uint64
func shiftLoop(n uint64) uint64
func mulLoop(n uint64) uint64
func divLoop(n uint64) uint64
func branchLoop(n uint64) uint64
func jccLoop(n uint64) uint64
func callLoop(n uint64) uint64
func scalarLoop(n uint64) uint64
func x87Loop(n uint64) uint64
func x87SinLoop(n uint64) uint64
func sseFloatLoop(n uint64) uint64
func sseIntLoop(n uint64) uint64
func avx2FloatLoop(n uint64) uint64
func avx2IntLoop(n uint64) uint64
func aesLoop(n uint64) uint64
func pclmulLoop(n uint64) uint64

// chaseLoop follows n times 8 offsets in bytes from p.
//
//go:noescape
func chaseLoop(n uint64, p *uint64) uint64

// seqLoad and seqStore go n times over words 8-byte words, a multiple of 8.
//
//go:noescape
func seqLoad(n uint64, p *uint64, words uint64) uint64

//go:noescape
func seqStore(n uint64, p *uint64, words uint64) uint64

// randLoad and randStore work on mask+1 8-byte words, a power of two.
//
//go:noescape
func randLoad(n uint64, p *uint64, mask uint64) uint64

//go:noescape
func randStore(n uint64, p *uint64, mask uint64) uint64

//go:noescape
func atomicLoop(n uint64, p *uint64) uint64

// Copies and fills of size bytes, a multiple of 128.
//
//go:noescape
func copySSE(n uint64, dst, src *byte, size uint64)

//go:noescape
func copyAVX(n uint64, dst, src *byte, size uint64)

//go:noescape
func repMovsb(n uint64, dst, src *byte, size uint64)

//go:noescape
func repMovsq(n uint64, dst, src *byte, size uint64)

//go:noescape
func repStosb(n uint64, dst *byte, size uint64)

//go:noescape
func repStosq(n uint64, dst *byte, size uint64)

// repneScasb looks n times for the byte 1 in size bytes, and returns the sum of
// what was left over.
//
//go:noescape
func repneScasb(n uint64, p *byte, size uint64) uint64

// sysLoop makes a system call n times and returns the last result.
func sysLoop(n, nr, a1, a2, a3 uint64) uint64

// readLoop reads a byte n times; statLoop gets the status of a file, and
// openLoop opens it for reading and closes it. They return the sum of results.
//
//go:noescape
func readLoop(n, fd uint64, buf *byte) uint64

//go:noescape
func statLoop(n uint64, path, buf *byte) uint64

//go:noescape
func openLoop(n uint64, path *byte) uint64

// protectLoop makes the page at p read-only and writable and writes to it.
//
//go:noescape
func protectLoop(n uint64, p *byte) uint64

// mapLoop maps a page anywhere, writes to it and unmaps it.
func mapLoop(n uint64) uint64

// signalAction sets what sig does to one of two handlers or to the default, for
// 0. Handler 1 returns; handler 2 skips the two bytes of an instruction.
func signalAction(sig, handler uint64) uint64

// killLoop sends sig to thread tid of process pid.
func killLoop(n, pid, tid, sig uint64) uint64

// faultLoop reads *p, which faults.
//
//go:noescape
func faultLoop(n uint64, p *byte) uint64

// forkExec forks n times; the child runs path with argv, or exits where path is
// nil, and is waited for. It returns the sum of exit statuses; 1<<32 is added
// where a fork failed.
//
//go:noescape
func forkExec(n uint64, path *byte, argv **byte) uint64

// forkEcho forks a child that closes a descriptor and sends back every byte
// from r on w until r ends; forkYield one that yields until it is killed. Both
// return its number.
func forkEcho(r, w, closes uint64) uint64
func forkYield() uint64

// pingLoop sends a byte on w and waits for it on r.
func pingLoop(n, w, r uint64) uint64

// futexLoop takes n turns: it waits until *p is its number, 0 or 1, then sets it
// to the other's and wakes that.
//
//go:noescape
func futexLoop(n uint64, p *uint32, me uint32)

// patchLoop changes the constant of "mov $imm32, %eax; ret" at code and calls
// it; besideLoop stores at off bytes behind it and calls it; callCode calls it
// with arg in RAX and returns RAX.
//
//go:noescape
func patchLoop(n uint64, code *byte) uint64

//go:noescape
func besideLoop(n uint64, code *byte, off uint64) uint64

//go:noescape
func callCode(code *byte, arg uint64) uint64
