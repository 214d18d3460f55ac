// Package suite is hotblock bench: the same workloads run natively, in hotblock
// and in QEMU, and are timed by the host.
//
// # How it works
//
// The programs come from Debian packages, unpacked with their libraries into a
// tree (tree.go). Natively an agent runs in a chroot in that tree; guests get it
// as their initial RAM file system, with the same agent as init (package agent).
// So the same binaries do the same work on the same input.
//
// One boot of an emulator runs all workloads, with marks between them that the
// host stamps (session.go): the elapsed time, and the processor time of the
// whole emulator process. A workload that takes too long, or whose guest dies,
// becomes a row that says so, and the machine is booted again for the rest.
// Targets take turns for several rounds (run.go). The output of each workload
// must be what it is natively.
package suite

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hotblock/bench/agent"
	"hotblock/bench/micro"
	"hotblock/bench/report"
)

// Workload is a row of the suite.
type Workload struct {
	Name     string   // class/name
	Doc      string   // what it is, in a few words
	Packages []string // that it needs, besides their libraries
	Option   string   // the word after -with that it takes, where it is large
	Quick    bool     // part of the quick run
	// Want is what the output must contain, where that is known beforehand;
	// Varies says that the output differs from run to run otherwise. The output
	// is else compared with what it is natively.
	Want   string
	Varies bool

	micro  string
	n      uint64 // amount of work; $N in args and in the environment
	prep   string
	args   string // split at spaces; a part in single quotes is one argument
	stdin  string
	env    []string
	phases []string // for class boot
}

// Class is the workload's class of work.
func (w *Workload) Class() string {
	c, _, _ := strings.Cut(w.Name, "/")
	return c
}

// job is the workload as the agent gets it, with its work scaled.
func (w *Workload) job(scale float64) agent.Job {
	n := max(uint64(float64(w.n)*scale), 1)
	j := agent.Job{Name: w.Name, Micro: w.micro, N: n, Want: w.Want, Prep: w.prep, Stdin: w.stdin, Env: w.env}
	for _, a := range split(w.args) {
		j.Args = append(j.Args, strings.ReplaceAll(a, "$N", strconv.FormatUint(n, 10)))
	}
	return j
}

// command is what is run, for people.
func (w *Workload) command() string {
	if w.micro != "" {
		return fmt.Sprintf("bench/micro: %s, %d rounds", w.micro, w.n)
	}
	s := strings.ReplaceAll(w.args, "$N", strconv.FormatUint(w.n, 10))
	if w.stdin != "" {
		s += " <" + w.stdin
	}
	if len(w.env) > 0 {
		s = strings.Join(w.env, " ") + " " + s
	}
	return s
}

func (w *Workload) describe() report.Workload {
	return report.Workload{Name: w.Name, Class: w.Class(), Real: w.micro == "", Doc: w.Doc, Command: w.command()}
}

// split splits a command at spaces, but not within single quotes.
func split(s string) (words []string) {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ") {
		i := strings.IndexByte(s, ' ')
		if s[0] == '\'' {
			if j := strings.IndexByte(s[1:], '\''); j >= 0 {
				words = append(words, s[1:1+j])
				s = s[j+2:]
				continue
			}
		}
		if i < 0 {
			i = len(s)
		}
		words = append(words, s[:i])
		s = s[i:]
	}
	return words
}

// The input: text of 4 MiB (data.go).
const (
	text   = "bench/text"
	text8  = "bench/text bench/text bench/text bench/text bench/text bench/text bench/text bench/text"
	aesKey = "000102030405060708090a0b0c0d0e0f"
	// Bits of CPUID leaf 1: PCLMULQDQ, SSSE3 and AES (OPENSSL_ia32cap(3)).
	noAESNI = "OPENSSL_ia32cap=~0x0200020200000000"
)

// m2203 is the Mersenne prime 2^2203-1, in hexadecimal.
var m2203 = "7" + strings.Repeat("F", 550)

