package suite

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hotblock/bench/report"
	"hotblock/boot/fetch"
)

// build builds the command, which is also the agent of guests.
func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "hotblock")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "hotblock/cmd/hotblock").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// have fails or skips a test that lacks something.
func have(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("CI") == "true":
		t.Fatal(what)
	default:
		t.Skip(what)
	}
}

func find(t *testing.T, name string) Workload {
	t.Helper()
	for _, w := range All() {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no workload %s", name)
	return Workload{}
}

func options(t *testing.T) Options {
	t.Helper()
	cache, err := fetch.Default()
	if err != nil {
		t.Fatal(err)
	}
	cache.Out = nil
	_, err = cache.Kernel(t.Context(), "cloud")
	have(t, err == nil, "the guests' kernel is needed: "+errText(err))
	_, err = cache.Package(t.Context(), "coreutils")
	have(t, err == nil, "guest programs are needed: "+errText(err))
	return Options{Rounds: 1, Scale: 0.002, Timeout: time.Minute, BootTimeout: 5 * time.Minute, Memory: "512M", Metric: "cpu",
		Hotblock: build(t), Configs: []Config{{"interp", []string{"-accel", "interp"}}}, QEMU: "none", QEMUConfigs: QEMUConfigs[:1], Cache: cache}
}

func errText(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func sample(t *testing.T, r *report.Report, workload, target string) report.Sample {
	t.Helper()
	var found []report.Sample
	for _, s := range r.Samples {
		if s.Workload == workload && s.Target == target {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d samples of %s on %s", len(found), workload, target)
	}
	return found[0]
}

// TestRun runs a few workloads, some of which fail, natively, in hotblock, and in
// QEMU where there is one.
func TestRun(t *testing.T) {
	o := options(t)
	o.Native = true
	o.Configs = append(o.Configs, Config{"jit", []string{"-accel", "jit"}})
	_, err := exec.LookPath("qemu-system-x86_64")
	if err == nil {
		o.QEMU = ""
	} else if os.Getenv("CI") == "true" {
		t.Error("no qemu-system-x86_64")
	}
	fine := []string{"alu/mul", "syscall/dd-512", "simd/sseint", "vm/segv", "proc/fork", "smc/smc"}
	for _, n := range fine {
		o.Workloads = append(o.Workloads, find(t, n))
	}
	coreutils := []string{"coreutils", "dash"}
	o.Workloads = append(o.Workloads,
		Workload{Name: "int/status", Packages: coreutils, args: "sh -c 'echo why >&2; exit 3'"},
		Workload{Name: "int/missing", Packages: coreutils, args: "nosuch"},
		Workload{Name: "int/want", Packages: coreutils, args: "echo this", Want: "that"},
		Workload{Name: "int/varies", Packages: coreutils, args: "cat /proc/sys/kernel/random/uuid", Want: "-", Varies: true},
		Workload{Name: "int/differs", Packages: coreutils, args: "cat /proc/sys/kernel/random/uuid"},
		Workload{Name: "int/prep", Packages: coreutils, prep: "echo $N >/tmp/x", n: 500, args: "cat", stdin: "/tmp/x", Want: "1\n"},
		Workload{Name: "boot/init", phases: BootPhases[:1], args: "-"},
		Workload{Name: "boot/power-off", phases: BootPhases, args: "-"})
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	have(t, r.Targets[0].Error == "", "native runs need a mount namespace: "+r.Targets[0].Error)
	for _, target := range r.Targets {
		if target.Error != "" || target.Version == "" {
			t.Errorf("target %+v", target)
		}
		for _, n := range append(fine, "int/varies", "int/prep") {
			if s := sample(t, r, n, target.Name); s.Status != report.OK || s.Wall < 0 || s.CPU < 0 || (s.Guest > 0) != (target.Kind != report.Native) {
				t.Errorf("%+v", s)
			}
		}
		for n, want := range map[string]string{"int/status": "exit status 3 why", "int/missing": "exit status 127 nosuch: not in the tree",
			"int/want": report.Wrong + ` "this\n", without "that"`} {
			if s := sample(t, r, n, target.Name); s.Status+" "+strings.TrimSpace(s.Detail) != want {
				t.Errorf("%+v, want %s", s, want)
			}
		}
		want := report.Wrong
		if target.Kind == report.Native {
			want = report.OK // it is what others are compared with
		}
		if s := sample(t, r, "int/differs", target.Name); s.Status != want {
			t.Errorf("%+v", s)
		}
		if target.Kind == report.Native {
			continue
		}
		a, b := sample(t, r, "boot/init", target.Name), sample(t, r, "boot/power-off", target.Name)
		if a.Status != report.OK || b.Status != report.OK || a.Wall <= 0 || b.Wall < a.Wall {
			t.Errorf("boot: %+v, %+v", a, b)
		}
	}
}

// TestGuestDies runs workloads that hang and that take the guest down; the rest
// is run all the same, and in the second round they are not tried again.
func TestGuestDies(t *testing.T) {
	o := options(t)
	o.Rounds = 2
	o.Timeout = 20 * time.Second
	coreutils := []string{"coreutils", "dash"}
	o.Workloads = []Workload{
		{Name: "int/hangs", Packages: coreutils, args: "sleep 1000000"},
		{Name: "int/first", Packages: coreutils, args: "echo 1"},
		// Process 1 is the agent only in a guest.
		{Name: "int/kills", Packages: coreutils, args: `sh -c '[ "$(cat /proc/1/comm)" = hotblock ] && kill -TERM 1; sleep 1000'`},
		{Name: "int/second", Packages: coreutils, args: "echo 2"},
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for _, s := range r.Samples {
		status[s.Workload] += s.Status + " "
	}
	for w, want := range map[string]string{"int/hangs": "timed out ", "int/first": "ok ok ", "int/kills": "died ", "int/second": "ok ok "} {
		if status[w] != want {
			t.Errorf("%s: %q, want %q", w, status[w], want)
		}
	}
	if len(r.Samples) != 6 {
		t.Errorf("%d samples: %+v", len(r.Samples), r.Samples)
	}
}

// TestNoGuest has an emulator that does not start.
func TestNoGuest(t *testing.T) {
	o := options(t)
	o.Workloads = []Workload{find(t, "alu/alu"), find(t, "alu/mul")}
	o.Configs = append(o.Configs, Config{"broken", []string{"-accel", "nosuch"}})
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := sample(t, r, "alu/mul", "interp"); s.Status != report.OK {
		t.Errorf("%+v", s)
	}
	if s := sample(t, r, "alu/mul", "broken"); s.Status != report.Died || !strings.Contains(r.Targets[1].Error, "nosuch") {
		t.Errorf("%+v, %q", s, r.Targets[1].Error)
	}
}

// TestCounters has a guest for each class, and the counters of each.
func TestCounters(t *testing.T) {
	o := options(t)
	o.Configs = []Config{{"baseline", []string{"-accel", "jit"}}, {"region=block", []string{"-accel", "jit", "-jit", "region=block"}}}
	o.Counters, o.Compare = true, "strategies"
	for _, n := range []string{"alu/mul", "vm/segv"} {
		o.Workloads = append(o.Workloads, find(t, n))
	}
	o.Workloads = append(o.Workloads, Workload{Name: "boot/init", phases: BootPhases[:1], args: "-"})
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, c := range r.Counters {
		seen[c.Target+" "+c.Class] = true
		if c.Regions == 0 || c.HostBytes <= c.GuestBytes || c.TranslateTime <= 0 || c.Exits < c.Misses+c.Callouts {
			t.Errorf("%+v", c)
		}
	}
	if len(r.Counters) != 6 || len(seen) != 6 {
		t.Errorf("counters of %v", seen)
	}
	for _, c := range o.Configs {
		sample(t, r, "alu/mul", c.Name)
		sample(t, r, "vm/segv", c.Name)
	}
}
