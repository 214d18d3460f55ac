// Package report holds what hotblock bench measured, and shows it: as a table,
// as JSON, in Go's benchmark format, as a chart, and as a part of a Markdown
// file.
//
// # How results are compared
//
// A report is a list of samples: one run of one workload on one target. All
// else is computed from them. Targets take turns, round by round, so a ratio of
// two targets is taken within each round, where the host's load is most alike,
// and the median of the rounds' ratios is shown with their range. The range of a
// ratio that lies on both sides of 1 is marked: the difference is not larger
// than the noise. QEMU stands for the best of its configurations, workload by
// workload: the one with the lowest median.
//
// What is compared is the processor time of the whole emulator process, or the
// elapsed time; both are stamped by the host.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strings"
	"time"
)

// Kinds of target.
const (
	Native   = "native"
	QEMU     = "qemu"
	Hotblock = "hotblock"
)

// Statuses of a sample, besides those that describe a failure in words.
const (
	OK          = "ok"
	Unsupported = "unsupported" // the target's CPU lacks what the workload is about
	TimedOut    = "timed out"
	Died        = "died" // the guest ended or stopped answering
	Wrong       = "wrong result"
)

// Report is a run of the suite.
type Report struct {
	Started   time.Time  `json:"started"`
	Took      float64    `json:"took_s"`
	Version   string     `json:"version"` // of hotblock
	Host      Host       `json:"host"`
	Guest     string     `json:"guest"`   // kernel package of the guests
	Cmdline   string     `json:"cmdline"` // the guests' kernel command line
	Metric    string     `json:"metric"`  // "cpu" or "wall": what tables compare
	Scale     float64    `json:"scale"`   // of the amount of work
	Rounds    int        `json:"rounds"`
	Command   string     `json:"command"` // that made the report
	Targets   []Target   `json:"targets"`
	Workloads []Workload `json:"workloads"`
	Samples   []Sample   `json:"samples"`
	Notes     []string   `json:"notes,omitempty"`

	// Compare says what the targets of kind hotblock are, beside engines: "strategies",
	// of which the first is the baseline, or "sweep KEY", with names KEY=VALUE.
	Compare  string     `json:"compare,omitempty"`
	Counters []Counters `json:"counters,omitempty"`
}

// Host describes the machine that the report is from.
type Host struct {
	CPU        string     `json:"cpu"`
	CPUs       int        `json:"cpus"`
	MemoryMiB  uint64     `json:"memory_mib"`
	Kernel     string     `json:"kernel"`
	OS         string     `json:"os"`
	LoadBefore [3]float64 `json:"load_before"` // of 1, 5 and 15 minutes
	LoadAfter  [3]float64 `json:"load_after"`
}

// Target is something that workloads run on.
type Target struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"`
	Command string `json:"command"` // with placeholders for files of the run
	Version string `json:"version"`
	Error   string `json:"error,omitempty"` // why it could not be used
}

// Workload is one row.
type Workload struct {
	Name    string `json:"name"` // class/name
	Class   string `json:"class"`
	Real    bool   `json:"real"` // a real program, and not a micro-benchmark
	Doc     string `json:"doc"`
	Command string `json:"command"` // what runs
}

// Sample is one run of a workload on a target.
type Sample struct {
	Workload string  `json:"workload"`
	Target   string  `json:"target"`
	Round    int     `json:"round"`
	Status   string  `json:"status"`
	Detail   string  `json:"detail,omitempty"`
	Wall     float64 `json:"wall_s"`            // by the host's clock
	CPU      float64 `json:"cpu_s"`             // of the whole process
	Guest    float64 `json:"guest_s,omitempty"` // by the guest's clock
	Output   string  `json:"output,omitempty"`  // SHA-256
}

// Classes are the classes of work in the order of tables, with their titles.
var Classes = []struct{ Name, Title string }{
	{"alu", "ALU, multiply, divide, branches"},
	{"int", "Integer with memory: compressors, hashes, sorting, searching"},
	{"lang", "Language run times and compilers"},
	{"call", "Calls, recursion, indirect calls, byte code"},
	{"fp", "Scalar floating point and x87"},
	{"simd", "SIMD: SSE, AVX2, AES, GCM, SHA"},
	{"copy", "Copies and fills: rep, memcpy, dd of 1 MiB, tmpfs"},
	{"latency", "Latency of loads"},
	{"syscall", "System calls, dd of 512 bytes and 4 KiB"},
	{"vm", "Page faults, mmap, mprotect, signals"},
	{"proc", "fork, exec, pipe, futex, yield"},
	{"smc", "Self-modifying code, a JIT in the guest"},
	{"boot", "Boot of the stock kernel, from the start of the process"},
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// Read reads what Write wrote.
func Read(rd io.Reader) (*Report, error) {
	var r Report
	if err := json.NewDecoder(rd).Decode(&r); err != nil {
		return nil, fmt.Errorf("not a report of hotblock bench: %w", err)
	}
	if r.Metric != "cpu" && r.Metric != "wall" {
		return nil, fmt.Errorf("not a report of hotblock bench: metric %q", r.Metric)
	}
	return &r, nil
}

func (r *Report) value(s *Sample) float64 {
	if r.Metric == "wall" {
		return s.Wall
	}
	return s.CPU
}

// Stat is a median with its range.
type Stat struct {
	N             int
	Median        float64
	Min, Max      float64
	Indeterminate bool // of a ratio: its range lies on both sides of 1
}

func statOf(v []float64) Stat {
	if len(v) == 0 {
		return Stat{}
	}
	v = slices.Clone(v)
	sort.Float64s(v)
	m := v[len(v)/2]
	if len(v)%2 == 0 {
		m = (v[len(v)/2-1] + v[len(v)/2]) / 2
	}
	s := Stat{N: len(v), Median: m, Min: v[0], Max: v[len(v)-1]}
	s.Indeterminate = s.Min < 1 && s.Max > 1
	return s
}

// Spread is the range as a share of the median.
func (s Stat) Spread() float64 {
	if s.Median == 0 {
		return 0
	}
	return (s.Max - s.Min) / s.Median
}

// samples of a workload on a target, by round; only those that are fine.
func (r *Report) samples(workload, target string) map[int]float64 {
	m := map[int]float64{}
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Workload == workload && s.Target == target && s.Status == OK && r.value(s) > 0 {
			m[s.Round] = r.value(s)
		}
	}
	return m
}

