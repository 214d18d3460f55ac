package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"hotblock/bench/micro"
)

// debugPort is the debug console of both emulators.
const debugPort = 0xe9

// outb writes v to an I/O port, which the thread must have permission for.
func outb(port uint16, v byte)

// sender sends lines to the host: to the debug port, or to a file.
type sender struct{ file *os.File }

func (s sender) send(format string, args ...any) error {
	line := fmt.Sprintf(format+"\n", args...)
	if s.file != nil {
		_, err := io.WriteString(s.file, line)
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, e := unix.RawSyscall(unix.SYS_IOPERM, debugPort, 1, 1); e != 0 {
		return fmt.Errorf("no access to port %#x: %w", debugPort, e)
	}
	for i := range len(line) {
		outb(debugPort, line[i])
	}
	unix.RawSyscall(unix.SYS_IOPERM, debugPort, 1, 0)
	return nil
}

// mark sends a line with the clock and the processor time used so far.
func (s sender) mark(kind string) error {
	return s.send("%s %d %d", kind, clock(), cpu())
}

func clock() int64 {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return ts.Nano()
}

// cpu is the processor time of this process and of its children that were
// waited for, in us.
func cpu() int64 {
	us := int64(0)
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if unix.Getrusage(who, &r) == nil {
			us += (r.Utime.Nano() + r.Stime.Nano()) / 1000
		}
	}
	return us
}

// Main is the agent. As process 1 it powers the machine off at its end.
func Main(args []string) error {
	f := flag.NewFlagSet(Command, flag.ContinueOnError)
	root := f.String("root", "", "natively: the tree to work in")
	dir := f.String("dir", "", "natively: the directory to put over the tree's "+Dir)
	skip := f.String("skip", "", "jobs to leave out: 1,4-7")
	microName := f.String("micro", "", "run this micro-benchmark alone")
	n := f.Uint64("n", 1, "its rounds")
	native := f.Bool("native", false, "report on descriptor 3, not on the debug console")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *microName != "" {
		s := sender{}
		if *native {
			s.file = os.NewFile(3, "marks")
		}
		os.Exit(runMicro(s, *microName, *n))
	}
	if os.Getpid() != 1 {
		if *root == "" {
			return errors.New("the agent runs as a guest's init, or natively with -root")
		}
		if err := enter(*root, *dir); err != nil {
			return err
		}
		return work(sender{os.Stdout}, *skip)
	}
	defer func() {
		unix.Sync()
		unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	}()
	err := boot()
	if err == nil {
		err = work(sender{}, *skip)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	return err
}

// boot mounts what programs expect of a system.
func boot() error {
	os.Chdir("/")
	for _, m := range []struct{ kind, at string }{{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}, {"tmpfs", "/dev/shm"}, {"tmpfs", "/tmp"}} {
		os.MkdirAll(m.at, 0o755)
		if err := unix.Mount("none", m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	return nil
}

// enter makes root the root directory of this process, which was started in a
// mount namespace of its own, and keeps it to one CPU: a guest has one.
func enter(root, dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("mount namespace: %w", err)
	}
	for _, m := range []struct {
		from, at string
		flags    uintptr
	}{{"/dev", "dev", unix.MS_BIND | unix.MS_REC}, {"/proc", "proc", unix.MS_BIND | unix.MS_REC}, {dir, Dir, unix.MS_BIND}} {
		at := filepath.Join(root, m.at)
		os.MkdirAll(at, 0o755)
		if err := unix.Mount(m.from, at, "", m.flags, ""); err != nil {
			return fmt.Errorf("bind %s: %w", at, err)
		}
	}
	tmp := filepath.Join(root, "tmp")
	os.MkdirAll(tmp, 0o1777)
	if err := unix.Mount("none", tmp, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", tmp, err)
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	return pin()
}

// pin keeps all threads of this process, and so its children, on one CPU.
func pin() error {
	var have, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &have); err != nil {
		return fmt.Errorf("affinity: %w", err)
	}
	for i := len(have)*64 - 1; i >= 0; i-- {
		if have.IsSet(i) {
			one.Set(i)
			break
		}
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			if err := unix.SchedSetaffinity(tid, &one); err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("affinity: %w", err)
			}
		}
	}
	return nil
}

