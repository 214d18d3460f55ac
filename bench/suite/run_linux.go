package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"hotblock/bench/agent"
	"hotblock/bench/report"
	"hotblock/boot/fetch"
	"hotblock/boot/initramfs"
)

// Options of a run.
type Options struct {
	Workloads   []Workload
	Rounds      int           // at least 1
	Scale       float64       // of the amount of work of workloads that have one
	Timeout     time.Duration // for a workload
	BootTimeout time.Duration // for a guest to come up
	Memory      string        // of a guest, as -m has it
	Metric      string        // report.Report.Metric
	Command     string        // for the report

	Native   bool
	Hotblock string   // path of the command
	Configs  []Config // of hotblock
	// QEMU is the path of qemu-system-x86_64, "fetch", "none", or empty: the
	// one that is installed, if any.
	QEMU        string
	QEMUConfigs []Config

	// Counters has those of the translator recorded, which takes a guest for each
	// class of work.
	Counters bool
	Compare  string // report.Report.Compare

	Kernel string // path; empty: Debian's cloud kernel
	Cache  *fetch.Cache
	Out    *os.File // progress; nil: none
}

type runner struct {
	Options
	files    runFiles
	plan     agent.Plan
	jobs     []Workload // of the plan
	boots    []Workload
	targets  []*target
	report   *report.Report
	expected map[int]expected
	progress *progress
}

// expected is the output that a job must have, and whose it was.
type expected struct{ sum, head, from string }

// Run runs the suite. With an error, too, it returns what was measured until
// then, if anything was.
func Run(ctx context.Context, o Options) (*report.Report, error) {
	if runtime.GOARCH != "amd64" {
		return nil, errors.New("hotblock bench needs Linux on amd64, whose programs it runs")
	}
	r := &runner{Options: o, expected: map[int]expected{}}
	start := time.Now()
	r.report = &report.Report{Started: start.UTC(), Metric: o.Metric, Scale: o.Scale, Command: o.Command, Compare: o.Compare, Cmdline: bootParameters}
	r.report.Host = describeHost()
	if o.Cache.Out != nil {
		r.message("getting programs")
	}
	dir, err := os.MkdirTemp("", "hotblock-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := r.prepare(ctx, dir); err != nil {
		return nil, err
	}
	r.report.Host.LoadBefore = loadAverage()
	err = r.rounds(ctx)
	r.report.Host.LoadAfter = loadAverage()
	r.progress.done()
	r.report.Took = time.Since(start).Seconds()
	r.report.Targets = nil
	for _, t := range r.targets {
		r.report.Targets = append(r.report.Targets, t.Target)
	}
	if l := r.report.Host; l.LoadBefore[0] > 0.5*float64(l.CPUs) {
		r.note(fmt.Sprintf("the host was busy before the run (load %.2f on %d CPUs)", l.LoadBefore[0], l.CPUs))
	}
	if err != nil {
		r.note("not complete: the run was ended in round " + fmt.Sprint(r.report.Rounds+1))
	}
	if len(r.report.Samples) == 0 && err != nil {
		return nil, err
	}
	return r.report, err
}

func (r *runner) message(format string, args ...any) {
	if r.Out != nil {
		fmt.Fprintf(r.Out, "hotblock bench: "+format+"\n", args...)
	}
}

func (r *runner) note(s string) { r.report.Notes = append(r.report.Notes, s) }