// programs are the workloads that are real programs.
var programs = []Workload{
	{Name: "copy/dd-1M", Doc: "GNU dd, zero to null in blocks of 1 MiB", Packages: []string{"coreutils"}, Quick: true, n: 8000,
		args: "dd if=/dev/zero of=/dev/null bs=1M count=$N status=none"},
	{Name: "syscall/dd-4k", Doc: "GNU dd, zero to null in blocks of 4 KiB", Packages: []string{"coreutils"}, n: 600e3,
		args: "dd if=/dev/zero of=/dev/null bs=4k count=$N status=none"},
	{Name: "syscall/dd-512", Doc: "GNU dd, zero to null in blocks of 512 bytes", Packages: []string{"coreutils"}, Quick: true, n: 600e3,
		args: "dd if=/dev/zero of=/dev/null bs=512 count=$N status=none"},
	{Name: "copy/dd-to-tmpfs", Doc: "GNU dd, 96 MiB of zeros to a file in tmpfs", Packages: []string{"coreutils"}, n: 96,
		args: "dd if=/dev/zero of=/tmp/file bs=1M count=$N status=none"},
	{Name: "copy/dd-from-tmpfs", Doc: "GNU dd, a file of 192 MiB in tmpfs to null, in blocks of 64 KiB", Packages: []string{"coreutils"}, n: 192,
		prep: "dd if=/dev/zero of=/tmp/file bs=1M count=$N status=none",
		args: "dd if=/tmp/file of=/dev/null bs=64k status=none"},
	{Name: "copy/sysbench-memory", Doc: "sysbench memory: writes of 1 KiB to a total of 1 GiB", Packages: []string{"sysbench"}, Varies: true, n: 1024,
		Want: "total number of events", args: "sysbench memory --memory-block-size=1K --memory-total-size=$NM --time=0 run"},

	{Name: "int/gzip", Doc: "gzip -6 of 4 MiB of text", Packages: []string{"gzip"}, Quick: true, args: "gzip -6 -n -c " + text},
	{Name: "int/gunzip", Doc: "its decompression, four times", Packages: []string{"gzip"},
		prep: "gzip -6 -n -c " + text + " >/tmp/1.gz; cat /tmp/1.gz /tmp/1.gz /tmp/1.gz /tmp/1.gz >/tmp/t.gz", args: "gzip -d -c /tmp/t.gz"},
	{Name: "int/bzip2", Doc: "bzip2 of 4 MiB of text", Packages: []string{"bzip2"}, args: "bzip2 -c " + text},
	{Name: "int/bunzip2", Doc: "its decompression", Packages: []string{"bzip2"},
		prep: "bzip2 -c " + text + " >/tmp/t.bz2", args: "bzip2 -d -c /tmp/t.bz2"},
	{Name: "int/xz", Doc: "xz -1 of 4 MiB of text", Packages: []string{"xz-utils"}, args: "xz -1 -T1 -c " + text},
	{Name: "int/unxz", Doc: "its decompression", Packages: []string{"xz-utils"},
		prep: "xz -1 -T1 -c " + text + " >/tmp/t.xz", args: "xz -d -c /tmp/t.xz"},
	{Name: "int/zstd", Doc: "zstd -9 of 4 MiB of text", Packages: []string{"zstd"}, Quick: true, args: "zstd -q -9 --single-thread -c " + text},
	{Name: "int/unzstd", Doc: "its decompression, eight times", Packages: []string{"zstd"},
		prep: "zstd -q -9 --single-thread -c " + text + " >/tmp/1.zst; for i in 1 2 3 4 5 6 7 8; do cat /tmp/1.zst; done >/tmp/t.zst", args: "zstd -q -d -c /tmp/t.zst"},
	{Name: "int/7zr", Doc: "7zr: LZMA2 of 4 MiB of text, one thread", Packages: []string{"p7zip"}, Varies: true, Want: "Everything is Ok",
		args: "/usr/lib/p7zip/7zr a -mmt=1 -mx=1 -bd /tmp/t.7z " + text},
	{Name: "int/sort", Doc: "sort -u of the lines of 16 MiB of text", Packages: []string{"coreutils"}, Quick: true,
		args: "sort -u --parallel=1 -S 256M " + strings.Repeat(text+" ", 4)},
	{Name: "int/grep", Doc: "grep -c -E of a pattern with alternatives and repetition, in 32 MiB", Packages: []string{"grep"},
		args: "grep -c -h -E '(foo|ba[rz]+|[aeiou]{3})[a-z]*ing' " + text8},
	{Name: "int/wc", Doc: "wc: words of 32 MiB", Packages: []string{"coreutils"}, args: "wc " + text8},
	{Name: "int/sha256sum", Doc: "coreutils' sha256sum of 32 MiB", Packages: []string{"coreutils"}, Quick: true, args: "sha256sum " + text8},
	{Name: "int/md5sum", Doc: "coreutils' md5sum of 64 MiB", Packages: []string{"coreutils"}, args: "md5sum " + text8 + " " + text8},
	{Name: "int/openssl-prime", Doc: "openssl prime: modular powers of 2203 bits, as RSA has them", Packages: []string{"openssl"},
		args: "openssl prime -hex -checks 24 " + m2203, Want: "is prime"},
	{Name: "int/openssl-rsa", Doc: "openssl: eight RSA signatures with a key of 4484 bits, a process each", Packages: []string{"openssl", "dash"},
		args: "sh -c 'for i in 1 2 3 4 5 6 7 8; do openssl dgst -sha256 -hex -sign bench/rsa.pem bench/work.sh || exit; done'"},
	{Name: "int/sysbench-cpu", Doc: "sysbench cpu: primes up to 10000", Packages: []string{"sysbench"}, n: 300, Varies: true,
		Want: "total number of events", args: "sysbench cpu --cpu-max-prime=10000 --events=$N --time=0 run"},

	{Name: "simd/openssl-sha256", Doc: "openssl's SHA-256 of 64 MiB", Packages: []string{"openssl"}, args: "openssl dgst -sha256 " + text8 + " " + text8},
	{Name: "simd/openssl-cbcmac", Doc: "openssl: CMAC of 64 MiB by AES-128-CBC, with AES-NI", Packages: []string{"openssl"}, Quick: true,
		prep: bigFile, args: "openssl mac -cipher AES-128-CBC -macopt hexkey:" + aesKey + " -in /tmp/big CMAC"},
	{Name: "simd/openssl-cbcmac-noni", Doc: "the same without AES-NI, SSSE3 and PCLMULQDQ", Packages: []string{"openssl"}, env: []string{noAESNI},
		prep: bigFile, args: "openssl mac -cipher AES-128-CBC -macopt hexkey:" + aesKey + " -in /tmp/big CMAC"},
	{Name: "simd/openssl-ctr", Doc: "openssl: AES-128-CTR of 64 MiB to SHA-1", Packages: []string{"openssl", "dash"}, prep: bigFile,
		args: "sh -c 'openssl enc -aes-128-ctr -K " + aesKey + " -iv " + aesKey + " -in /tmp/big | openssl sha1'"},
	{Name: "simd/openssl-gmac", Doc: "openssl: GMAC of 64 MiB, as AES-128-GCM has it", Packages: []string{"openssl"},
		prep: bigFile, args: "openssl mac -cipher AES-128-GCM -macopt hexkey:" + aesKey + " -macopt hexiv:000102030405060708090a0b -in /tmp/big GMAC"},

	{Name: "lang/python", Doc: "Python 3: dictionaries, strings, classes, recursion", Packages: []string{"python3.11-minimal"}, Quick: true, n: 10,
		args: "python3.11 -S -E bench/work.py $N"},
	{Name: "lang/python-start", Doc: "Python 3: start and end, 8 times", Packages: []string{"python3.11-minimal", "dash"},
		args: "sh -c 'for i in 1 2 3 4 5 6 7 8; do python3.11 -c \"print($i)\"; done'"},
	{Name: "lang/perl", Doc: "Perl: hashes, regular expressions, strings", Packages: []string{"perl-base"}, Quick: true, n: 5, args: "perl bench/work.pl $N"},
	{Name: "lang/lua", Doc: "Lua 5.4: tables, closures, strings, recursion", Packages: []string{"lua5.4"}, n: 15, args: "lua5.4 bench/work.lua $N"},
	{Name: "lang/luajit", Doc: "LuaJIT: the same, translated", Packages: []string{"luajit"}, n: 40, Quick: true, args: "luajit bench/work.lua $N"},
	{Name: "lang/mawk", Doc: "mawk: word counts of 4 MiB of text", Packages: []string{"mawk"},
		args: "mawk -f bench/work.awk " + text},
	{Name: "lang/bash", Doc: "bash: loops, arithmetic, strings, arrays", Packages: []string{"bash"}, n: 15000, args: "bash bench/work.sh $N"},
	{Name: "lang/dash", Doc: "dash: loops and arithmetic", Packages: []string{"dash"}, n: 150e3,
		args: "sh -c 'i=0; s=0; while [ $i -lt $N ]; do i=$((i+1)); s=$(((s+i*i)%65521)); done; echo $s'"},
	{Name: "lang/sqlite", Doc: "SQLite: inserts, an index, joins and sums in memory", Packages: []string{"sqlite3"},
		args: "sqlite3 -batch :memory:", stdin: "bench/work.sql"},
	{Name: "lang/gcc", Doc: "gcc -O2 -c of a generated file", Packages: []string{"gcc-12", "cpp-12", "binutils", "libc6-dev", "linux-libc-dev"}, Option: "gcc",
		args: "gcc-12 -O2 -S -o - bench/work.c"},
	{Name: "lang/node", Doc: "Node.js: objects, closures, strings, translated", Packages: []string{"nodejs"}, Option: "node", n: 20,
		args: "node bench/work.js $N"},

	{Name: "proc/bash-exec", Doc: "bash: 60 times fork and exec of /bin/true", Packages: []string{"bash", "coreutils"}, n: 60, Quick: true,
		args: "bash -c 'for ((i=0;i<$N;i++)); do /bin/true; done'"},
	{Name: "proc/dash-pipe", Doc: "dash: 30 pipelines of three programs", Packages: []string{"dash", "coreutils", "grep"}, n: 30,
		args: "sh -c 'i=0; while [ $i -lt $N ]; do i=$((i+1)); echo $i | cat | grep -c .; done'"},
}