// Time is the time of a workload on a target, in seconds.
func (r *Report) Time(workload, target string) Stat {
	var v []float64
	for _, x := range r.samples(workload, target) {
		v = append(v, x)
	}
	return statOf(v)
}

// Ratio is how many times longer a workload takes on target than on base, by
// rounds.
func (r *Report) Ratio(workload, target, base string) Stat {
	a, b := r.samples(workload, target), r.samples(workload, base)
	var v []float64
	for round, x := range a {
		if y, ok := b[round]; ok {
			v = append(v, x/y)
		}
	}
	return statOf(v)
}

// Failure says why a workload has no time on a target; "" where it has, or was
// not run.
func (r *Report) Failure(workload, target string) string {
	why, fine := "", 0
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Workload != workload || s.Target != target {
			continue
		}
		if s.Status == OK {
			fine++
		} else if why == "" {
			why = s.Status
		}
	}
	if fine > 0 && why != "" {
		return why + " once"
	}
	return why
}

// byKind returns the names of a kind's targets.
func (r *Report) byKind(kind string) (names []string) {
	for _, t := range r.Targets {
		if t.Kind == kind {
			names = append(names, t.Name)
		}
	}
	return names
}

// BestQEMU is the configuration of QEMU in which a workload takes least; "" where
// it ran in none.
func (r *Report) BestQEMU(workload string) string {
	best, least := "", math.Inf(1)
	for _, t := range r.byKind(QEMU) {
		if s := r.Time(workload, t); s.N > 0 && s.Median < least {
			best, least = t, s.Median
		}
	}
	return best
}

// geomean of positive numbers.
func geomean(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// Mean is the geometric mean of the ratios of several workloads.
type Mean struct {
	N    int
	Mean float64
}

// selector picks workloads for a mean.
type selector func(w *Workload) bool

// GeomeanRatio is the geometric mean over the selected workloads of the ratio of
// target to base. The name BestOfQEMU as either stands for the best
// configuration of each workload.
func (r *Report) GeomeanRatio(sel selector, target, base string) Mean {
	var v []float64
	for i := range r.Workloads {
		w := &r.Workloads[i]
		if !sel(w) {
			continue
		}
		if s := r.Ratio(w.Name, r.resolve(w.Name, target), r.resolve(w.Name, base)); s.N > 0 {
			v = append(v, s.Median)
		}
	}
	return Mean{len(v), geomean(v)}
}

// BestOfQEMU stands for the best configuration of QEMU of each workload.
const BestOfQEMU = "best QEMU"

func (r *Report) resolve(workload, target string) string {
	if target == BestOfQEMU {
		return r.BestQEMU(workload)
	}
	return target
}

// ClockError is the largest difference between a guest's clock and the host's
// over a sample of at least 0.2 s, as a share, and the sample's target.
func (r *Report) ClockError() (share float64, target string) {
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Status != OK || s.Guest == 0 || s.Wall < 0.2 {
			continue
		}
		if d := math.Abs(s.Guest-s.Wall) / s.Wall; d > share {
			share, target = d, s.Target
		}
	}
	return share, target
}

// Failed counts samples that are neither fine nor unsupported.
func (r *Report) Failed() (n int) {
	for i := range r.Samples {
		if st := r.Samples[i].Status; st != OK && st != Unsupported {
			n++
		}
	}
	return n
}

// duration shows seconds.
func duration(s float64) string {
	switch {
	case s == 0:
		return "0"
	case s < 1e-3:
		return fmt.Sprintf("%.0f us", s*1e6)
	case s < 1:
		return fmt.Sprintf("%.0f ms", s*1e3)
	}
	return fmt.Sprintf("%.2f s", s)
}

// ratio shows a factor in three digits.
func ratio(x float64) string {
	switch {
	case x == 0:
		return "-"
	case x < 9.995:
		return fmt.Sprintf("%.2f", x)
	case x < 99.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func (h Host) String() string {
	return fmt.Sprintf("%s, %d CPUs, %d MiB, Linux %s, %s", h.CPU, h.CPUs, h.MemoryMiB, h.Kernel, h.OS)
}

func loads(l [3]float64) string { return fmt.Sprintf("%.2f %.2f %.2f", l[0], l[1], l[2]) }

func shortClass(w *Workload) string { return strings.TrimPrefix(w.Name, w.Class+"/") }
