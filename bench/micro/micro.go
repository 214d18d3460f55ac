// Package micro has the micro-benchmarks of hotblock bench: loops that isolate
// what no program does alone. The same code runs natively and in guests.
//
// # How it works
//
// A benchmark prepares its data and returns its body. The caller marks the
// beginning, runs the body with a fixed number of rounds, and marks the end; the
// body returns a number that depends on all of its work, so that a run that
// computed something else is seen. Loops whose instructions matter are written
// in assembly (loops_linux_amd64.s), so that no compiler turns them into
// something else; those that stand for compiled code are Go.
//
// Bodies that work with processes, signals and futexes make their system calls
// themselves, without the Go runtime between them and the kernel.
package micro

import "errors"

// Info describes a benchmark.
type Info struct {
	Name  string // without the class
	Class string // one of the suite's classes
	N     uint64 // rounds for about 0.1 to 0.3 s on a current host
	Doc   string // what a round does
}

// Errors of Prepare.
var (
	ErrUnknown     = errors.New("no such micro-benchmark")
	ErrUnsupported = errors.New("the CPU lacks an instruction that the benchmark is about")
)

// All lists the benchmarks.
var All = []Info{
	{"alu", "alu", 60e6, "xorshift, add, lea: 12 dependent instructions on registers"},
	{"adc", "alu", 240e6, "256-bit addition: add and three adc"},
	{"shift", "alu", 60e6, "shifts and rotates by constants and by CL"},
	{"mul", "alu", 40e6, "64-bit imul and widening mul, dependent"},
	{"div", "alu", 15e6, "64-bit div by a varying divisor"},
	{"branch", "alu", 20e6, "three conditional branches on random bits"},
	{"loopjcc", "alu", 300e6, "the shortest loop: dec, jnz"},

	{"sieve", "int", 20, "sieve of Eratosthenes over 2 MiB"},
	{"heapsort", "int", 20, "heapsort of 64 Ki 32-bit numbers"},
	{"hash", "int", 40e6, "open-addressing hash table, insert and look up"},
	{"crc32", "int", 500, "table-driven CRC-32 of 64 KiB"},
	{"sha256", "int", 300, "SHA-256 of 64 KiB, without instructions for it"},
	{"seqload", "int", 6000, "8-byte loads over 512 KiB, in order"},
	{"seqstore", "int", 10000, "8-byte stores over 512 KiB, in order"},
	{"randload", "int", 20e6, "8-byte loads at random places of 16 MiB"},
	{"randstore", "int", 40e6, "8-byte stores at random places of 16 MiB"},
	{"atomic", "int", 10e6, "lock xadd and lock cmpxchg"},

	{"chase32k", "latency", 60e6, "a load whose address is what the last one loaded, within 32 KiB"},
	{"chase1m", "latency", 20e6, "the same within 1 MiB"},
	{"chase64m", "latency", 1e6, "the same within 64 MiB"},

	{"call", "call", 60e6, "call and return of an empty function"},
	{"fib", "call", 32, "fib(30) by recursion"},
	{"icall", "call", 20e6, "indirect calls of eight functions in random order"},
	{"virtual", "call", 20e6, "method calls through an interface of four types"},
	{"bytecode", "call", 100e6, "an interpreter's loop: a jump table a byte code"},

	{"scalar", "fp", 10e6, "SSE2 scalar double: add, mul, div, sqrt"},
	{"mandelbrot", "fp", 16, "Mandelbrot set of 256 by 256, in doubles"},
	{"nbody", "fp", 1.8e6, "the five-body problem, in doubles"},
	{"x87", "fp", 3e6, "x87: fadd, fmul, fdiv, fsqrt, a store and a load"},
	{"x87sin", "fp", 1e6, "x87: fsincos"},

	{"ssefloat", "simd", 15e6, "SSE: mulps, addps, subps, mulpd, addpd"},
	{"sseint", "simd", 20e6, "SSE: paddd, pmulld, pshufb, pxor, pcmpgtd, pmovmskb"},
	{"avx2float", "simd", 10e6, "AVX2: vmulps, vaddps, vfmadd231pd of 256 bits"},
	{"avx2int", "simd", 20e6, "AVX2: vpaddd, vpmulld, vpshufb, vpermd of 256 bits"},
	{"aesni", "simd", 4e6, "AES-NI: ten rounds on a block"},
	{"pclmul", "simd", 20e6, "pclmulqdq and folding"},

	{"memcpysse", "copy", 100e3, "16-byte loads and stores of 64 KiB"},
	{"memcpyavx", "copy", 120e3, "32-byte loads and stores of 64 KiB"},
	{"repmovsb", "copy", 300e3, "rep movsb of 16 KiB"},
	{"repmovsq", "copy", 1e6, "rep movsq of 16 KiB"},
	{"repstosb", "copy", 300e3, "rep stosb of 16 KiB"},
	{"repstosq", "copy", 1e6, "rep stosq of 16 KiB"},
	{"repshort", "copy", 20e6, "rep movsb of 24 bytes"},
	{"scasb", "copy", 600e3, "repne scasb over 4 KiB"},

	{"getppid", "syscall", 1e6, "the system call getppid"},
	{"read", "syscall", 700e3, "read of a byte from /dev/zero"},
	{"stat", "syscall", 250e3, "stat of a file"},
	{"openclose", "syscall", 120e3, "open and close of a file"},

	{"pagefault", "vm", 40, "mmap of 4 MiB, a write to each page, munmap"},
	{"mmap", "vm", 30e3, "mmap, a write, and munmap of a page"},
	{"mprotect", "vm", 50e3, "mprotect of a page to read-only and back, a write after it"},
	{"signal", "vm", 100e3, "a signal sent to oneself, with its handler"},
	{"segv", "vm", 80e3, "a read of a page without access, caught by a handler"},

	{"pipe", "proc", 40e3, "a byte to another process through a pipe, and back"},
	{"futex", "proc", 40e3, "a turn of two threads that wait for each other by futex"},
	{"yield", "proc", 100e3, "sched_yield to another process and back"},
	{"fork", "proc", 500, "fork, exit, wait"},
	{"execstatic", "proc", 300, "fork, exec of a static program of a few instructions, wait"},
	{"execdynamic", "proc", 150, "fork, exec of /bin/true with its libraries, wait"},

	{"smc", "smc", 1.2e6, "a constant in an instruction is changed, and the code called"},
	{"smcdata", "smc", 12e6, "a store beside code, on its page, and the code called"},
	{"jit", "smc", 50e3, "48 instructions are generated in a buffer and called three times"},
}

// Find returns the description of a benchmark.
func Find(name string) (Info, bool) {
	for _, i := range All {
		if i.Name == name {
			return i, true
		}
	}
	return Info{}, false
}