const bigFile = "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do cat bench/text; done >/tmp/big"

// quickMicros are the micro-benchmarks of a quick run.
var quickMicros = []string{"alu", "div", "branch", "fib", "icall", "bytecode", "sieve", "sha256", "chase32k", "chase64m", "scalar", "x87", "ssefloat", "avx2int",
	"aesni", "repmovsb", "memcpyavx", "getppid", "stat", "pagefault", "signal", "pipe", "fork", "execdynamic", "smc"}

// BootPhases are the marks of a boot.
var BootPhases = []string{"init", "shell", "power-off"}

// All is the whole suite in the order of tables.
func All() (all []Workload) {
	for _, c := range report.Classes {
		for _, p := range programs {
			if p.Class() == c.Name {
				if p.n == 0 {
					p.n = 1
				}
				// The tree has a shell for preparations.
				p.Packages = append(slices.Clone(p.Packages), "dash", "coreutils")
				all = append(all, p)
			}
		}
		for _, m := range micro.All {
			if m.Class != c.Name {
				continue
			}
			w := Workload{Name: m.Class + "/" + m.Name, Doc: m.Doc, micro: m.Name, n: m.N, Quick: slices.Contains(quickMicros, m.Name)}
			if m.Name == "execdynamic" {
				w.Packages = []string{"coreutils"}
			}
			all = append(all, w)
		}
		if c.Name == "boot" {
			for i, ph := range BootPhases {
				w := Workload{Name: "boot/" + ph, Quick: true, phases: BootPhases[:i+1], args: "-"}
				w.Doc = map[string]string{"init": "to the first line of init", "shell": "to the first line of a shell",
					"power-off": "to the end of the process, the guest having powered off"}[ph]
				all = append(all, w)
			}
		}
	}
	return all
}

// Select returns the workloads of a run. run nil means all; with names the large
// ones that are wanted, "all" means each of them. A workload that run names in
// full needs no with.
func Select(run *regexp.Regexp, quick bool, with []string) (sel []Workload, err error) {
	options := map[string]bool{}
	for _, w := range All() {
		if w.Option != "" {
			options[w.Option] = true
		}
	}
	for _, w := range with {
		if !options[w] && w != "all" {
			return nil, fmt.Errorf("-with %s: there are gcc, node and all", w)
		}
	}
	for _, w := range All() {
		if run != nil && !run.MatchString(w.Name) || quick && !w.Quick {
			continue
		}
		named := run != nil && strings.HasPrefix(run.String(), "^"+w.Name)
		if w.Option != "" && !named && !slices.Contains(with, w.Option) && !slices.Contains(with, "all") {
			continue
		}
		sel = append(sel, w)
	}
	if len(sel) == 0 {
		return nil, fmt.Errorf("-run %s: no workload matches; -list shows them", run)
	}
	return sel, nil
}
