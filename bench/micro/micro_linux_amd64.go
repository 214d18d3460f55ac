package micro

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/cpu"
	"golang.org/x/sys/unix"
)

// Prepare makes a benchmark's data and returns its body. It locks the calling
// goroutine to its thread and turns garbage collection off: the process is
// expected to end after the benchmark.
func Prepare(name string) (body func(n uint64) uint64, err error) {
	prep, ok := bodies[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrUnknown)
	}
	debug.SetGCPercent(-1)
	runtime.LockOSThread()
	return prep()
}

// plain is a benchmark that needs no preparation.
func plain(f func(n uint64) uint64) func() (func(uint64) uint64, error) {
	return func() (func(uint64) uint64, error) { return f, nil }
}

// with is one that the CPU must be able to do.
func with(has bool, f func(n uint64) uint64) func() (func(uint64) uint64, error) {
	return func() (func(uint64) uint64, error) {
		if !has {
			return nil, ErrUnsupported
		}
		return f, nil
	}
}

// chase is a walk through size bytes, a line of 64 bytes at a time, in an order
// that no prefetcher follows.
func chase(size int) func() (func(uint64) uint64, error) {
	return func() (func(uint64) uint64, error) {
		const step = 8 // words of a line
		lines := size / 64
		a := make([]uint64, lines*step)
		order := make([]uint32, lines)
		for i := range order {
			order[i] = uint32(i)
		}
		seed := uint64(1)
		for i := lines - 1; i > 0; i-- {
			seed = seed*6364136223846793005 + 1442695040888963407
			j := int(seed >> 33 % uint64(i+1))
			order[i], order[j] = order[j], order[i]
		}
		for i, l := range order {
			a[int(l)*step] = uint64(order[(i+1)%lines]) * 64
		}
		return func(n uint64) uint64 { return chaseLoop(n/8, &a[0]) }, nil
	}
}

func words(n int) []uint64 {
	w := make([]uint64, n)
	for i := range w {
		w[i] = uint64(i)*0x9e3779b97f4a7c15 + 1
	}
	return w
}

// copying is a benchmark that copies size bytes a round.
func copying(has bool, size int, f func(n uint64, dst, src *byte)) func() (func(uint64) uint64, error) {
	return func() (func(uint64) uint64, error) {
		if !has {
			return nil, ErrUnsupported
		}
		src, dst := pages(size), pages(size)
		for i := range src {
			src[i] = byte(i * 7)
		}
		return func(n uint64) uint64 {
			f(n, &dst[0], &src[0])
			sum := uint64(0)
			for _, b := range dst {
				sum = sum*31 + uint64(b)
			}
			return sum
		}, nil
	}
}

// pages returns memory of its own mapping, so that its alignment is the same
// everywhere.
func pages(size int) []byte {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		panic(err) // out of memory
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return b
}

func executable(code []byte) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	copy(b, code)
	return b, err
}

