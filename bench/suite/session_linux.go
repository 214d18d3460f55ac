package suite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"hotblock/bench/agent"
	"hotblock/bench/report"
)

// A session is one process that runs jobs: a guest from boot to power-off, or
// the agent in its chroot. Its output is the agent's protocol (package agent).

// stamp is the host's time, and the processor time that the process had used.
type stamp struct {
	at  time.Time
	cpu time.Duration
}

// event is a line of the session. A line that begins a measurement is stamped
// when its last byte was there, others with their first.
type event struct {
	line string
	stamp
}

// process is a running target.
type process struct {
	cmd    *exec.Cmd
	start  time.Time
	events chan event // closed at the end of output
	stderr *tail
}

// processCPU reads the processor time of all threads of a process
// (CPUCLOCK_SCHED of another process, linux/posix-timers.h).
func processCPU(pid int) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(int32(^pid)<<3|2, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// maxLine is how much of a line without an end is kept, in bytes.
const maxLine = 4096

func launch(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, events: make(chan event, 64), stderr: &tail{}}
	cmd.Stderr = p.stderr
	cmd.WaitDelay = 2 * time.Second
	cmd.Cancel = func() error { return p.kill() }
	// The reading end stays blocking: its thread waits in the system call.
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("pipe: %w", err)
	}
	out := os.NewFile(uintptr(fds[1]), "output")
	defer out.Close()
	cmd.Stdout = out
	p.start = time.Now()
	if err := cmd.Start(); err != nil {
		unix.Close(fds[0])
		return nil, err
	}
	go p.read(fds[0])
	return p, nil
}

// kill ends the process and those that it started, unless it was waited for.
func (p *process) kill() error {
	if p.cmd.ProcessState != nil {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}

// read stamps the output. Where the user may have it so, its thread comes before
// all others: on a busy host stamps would be late otherwise.
func (p *process) read(fd int) {
	defer close(p.events)
	defer unix.Close(fd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The thread must live on: processes that it may have started die with it
	// (Pdeathsig).
	defer unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0)
	unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1, Flags: unix.SCHED_FLAG_RESET_ON_FORK}, 0)
	buf := make([]byte, 4096)
	var line []byte
	var first stamp
	for {
		n, err := unix.Read(fd, buf)
		now := stamp{time.Now(), processCPU(p.cmd.Process.Pid)}
		if err == unix.EINTR {
			continue
		}
		for _, b := range buf[:n] {
			if len(line) == 0 {
				first = now
			}
			if b != '\n' {
				if len(line) < maxLine {
					line = append(line, b)
				}
				continue
			}
			e := event{strings.TrimRight(string(line), "\r"), first}
			if strings.HasPrefix(e.line, "B ") {
				e.stamp = now
			}
			p.events <- e
			line = line[:0]
		}
		if err != nil || n == 0 {
			return
		}
	}
}

// end waits for the guest to power off, for a while.
func (p *process) end() {
	limit := time.After(20 * time.Second)
	for {
		select {
		case _, ok := <-p.events:
			if !ok {
				p.cmd.Wait()
				return
			}
		case <-limit:
			return
		}
	}
}

// wait ends the process if it still runs, and takes its remains away.
func (p *process) wait() error {
	for range p.events {
	}
	if p.cmd.ProcessState != nil {
		return nil
	}
	return p.cmd.Wait()
}

// tail keeps the end of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > 4096 {
		t.b = append([]byte(nil), t.b[len(t.b)-2048:]...)
	}
	return len(p), nil
}

// lastLines is the end of a text in one line.
func lastLines(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(bytes.ToValidUTF8(b, nil))), "\n")
	return strings.Join(strings.Fields(strings.Join(lines[max(0, len(lines)-3):], " / ")), " ")
}

// errNotUp says that the agent did not come up.
var errNotUp = errors.New("the guest did not come up")