// runMicro is the process of a micro-benchmark.
func runMicro(s sender, name string, n uint64) int {
	body, err := micro.Prepare(name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		if errors.Is(err, micro.ErrUnsupported) {
			return StatusUnsupported
		}
		return 1
	}
	if err := s.mark("B"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sum := body(n)
	s.mark("E")
	fmt.Printf("%#x\n", sum)
	return 0
}

// work does the plan.
func work(s sender, skip string) error {
	b, err := os.ReadFile("/" + PlanFile)
	if err != nil {
		return err
	}
	var p Plan
	if err := json.Unmarshal(b, &p); err != nil {
		return err
	}
	left, err := ParseSkip(skip)
	if err != nil {
		return err
	}
	if err := s.send("H %d", clock()); err != nil {
		return err
	}
	for i, j := range p.Jobs {
		if left[i] {
			continue
		}
		if err := s.send("R %d", i); err != nil {
			return err
		}
		status, note := j.run(s)
		if status == 0 && j.Want != "" && !contains("/tmp/out", j.Want) {
			status = StatusWrong
		}
		size, sum, head := output("/tmp/out")
		if status != 0 && status != StatusWrong {
			if _, _, e := output("/tmp/err"); e != "" {
				head = e
			}
			head = strings.TrimSpace(note + " " + head)
		}
		s.send("X %d %d %d %s %q", i, status, size, sum, head)
		clean("/tmp")
	}
	return s.send("D")
}

// environment of programs.
var environment = []string{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C", "HOME=/tmp", "TMPDIR=/tmp"}

// run runs a job and returns its exit status, and why it was not run.
func (j *Job) run(s sender) (status int, note string) {
	out, err := os.Create("/tmp/out")
	if err != nil {
		return StatusNotRun, err.Error()
	}
	defer out.Close()
	errs, err := os.Create("/tmp/err")
	if err != nil {
		return StatusNotRun, err.Error()
	}
	defer errs.Close()
	env := append(append(environment[:len(environment):len(environment)], j.Env...), "N="+strconv.FormatUint(j.N, 10))
	if j.Prep != "" {
		c := exec.Command("/bin/sh", "-c", j.Prep)
		c.Env, c.Dir = env, "/"
		if o, err := c.CombinedOutput(); err != nil {
			return StatusNotRun, fmt.Sprintf("preparation: %v: %s", err, o)
		}
	}
	c := &exec.Cmd{Env: env, Dir: "/", Stdout: out, Stderr: errs}
	if j.Micro != "" {
		c.Path = "/" + Program
		c.Args = []string{"hotblock", Command, "-micro", j.Micro, "-n", strconv.FormatUint(j.N, 10)}
		// The runtime's own signals would disturb what is measured.
		c.Env = append(c.Env, "GODEBUG=asyncpreemptoff=1")
		if s.file != nil {
			c.Args = append(c.Args, "-native")
			c.ExtraFiles = []*os.File{s.file}
		}
		return code(c.Run())
	}
	if j.Stdin != "" {
		in, err := os.Open(j.Stdin)
		if err != nil {
			return StatusNotRun, err.Error()
		}
		defer in.Close()
		c.Stdin = in
	}
	c.Args = j.Args
	if c.Path = find(j.Args[0]); c.Path == "" {
		return StatusNotRun, j.Args[0] + ": not in the tree"
	}
	if err := s.mark("B"); err != nil {
		return StatusNotRun, err.Error()
	}
	err = c.Run()
	s.mark("E")
	return code(err)
}

// find looks for a program in the path of the environment.
func find(name string) string {
	if strings.Contains(name, "/") {
		return name
	}
	path, _ := strings.CutPrefix(environment[0], "PATH=")
	for _, d := range filepath.SplitList(path) {
		p := filepath.Join(d, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}

func code(err error) (int, string) {
	var e *exec.ExitError
	switch {
	case err == nil:
		return 0, ""
	case errors.As(err, &e):
		if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
			return StatusSignal + int(w.Signal()), w.Signal().String() + ":"
		}
		return e.ExitCode(), ""
	}
	return StatusNotRun, err.Error()
}

// output returns size and hash of a file, and its beginning.
func output(path string) (size int64, sum, head string) {
	f, err := os.Open(path)
	if err != nil {
		return 0, "-", ""
	}
	defer f.Close()
	b := make([]byte, 160)
	n, _ := io.ReadFull(f, b)
	h := sha256.New()
	h.Write(b[:n])
	rest, _ := io.Copy(h, f)
	return int64(n) + rest, hex.EncodeToString(h.Sum(nil)), string(b[:n])
}

// contains looks for text in the first MiB of a file.
func contains(path, text string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, 1<<20))
	return bytes.Contains(b, []byte(text))
}

func clean(dir string) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		os.RemoveAll(filepath.Join(dir, e.Name()))
	}
}