func cstring(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

var bodies = map[string]func() (func(uint64) uint64, error){
	"alu":     plain(aluLoop),
	"adc":     plain(adcLoop),
	"shift":   plain(shiftLoop),
	"mul":     plain(mulLoop),
	"div":     plain(divLoop),
	"branch":  plain(branchLoop),
	"loopjcc": plain(jccLoop),

	"sieve": func() (func(uint64) uint64, error) {
		composite := make([]bool, 2<<20)
		return func(n uint64) uint64 {
			count := uint64(0)
			for range n {
				clear(composite)
				for i := 2; i < len(composite); i++ {
					if composite[i] {
						continue
					}
					count++
					for j := 2 * i; j < len(composite); j += i {
						composite[j] = true
					}
				}
			}
			return count
		}, nil
	},
	"heapsort": func() (func(uint64) uint64, error) {
		a := make([]uint32, 64<<10)
		return func(n uint64) (sum uint64) {
			seed := uint32(1)
			for range n {
				for i := range a {
					seed = seed*1664525 + 1013904223
					a[i] = seed
				}
				heapsort(a)
				for i := 0; i < len(a); i += 997 {
					sum = sum*31 + uint64(a[i])
				}
			}
			return sum
		}, nil
	},
	"hash": func() (func(uint64) uint64, error) {
		keys, vals := make([]uint64, 1<<16), make([]uint64, 1<<16)
		return func(n uint64) (sum uint64) {
			used, k := 0, uint64(1)
			for range n {
				k = k*6364136223846793005 + 1442695040888963407
				key := k>>50 + 1 // one of 16 Ki
				i := (key * 0x9e3779b97f4a7c15) >> 48
				for keys[i] != 0 && keys[i] != key {
					i = (i + 1) & (1<<16 - 1)
				}
				if keys[i] == 0 {
					keys[i] = key
					used++
				}
				vals[i] += key
				sum += vals[i]
			}
			return sum + uint64(used)
		}, nil
	},
	"crc32": func() (func(uint64) uint64, error) {
		var table [256]uint32
		for i := range table {
			c := uint32(i)
			for range 8 {
				c = c>>1 ^ 0xedb88320&-(c&1)
			}
			table[i] = c
		}
		data := pages(64 << 10)
		return func(n uint64) uint64 {
			c := ^uint32(0)
			for range n {
				for _, b := range data {
					c = table[byte(c)^b] ^ c>>8
				}
			}
			return uint64(c)
		}, nil
	},
	"sha256": func() (func(uint64) uint64, error) {
		data := pages(64 << 10)
		return func(n uint64) uint64 {
			h := sha256Init
			for range n {
				for i := 0; i < len(data); i += 64 {
					sha256Block(&h, data[i:i+64])
				}
			}
			return uint64(h[0])<<32 | uint64(h[7])
		}, nil
	},
	"seqload": func() (func(uint64) uint64, error) {
		w := words(64 << 10)
		return func(n uint64) uint64 { return seqLoad(n, &w[0], uint64(len(w))) }, nil
	},
	"seqstore": func() (func(uint64) uint64, error) {
		w := words(64 << 10)
		return func(n uint64) uint64 { return seqStore(n, &w[0], uint64(len(w))) }, nil
	},
	"randload": func() (func(uint64) uint64, error) {
		w := words(2 << 20)
		return func(n uint64) uint64 { return randLoad(n, &w[0], uint64(len(w)-1)) }, nil
	},
	"randstore": func() (func(uint64) uint64, error) {
		w := words(2 << 20)
		return func(n uint64) uint64 { return randStore(n, &w[0], uint64(len(w)-1)) }, nil
	},
	"atomic": func() (func(uint64) uint64, error) {
		w := words(8)
		return func(n uint64) uint64 { return atomicLoop(n, &w[0]) }, nil
	},

	"chase32k": chase(32 << 10),
	"chase1m":  chase(1 << 20),
	"chase64m": chase(64 << 20),

	"call": plain(callLoop),
	"fib": plain(func(n uint64) (sum uint64) {
		for range n {
			sum += fib(30)
		}
		return sum
	}),
	"icall": plain(func(n uint64) uint64 {
		x, seed := uint64(1), uint32(1)
		for range n {
			seed = seed*1664525 + 1013904223
			x = targets[seed>>29](x)
		}
		return x
	}),
	"virtual": plain(func(n uint64) uint64 {
		x, seed := uint64(1), uint32(1)
		for range n {
			seed = seed*1664525 + 1013904223
			x = shapes[seed>>30].area(x)
		}
		return x
	}),
	"bytecode": plain(bytecode),

	"scalar": plain(scalarLoop),
	"mandelbrot": plain(func(n uint64) (sum uint64) {
		for range n {
			sum += mandelbrot(256)
		}
		return sum
	}),
	"nbody":  plain(nbody),
	"x87":    plain(x87Loop),
	"x87sin": plain(x87SinLoop),

	"ssefloat":  plain(sseFloatLoop),
	"sseint":    with(cpu.X86.HasSSE41, sseIntLoop),
	"avx2float": with(cpu.X86.HasAVX2 && cpu.X86.HasFMA, avx2FloatLoop),
	"avx2int":   with(cpu.X86.HasAVX2, avx2IntLoop),
	"aesni":     with(cpu.X86.HasAES, aesLoop),
	"pclmul":    with(cpu.X86.HasPCLMULQDQ, pclmulLoop),

	"memcpysse": copying(true, 64<<10, func(n uint64, dst, src *byte) { copySSE(n, dst, src, 64<<10) }),
	"memcpyavx": copying(cpu.X86.HasAVX2, 64<<10, func(n uint64, dst, src *byte) { copyAVX(n, dst, src, 64<<10) }),
	"repmovsb":  copying(true, 16<<10, func(n uint64, dst, src *byte) { repMovsb(n, dst, src, 16<<10) }),
	"repmovsq":  copying(true, 16<<10, func(n uint64, dst, src *byte) { repMovsq(n, dst, src, 16<<10) }),
	"repstosb":  copying(true, 16<<10, func(n uint64, dst, _ *byte) { repStosb(n, dst, 16<<10) }),
	"repstosq":  copying(true, 16<<10, func(n uint64, dst, _ *byte) { repStosq(n, dst, 16<<10) }),
	"repshort":  copying(true, 4096, func(n uint64, dst, src *byte) { repMovsb(n, dst, src, 24) }),
	"scasb": func() (func(uint64) uint64, error) {
		b := pages(8192)
		b[0], b[4096], b[4095] = 0, 0, 1
		return func(n uint64) uint64 { return repneScasb(n, &b[0], 8192) }, nil
	},

	"getppid": plain(func(n uint64) uint64 {
		// Whose child this is differs from run to run.
		return min(sysLoop(n, unix.SYS_GETPPID, 0, 0, 0), 1)
	}),
	"read": func() (func(uint64) uint64, error) {
		fd, err := unix.Open("/dev/zero", unix.O_RDONLY, 0)
		b := make([]byte, 8)
		return func(n uint64) uint64 { return readLoop(n, uint64(fd), &b[0]) }, err
	},
	"stat": func() (func(uint64) uint64, error) {
		path, buf := cstring("/etc/passwd"), make([]byte, 256)
		return func(n uint64) uint64 { return statLoop(n, path, &buf[0]) }, nil
	},
	"openclose": func() (func(uint64) uint64, error) {
		path := cstring("/etc/passwd")
		return func(n uint64) uint64 { return openLoop(n, path) }, nil
	},

	"pagefault": plain(func(n uint64) (sum uint64) {
		for range n {
			b, err := unix.Mmap(-1, 0, 4<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
			if err != nil {
				return 0
			}
			unix.Madvise(b, unix.MADV_NOHUGEPAGE)
			for i := 0; i < len(b); i += 4096 {
				sum += uint64(b[i]) + 1
				b[i] = 1
			}
			unix.Munmap(b)
		}
		return sum
	}),
	"mmap": plain(mapLoop),
	"mprotect": func() (func(uint64) uint64, error) {
		b := pages(4096)
		return func(n uint64) uint64 { return protectLoop(n, &b[0]) }, nil
	},
	"signal": func() (func(uint64) uint64, error) {
		r := signalAction(uint64(unix.SIGUSR1), 1)
		pid, tid := uint64(os.Getpid()), uint64(unix.Gettid())
		return func(n uint64) uint64 { return r + killLoop(n, pid, tid, uint64(unix.SIGUSR1)) }, nil
	},
	"segv": func() (func(uint64) uint64, error) {
		b, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
		return func(n uint64) uint64 {
			signalAction(uint64(unix.SIGSEGV), 2)
			return faultLoop(n, &b[:1][0])
		}, err
	},

	"pipe": plain(func(n uint64) uint64 {
		var to, from [2]int
		if unix.Pipe(to[:]) != nil || unix.Pipe(from[:]) != nil {
			return 0
		}
		signalAction(uint64(unix.SIGCHLD), 0)
		pid := forkEcho(uint64(to[0]), uint64(from[1]), uint64(to[1]))
		sum := pingLoop(n, uint64(to[1]), uint64(from[0]))
		unix.Close(to[1])
		unix.Wait4(int(pid), nil, 0, nil)
		return sum
	}),
	"futex": func() (func(uint64) uint64, error) {
		// A loop holds what the Go scheduler runs goroutines on.
		runtime.GOMAXPROCS(4)
		return func(n uint64) uint64 {
			turn := new(uint32)
			done := make(chan bool)
			go func() {
				runtime.LockOSThread()
				futexLoop(n, turn, 1)
				close(done)
			}()
			futexLoop(n, turn, 0)
			<-done
			return uint64(*turn)
		}, nil
	},
	"yield": plain(func(n uint64) uint64 {
		signalAction(uint64(unix.SIGCHLD), 0)
		pid := int(forkYield())
		r := sysLoop(n, unix.SYS_SCHED_YIELD, 0, 0, 0)
		syscall.Kill(pid, syscall.SIGKILL)
		unix.Wait4(pid, nil, 0, nil)
		return r
	}),
	"fork": plain(func(n uint64) uint64 {
		signalAction(uint64(unix.SIGCHLD), 0)
		return forkExec(n, nil, nil)
	}),
	"execstatic": func() (func(uint64) uint64, error) {
		const path = "/tmp/nothing"
		if err := os.WriteFile(path, nothing(), 0o755); err != nil {
			return nil, err
		}
		return execBody(path), nil
	},
	"execdynamic": func() (func(uint64) uint64, error) {
		if _, err := os.Stat("/bin/true"); err != nil {
			return nil, err
		}
		return execBody("/bin/true"), nil
	},

	"smc": func() (func(uint64) uint64, error) {
		b, err := executable([]byte{0xb8, 0, 0, 0, 0, 0xc3}) // mov $imm, %eax; ret
		return func(n uint64) uint64 { return patchLoop(n, &b[:1][0]) }, err
	},
	"smcdata": func() (func(uint64) uint64, error) {
		b, err := executable([]byte{0xb8, 1, 0, 0, 0, 0xc3})
		return func(n uint64) uint64 { return besideLoop(n, &b[:1][0], 2048) }, err
	},
	"jit": func() (func(uint64) uint64, error) {
		b, err := executable(nil)
		return func(n uint64) uint64 { return generate(n, b) }, err
	},
}

func execBody(path string) func(uint64) uint64 {
	p := cstring(path)
	argv := []*byte{p, nil}
	return func(n uint64) uint64 {
		signalAction(uint64(unix.SIGCHLD), 0)
		return forkExec(n, p, &argv[0])
	}
}

// generate writes functions of 48 instructions one behind the other and calls
// each three times.
func generate(n uint64, b []byte) (sum uint64) {
	const size = 48*6 + 1
	at := 0
	for i := range n {
		if at+size > len(b) {
			at = 0
		}
		start := at
		for k := range uint32(48) {
			switch k % 4 {
			case 0:
				b[at], b[at+1] = 0x48, 0x05 // add $imm32, %rax
			case 1:
				b[at], b[at+1] = 0x48, 0x35 // xor
			case 2:
				b[at], b[at+1] = 0x48, 0x2d // sub
			case 3:
				b[at], b[at+1] = 0x48, 0xa9 // test
			}
			binary.LittleEndian.PutUint32(b[at+2:], uint32(i)*7+k)
			at += 6
		}
		b[at] = 0xc3
		at++
		for range 3 {
			sum = callCode(&b[start], sum)
		}
	}
	return sum
}

// nothing is a static program that exits: an ELF header, a program header and
// the code.
func nothing() []byte {
	const base = 0x400000
	code := []byte{0x31, 0xff, 0xb8, 231, 0, 0, 0, 0x0f, 0x05} // xor %edi, %edi; mov $exit_group, %eax; syscall
	b := make([]byte, 64+56, 64+56+len(code))
	le := binary.LittleEndian
	copy(b, "\x7fELF\x02\x01\x01")
	le.PutUint16(b[16:], 2)  // ET_EXEC
	le.PutUint16(b[18:], 62) // EM_X86_64
	le.PutUint32(b[20:], 1)
	le.PutUint64(b[24:], base+64+56) // entry
	le.PutUint64(b[32:], 64)         // program headers
	le.PutUint16(b[52:], 64)
	le.PutUint16(b[54:], 56)
	le.PutUint16(b[56:], 1)
	p := b[64:]
	le.PutUint32(p, 1)     // PT_LOAD
	le.PutUint32(p[4:], 5) // read and execute
	le.PutUint64(p[16:], base)
	le.PutUint64(p[24:], base)
	size := uint64(len(b) + len(code))
	le.PutUint64(p[32:], size)
	le.PutUint64(p[40:], size)
	le.PutUint64(p[48:], 4096)
	return append(b, code...)
}

//go:noinline
func fib(n uint64) uint64 {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

var targets = [8]func(uint64) uint64{
	func(x uint64) uint64 { return x + 1 },
	func(x uint64) uint64 { return x * 3 },
	func(x uint64) uint64 { return x ^ 0x55 },
	func(x uint64) uint64 { return x - 7 },
	func(x uint64) uint64 { return x<<1 | x>>63 },
	func(x uint64) uint64 { return ^x },
	func(x uint64) uint64 { return x + x>>3 },
	func(x uint64) uint64 { return x | 1 },
}

type shape interface{ area(x uint64) uint64 }

type (
	square   uint64
	circle   uint64
	triangle uint64
	line     uint64
)

func (s square) area(x uint64) uint64   { return x + uint64(s)*uint64(s) }
func (s circle) area(x uint64) uint64   { return x ^ uint64(s)*3 }
func (s triangle) area(x uint64) uint64 { return x*5 + uint64(s) }
func (s line) area(x uint64) uint64     { return x - uint64(s) }

var shapes = [4]shape{square(3), circle(4), triangle(5), line(6)}

// bytecode runs n instructions of a machine with a stack of registers; its
// program is a loop of 16.
func bytecode(n uint64) uint64 {
	prog := [...]byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 4, 1, 7, 3, 10}
	var r [4]uint64
	r[0] = 12345
	pc := 0
	for range n {
		op := prog[pc&15]
		pc++
		switch op {
		case 0:
			r[1] += r[0]
		case 1:
			r[2] ^= r[1]
		case 2:
			r[3] = r[2] >> 3
		case 3:
			r[0] += r[3] + 1
		case 4:
			r[1] = r[1]<<7 | r[1]>>57
		case 5:
			r[2] -= r[0]
		case 6:
			r[3] *= 77
		case 7:
			r[0] ^= r[2]
		case 8:
			r[1] |= 1
		case 9:
			if r[0]&1 == 0 {
				r[2]++
			}
		case 10:
			pc = 0
		}
	}
	return r[0] + r[1] + r[2] + r[3]
}

func heapsort(a []uint32) {
	sift := func(lo, hi int) {
		for root := lo; ; {
			child := 2*root + 1
			if child >= hi {
				return
			}
			if child+1 < hi && a[child] < a[child+1] {
				child++
			}
			if a[root] >= a[child] {
				return
			}
			a[root], a[child] = a[child], a[root]
			root = child
		}
	}
	for i := len(a)/2 - 1; i >= 0; i-- {
		sift(i, len(a))
	}
	for i := len(a) - 1; i > 0; i-- {
		a[0], a[i] = a[i], a[0]
		sift(0, i)
	}
}

func mandelbrot(size int) (inside uint64) {
	for py := range size {
		for px := range size {
			cx := float64(px)*3/float64(size) - 2
			cy := float64(py)*3/float64(size) - 1.5
			x, y := 0.0, 0.0
			i := 0
			for ; i < 200 && x*x+y*y < 4; i++ {
				x, y = x*x-y*y+cx, 2*x*y+cy
			}
			inside += uint64(i)
		}
	}
	return inside
}

type body struct{ x, y, z, vx, vy, vz, mass float64 }

// nbody simulates the sun and the outer planets for n steps of 1/100 day.
func nbody(n uint64) uint64 {
	const day = 365.24
	const sun = 4 * math.Pi * math.Pi
	bodies := [5]body{
		{mass: sun},
		{4.84143144, -1.16032004, -0.10362204, 0.00166007 * day, 0.00769901 * day, -0.0000690460 * day, 9.5479e-4 * sun},
		{8.34336671, 4.12479856, -0.40352341, -0.00276742 * day, 0.00499852 * day, 0.0000230417 * day, 2.8588e-4 * sun},
		{12.8943695, -15.1111514, -0.22330757, 0.00296460 * day, 0.00237847 * day, -0.0000296589 * day, 4.3662e-5 * sun},
		{15.3796971, -25.9193146, 0.17925877, 0.00268067 * day, 0.00162824 * day, -0.0000951592 * day, 5.1513e-5 * sun},
	}
	const dt = 0.01
	for range n {
		for i := range bodies {
			a := &bodies[i]
			for j := i + 1; j < len(bodies); j++ {
				b := &bodies[j]
				dx, dy, dz := a.x-b.x, a.y-b.y, a.z-b.z
				d2 := dx*dx + dy*dy + dz*dz
				mag := dt / (d2 * math.Sqrt(d2))
				a.vx -= dx * b.mass * mag
				a.vy -= dy * b.mass * mag
				a.vz -= dz * b.mass * mag
				b.vx += dx * a.mass * mag
				b.vy += dy * a.mass * mag
				b.vz += dz * a.mass * mag
			}
		}
		for i := range bodies {
			a := &bodies[i]
			a.x += dt * a.vx
			a.y += dt * a.vy
			a.z += dt * a.vz
		}
	}
	return math.Float64bits(bodies[1].x)
}

var sha256Init = [8]uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}

// sha256K are the first 32 bits of the fractional parts of the cube roots of
// the first 64 primes (FIPS 180-4, 4.2.2).
var sha256K = func() (k [64]uint32) {
	p := 2
	for i := range k {
		for ; ; p++ {
			prime := true
			for d := 2; d*d <= p; d++ {
				if p%d == 0 {
					prime = false
				}
			}
			if prime {
				break
			}
		}
		_, frac := math.Modf(math.Cbrt(float64(p)))
		k[i] = uint32(frac * (1 << 32))
		p++
	}
	return k
}()

// sha256Block is the hash computation of FIPS 180-4, 6.2.2, on one block.
func sha256Block(h *[8]uint32, p []byte) {
	var w [64]uint32
	rotr := func(x uint32, n uint) uint32 { return x>>n | x<<(32-n) }
	for i := range 16 {
		w[i] = binary.BigEndian.Uint32(p[4*i:])
	}
	for i := 16; i < 64; i++ {
		s0 := rotr(w[i-15], 7) ^ rotr(w[i-15], 18) ^ w[i-15]>>3
		s1 := rotr(w[i-2], 17) ^ rotr(w[i-2], 19) ^ w[i-2]>>10
		w[i] = w[i-16] + s0 + w[i-7] + s1
	}
	a, b, c, d, e, f, g, hh := h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
	for i := range 64 {
		t1 := hh + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (e&f ^ ^e&g) + sha256K[i] + w[i]
		t2 := (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + (a&b ^ a&c ^ b&c)
		hh, g, f, e, d, c, b, a = g, f, e, d+t1, c, b, a, t1+t2
	}
	h[0] += a
	h[1] += b
	h[2] += c
	h[3] += d
	h[4] += e
	h[5] += f
	h[6] += g
	h[7] += hh
}