// prepare gets and writes all files of the run, and makes the targets.
func (r *runner) prepare(ctx context.Context, dir string) error {
	packages := map[string]bool{}
	names := []string{"libc6"}
	for _, w := range r.Workloads {
		r.report.Workloads = append(r.report.Workloads, w.describe())
		if w.phases != nil {
			r.boots = append(r.boots, w)
			continue
		}
		r.jobs = append(r.jobs, w)
		r.plan.Jobs = append(r.plan.Jobs, w.job(r.Scale))
		for _, p := range w.Packages {
			if !packages[p] {
				packages[p] = true
				names = append(names, p)
			}
		}
	}
	var err error
	f := &r.files
	f.memory = r.Memory
	f.serial = filepath.Join(dir, "console")
	if r.Counters {
		f.counters = filepath.Join(dir, "counters.json")
	}
	f.agentDir = filepath.Join(dir, "bench")
	f.initrd = filepath.Join(dir, "initrd")
	f.bootInitrd = filepath.Join(dir, "boot-initrd")
	if f.kernel = r.Kernel; f.kernel == "" {
		if f.kernel, err = r.Cache.Kernel(ctx, "cloud"); err != nil {
			return err
		}
	} else if _, err := os.Stat(f.kernel); err != nil {
		return fmt.Errorf("-kernel: %w", err)
	}
	r.report.Guest = strings.TrimPrefix(filepath.Base(f.kernel), "vmlinuz-")
	if err := r.makeTargets(ctx); err != nil {
		return err
	}
	if len(r.jobs) > 0 {
		if f.tree, err = Tree(ctx, r.Cache, names); err != nil {
			return err
		}
		if err := os.Mkdir(f.agentDir, 0o755); err != nil {
			return err
		}
		for name, data := range Inputs() {
			if err := os.WriteFile(filepath.Join(f.agentDir, name), data, 0o644); err != nil {
				return err
			}
		}
		plan, err := json.Marshal(r.plan)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, agent.PlanFile), plan, 0o644); err != nil {
			return err
		}
		if err := copyFile(filepath.Join(dir, agent.Program), r.Hotblock); err != nil {
			return err
		}
		if err := writeInitrd(f.initrd, f.tree, f.agentDir); err != nil {
			return err
		}
	}
	if len(r.boots) > 0 {
		path, err := r.Cache.File(ctx, "busybox-static", "bin/busybox")
		if err != nil {
			return err
		}
		busybox, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rd, err := initramfs.Build(initramfs.Options{Busybox: busybox, Init: []byte(bootInit)})
		if err != nil {
			return err
		}
		if err := os.WriteFile(f.bootInitrd, rd, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) makeTargets(ctx context.Context) error {
	if r.Native {
		r.targets = append(r.targets, &target{Target: report.Target{Name: report.Native, Kind: report.Native}})
	}
	bin, pre, env := r.QEMU, []string(nil), []string(nil)
	switch r.QEMU {
	case "none":
	case "fetch":
		var err error
		if bin, pre, env, err = fetchQEMU(ctx, r.Cache); err != nil {
			return fmt.Errorf("-qemu fetch: %w", err)
		}
	case "":
		var err error
		if bin, err = exec.LookPath("qemu-system-x86_64"); err != nil {
			bin = "none"
			r.note("QEMU is not installed, so it is not compared with; -qemu fetch gets Debian's")
		}
	default:
		var err error
		if bin, err = exec.LookPath(r.QEMU); err != nil {
			return fmt.Errorf("-qemu: %w", err)
		}
	}
	if bin != "none" {
		for _, c := range r.QEMUConfigs {
			t := &target{Target: report.Target{Name: c.Name, Kind: report.QEMU}, bin: bin, pre: pre, env: env}
			t.args = append([]string{"-accel", "tcg", "-no-user-config"}, c.Args...)
			r.targets = append(r.targets, t)
		}
	}
	for _, c := range r.Configs {
		r.targets = append(r.targets, &target{Target: report.Target{Name: c.Name, Kind: report.Hotblock}, bin: r.Hotblock, args: c.Args})
	}
	if len(r.targets) == 0 {
		return errors.New("nothing to run on: neither native, nor QEMU, nor an engine of hotblock")
	}
	seen := map[string]bool{}
	for _, t := range r.targets {
		if seen[t.Name] {
			return fmt.Errorf("two targets are called %s", t.Name)
		}
		seen[t.Name] = true
		if err := t.describe(ctx); err != nil {
			return err
		}
	}
	return nil
}

// rounds runs all rounds. Targets take turns, so that a change of the host's
// load meets all of them.
func (r *runner) rounds(ctx context.Context) error {
	r.progress = newProgress(r)
	failed := map[*target]map[int]bool{}
	for round := range r.Rounds {
		for _, t := range r.targets {
			if t.dead {
				continue
			}
			if len(r.boots) > 0 && t.Kind != report.Native {
				r.progress.describe(t.Name, round, "boot")
				if err := r.boot(ctx, t, round); err != nil {
					return err
				}
				r.counters(t, round, "boot")
			}
			if failed[t] == nil {
				failed[t] = map[int]bool{}
			}
			for _, class := range r.groups() {
				if err := r.group(ctx, t, round, class, failed[t]); err != nil {
					return err
				}
				if t.dead {
					break
				}
			}
			for i := range r.report.Samples {
				s := &r.report.Samples[i]
				if s.Round == round && s.Target == t.Name && s.Status != report.OK && s.Status != report.Wrong {
					for k := range r.jobs {
						if r.jobs[k].Name == s.Workload {
							failed[t][k] = true
						}
					}
				}
			}
		}
		r.report.Rounds = round + 1
	}
	return nil
}

// groups are the classes whose jobs have a session of their own, or one that stands
// for all.
func (r *runner) groups() (classes []string) {
	if !r.Counters {
		return []string{""}
	}
	for _, j := range r.jobs {
		if !slices.Contains(classes, j.Class()) {
			classes = append(classes, j.Class())
		}
	}
	return classes
}

// group runs the jobs of a class, or all, on a target, but for those that have
// failed: once is enough.
func (r *runner) group(ctx context.Context, t *target, round int, class string, failed map[int]bool) error {
	done := map[int]bool{}
	for i, j := range r.jobs {
		switch {
		case class != "" && j.Class() != class:
			done[i] = true
		case failed[i]:
			done[i] = true
			r.progress.advance(t)
		}
	}
	for tries := 0; len(done) < len(r.jobs); {
		before := len(done)
		err := r.session(ctx, t, round, done)
		r.counters(t, round, class)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(done) == before {
			// Nothing went forward. A guest may fail to come up once.
			if tries++; tries == 2 || err == nil {
				if err == nil {
					err = errors.New("the session ended without a result")
				}
				t.dead, t.Error = true, err.Error()
				r.message("%s: %v", t.Name, err)
				for i := range r.jobs {
					if !done[i] {
						r.record(t, i, report.Sample{Round: round, Status: report.Died})
					}
				}
				break
			}
		}
	}
	return nil
}

// counters records what the translator of a session's guest counted.
func (r *runner) counters(t *target, round int, class string) {
	if !r.Counters {
		return
	}
	b, err := os.ReadFile(r.files.counters)
	if err != nil {
		return
	}
	os.Remove(r.files.counters)
	c := report.Counters{Target: t.Name, Class: class, Round: round}
	if json.Unmarshal(b, &c.Counters) == nil {
		r.report.Counters = append(r.report.Counters, c)
	}
}

// record adds a sample of a job.
func (r *runner) record(t *target, job int, s report.Sample) {
	s.Workload, s.Target = r.jobs[job].Name, t.Name
	r.report.Samples = append(r.report.Samples, s)
	r.progress.advance(t)
}

// add records a sample and tells of a failure at once.
func (r *runner) add(t *target, job int, s report.Sample) {
	r.record(t, job, s)
	s.Workload = r.jobs[job].Name
	if s.Status != report.OK && s.Status != report.Unsupported {
		r.message("%s on %s: %s: %s", s.Workload, t.Name, s.Status, strings.Join(strings.Fields(s.Detail), " "))
	}
}

// judge compares the output of a job with what the first target had, which is
// the host where it takes part.
func (r *runner) judge(t *target, job int, s *report.Sample, head string) {
	if r.jobs[job].Varies {
		return
	}
	e, ok := r.expected[job]
	if !ok {
		r.expected[job] = expected{s.Output, head, t.Name}
		return
	}
	if s.Output != e.sum {
		s.Status, s.Detail = report.Wrong, fmt.Sprintf("%q, but on %s %q", head, e.from, e.head)
	}
}

// Hosts.

var modelName = regexp.MustCompile(`(?m)^model name\s*: (.*)$`)
var prettyName = regexp.MustCompile(`(?m)^PRETTY_NAME="?([^"\n]*)`)

func describeHost() (h report.Host) {
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := modelName.FindSubmatch(b); m != nil {
			h.CPU = strings.TrimSpace(string(m[1]))
		}
	}
	if b, err := os.ReadFile("/etc/os-release"); err == nil {
		if m := prettyName.FindSubmatch(b); m != nil {
			h.OS = string(m[1])
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	var si unix.Sysinfo_t
	if unix.Sysinfo(&si) == nil {
		h.MemoryMiB = uint64(si.Totalram) * uint64(si.Unit) >> 20
	}
	var set unix.CPUSet
	if unix.SchedGetaffinity(0, &set) == nil {
		h.CPUs = set.Count()
	}
	return h
}

func loadAverage() (l [3]float64) {
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(b), &l[0], &l[1], &l[2])
	}
	return l
}