// session runs the jobs that are not in done, adds each to done that has a
// sample, and returns when the session is over, however it ended.
func (r *runner) session(ctx context.Context, t *target, round int, done map[int]bool) error {
	os.Remove(r.files.serial)
	p, err := launch(t.command(ctx, &r.files, agent.FormatSkip(done, len(r.plan.Jobs))))
	if err != nil {
		return fmt.Errorf("%s: %w", t.Name, err)
	}
	defer func() {
		p.kill()
		p.wait()
	}()
	var (
		up           bool
		cur          = -1
		begin, end   event
		wall, cpu    time.Duration
		guest, ncpu  time.Duration
		have         bool
		limit        = time.NewTimer(r.BootTimeout)
		why          string
		lastActivity = "it booted"
	)
	defer limit.Stop()
	fail := func(status, detail string) {
		if cur >= 0 {
			r.add(t, cur, report.Sample{Round: round, Status: status, Detail: detail})
			done[cur] = true
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-limit.C:
			if cur >= 0 {
				fail(report.TimedOut, fmt.Sprintf("after %v", r.Timeout))
				return nil
			}
			if !up {
				return fmt.Errorf("%w in %v: %s", errNotUp, r.BootTimeout, r.console())
			}
			return fmt.Errorf("no answer after %s", lastActivity)
		case e, ok := <-p.events:
			if !ok {
				err := p.cmd.Wait()
				why = fmt.Sprintf("the process ended (%v) %s %s", err, lastLines(p.stderr.b), r.console())
				if !up {
					return fmt.Errorf("%w: %s", errNotUp, why)
				}
				fail(report.Died, why)
				return nil
			}
			f := strings.SplitN(e.line, " ", 6)
			number := func(i int) int64 {
				if i >= len(f) {
					return -1
				}
				n, err := strconv.ParseInt(f[i], 10, 64)
				if err != nil {
					return -1
				}
				return n
			}
			switch f[0] {
			case "H":
				up = true
			case "R":
				n := int(number(1))
				if n < 0 || n >= len(r.plan.Jobs) || done[n] {
					return fmt.Errorf("%s: the agent runs job %q", t.Name, e.line)
				}
				cur, have = n, false
				lastActivity = r.plan.Jobs[n].Name
				r.progress.describe(t.Name, round, r.plan.Jobs[n].Name)
				limit.Reset(2*r.Timeout + 10*time.Second) // for its preparation
			case "B":
				begin = e
				limit.Reset(r.Timeout)
			case "E":
				end = e
				b := strings.Fields(begin.line)
				if len(b) == 3 && len(f) == 3 {
					bc, _ := strconv.ParseInt(b[1], 10, 64)
					bu, _ := strconv.ParseInt(b[2], 10, 64)
					guest = time.Duration(number(1) - bc)
					ncpu = time.Duration(number(2)-bu) * time.Microsecond
					wall, cpu = end.at.Sub(begin.at), end.cpu-begin.cpu
					have = true
				}
				limit.Reset(r.Timeout + 10*time.Second) // for its output to be hashed
			case "X":
				if cur < 0 || int(number(1)) != cur || len(f) != 6 {
					break
				}
				head, err := strconv.Unquote(f[5])
				if err != nil {
					head = f[5]
				}
				s := report.Sample{Round: round, Status: report.OK, Output: f[4], Wall: wall.Seconds(), CPU: cpu.Seconds(), Guest: guest.Seconds()}
				if t.Kind == report.Native {
					s.CPU, s.Guest = ncpu.Seconds(), 0
				}
				switch status := number(2); {
				case status == agent.StatusUnsupported:
					s = report.Sample{Round: round, Status: report.Unsupported}
				case status == agent.StatusWrong:
					s.Status, s.Detail = report.Wrong, fmt.Sprintf("%q, without %q", head, r.jobs[cur].Want)
				case status != 0:
					s = report.Sample{Round: round, Status: fmt.Sprintf("exit status %d", status), Detail: head}
				case !have:
					s = report.Sample{Round: round, Status: report.Died, Detail: "no marks"}
				default:
					r.judge(t, cur, &s, head)
				}
				r.add(t, cur, s)
				done[cur] = true
				cur = -1
				limit.Reset(r.Timeout)
			case "D":
				if r.files.counters != "" && t.Kind == report.Hotblock {
					p.end()
				}
				return nil
			default:
				lastActivity = strconv.Quote(e.line)
			}
		}
	}
}

// console is the end of what the guest printed.
func (r *runner) console() string {
	b, err := os.ReadFile(r.files.serial)
	if err != nil || len(b) == 0 {
		return ""
	}
	return "the guest's console: " + lastLines(b)
}

// bootMark is how the boot's init script marks a phase on the console.
const bootMark = "BENCH-"

// bootInit is the init of the boots that are measured.
const bootInit = `#!/bin/busybox sh
echo ` + bootMark + `init
busybox mount -t devtmpfs none /dev
busybox mount -t proc none /proc
busybox mount -t sysfs none /sys
busybox mount -t tmpfs none /tmp
busybox --install -s
sh -c 'echo ` + bootMark + `shell'
poweroff -f
`

// boot measures one boot, in all of its phases.
func (r *runner) boot(ctx context.Context, t *target, round int) error {
	ctx, stop := context.WithTimeout(ctx, r.BootTimeout)
	defer stop()
	p, err := launch(t.bootCommand(ctx, &r.files))
	if err != nil {
		return err
	}
	seen := map[string]stamp{}
	last := ""
	for e := range p.events {
		if i := strings.Index(e.line, bootMark); i >= 0 {
			seen[e.line[i+len(bootMark):]] = e.stamp
		}
		last = e.line
	}
	err = p.cmd.Wait()
	if err == nil && ctx.Err() == nil {
		st := p.cmd.ProcessState
		seen["power-off"] = stamp{time.Now(), st.UserTime() + st.SystemTime()}
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return ctx.Err()
	}
	for i, w := range r.boots {
		phase := w.phases[len(w.phases)-1]
		s := report.Sample{Workload: w.Name, Target: t.Name, Round: round, Status: report.OK}
		if st, ok := seen[phase]; ok {
			s.Wall, s.CPU = st.at.Sub(p.start).Seconds(), st.cpu.Seconds()
		} else if ctx.Err() != nil {
			s.Status, s.Detail = report.TimedOut, fmt.Sprintf("after %v: %s", r.BootTimeout, last)
		} else {
			s.Status, s.Detail = report.Died, fmt.Sprintf("%v: %s %s", err, lastLines(p.stderr.b), last)
		}
		r.report.Samples = append(r.report.Samples, s)
		if i == 0 {
			r.progress.advance(t)
		}
	}
	return nil
}
