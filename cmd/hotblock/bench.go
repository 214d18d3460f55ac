package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"hotblock/bench/agent"
	benchreport "hotblock/bench/report"
	"hotblock/bench/suite"
	"hotblock/boot/fetch"
	"hotblock/jit"
	"hotblock/machine"
)

func init() {
	subcommands["bench"] = runBench
	// What hotblock bench starts in guests and natively; not for people.
	subcommands[agent.Command] = func(args []string, _, _ io.Writer) error { return agent.Main(args) }
}

var benchHelp = `usage: hotblock bench [options]

Runs the same programs natively, in QEMU (TCG) and in hotblock, and compares
their times. Guest programs come from Debian's archive by package name.

What to run:
  -run REGEX         workloads whose name (class/name) matches; -list shows them
  -quick             a small subset, once, with less work: under 2 minutes
  -count N           rounds; targets take turns (default 5)
  -with LIST         large optional workloads: gcc, node, or all
  -scale FACTOR      of the amount of work of most workloads (default 1)
  -timeout DURATION  for one workload (default 2m)
  -list              list the workloads and end

On what:
  -accel LIST        engines of hotblock, separated by commas (default ` + machine.DefaultAccel + `)
  -config NAME=ARGS  a configuration of hotblock in place of -accel's; may be
                     given several times: -config 'small=-accel interp -m 512M'
  -qemu PATH         another build of QEMU; "fetch" gets Debian's, "none" leaves
                     it out (default: qemu-system-x86_64, where there is one)
  -qemu-config NAME=ARGS
                     a configuration of QEMU in place of the usual ones; may be
                     given several times. The best one counts
  -native=false      not natively
  -kernel FILE       the guests' kernel (default: Debian's cloud kernel)
  -m SIZE            their memory (default 2G)

What the translator's choices are worth (hotblock alone):
  -strategies        compare each strategy, in place of the default one, with the
                     baseline: times and the translator's counters by class
  -axis LIST         only these axes; hotblock strategies lists them
  -sweep KEY=VALUES  compare values of a setting of -jit, as in
                     -sweep threshold=4,16,64,256; -svg draws the curve

Results:
  -metric cpu|wall   compare the CPU time of the whole process, or the elapsed
                     time; both by the host's clock (default cpu)
  -json FILE         all samples
  -gobench FILE      the same in Go's benchmark format, for benchstat
  -svg FILE          chart
  -update            put the table into BENCHMARKS.md and the chart beside it
  -o FILE            the Markdown file of -update (default BENCHMARKS.md)
  -from FILE         show a report written by -json again, measuring nothing
`

// benchOptions is the bench subcommand's command line.
type benchOptions struct {
	run, with, accel, qemu, kernel, mem, metric string
	json, gobench, svg, out, from               string
	strategies                                  bool
	axis, sweep                                 string
	quick, list, update, native                 bool
	count                                       int
	scale                                       float64
	timeout                                     time.Duration
	configs, qemuConfigs                        []suite.Config
}

func runBench(args []string, stdout, stderr io.Writer) error {
	var b benchOptions
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&b.run, "run", "", "")
	f.BoolVar(&b.quick, "quick", false, "")
	f.IntVar(&b.count, "count", 5, "")
	f.StringVar(&b.with, "with", "", "")
	f.Float64Var(&b.scale, "scale", 1, "")
	f.DurationVar(&b.timeout, "timeout", 2*time.Minute, "")
	f.BoolVar(&b.list, "list", false, "")
	f.BoolVar(&b.strategies, "strategies", false, "")
	f.StringVar(&b.axis, "axis", "", "")
	f.StringVar(&b.sweep, "sweep", "", "")
	f.StringVar(&b.accel, "accel", machine.DefaultAccel, "")
	add := func(to *[]suite.Config) func(string) error {
		return func(s string) error {
			c, err := suite.ParseConfig(s)
			*to = append(*to, c)
			return err
		}
	}
	f.Func("config", "", add(&b.configs))
	f.StringVar(&b.qemu, "qemu", "", "")
	f.Func("qemu-config", "", add(&b.qemuConfigs))
	f.BoolVar(&b.native, "native", true, "")
	f.StringVar(&b.kernel, "kernel", "", "")
	f.StringVar(&b.mem, "m", "2G", "")
	f.StringVar(&b.metric, "metric", "cpu", "")
	f.StringVar(&b.json, "json", "", "")
	f.StringVar(&b.gobench, "gobench", "", "")
	f.StringVar(&b.svg, "svg", "", "")
	f.BoolVar(&b.update, "update", false, "")
	f.StringVar(&b.out, "o", "BENCHMARKS.md", "")
	f.StringVar(&b.from, "from", "", "")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(stdout, benchHelp)
			return errDone
		}
		return fmt.Errorf("bench: %w; bench -help lists the options", err)
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if b.quick {
		if !given["count"] {
			b.count = 1
		}
		if !given["scale"] {
			b.scale = 0.2
		}
		if !given["timeout"] {
			b.timeout = 30 * time.Second
		}
	}
	if err := b.check(f.Args()); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	r, err := b.report(given, args, stdout, stderr)
	if r == nil {
		return err
	}
	if err != nil {
		b.update = false // not by half a run
	}
	if e := b.write(r, stdout); e != nil {
		return fmt.Errorf("bench: %w", e)
	}
	if errors.Is(err, context.Canceled) {
		return errors.New("bench: interrupted; the table has what was measured until then")
	}
	if err != nil {
		return fmt.Errorf("bench: not complete: %w", err)
	}
	if n := r.Failed(); n > 0 {
		return fmt.Errorf("bench: %d of %d runs failed; the end of the table says which, and why", n, len(r.Samples))
	}
	return nil
}

func (b *benchOptions) check(words []string) error {
	switch {
	case len(words) > 0:
		return fmt.Errorf("%q is one word too many; bench -help tells the usage", words[0])
	case b.metric != "cpu" && b.metric != "wall":
		return fmt.Errorf("-metric %s: there are cpu and wall", b.metric)
	case b.count < 1 || b.count > 1000:
		return fmt.Errorf("-count %d: give 1 to 1000 rounds", b.count)
	case !(b.scale > 0 && b.scale <= 1000):
		return fmt.Errorf("-scale %g: give a factor from just above 0 to 1000", b.scale)
	case b.timeout < time.Second:
		return fmt.Errorf("-timeout %v: give at least 1s", b.timeout)
	}
	return nil
}

// report measures, or reads what was measured. It is nil where there is nothing
// to show.
func (b *benchOptions) report(given map[string]bool, args []string, stdout, stderr io.Writer) (*benchreport.Report, error) {
	if b.from != "" {
		f, err := os.Open(b.from)
		if err != nil {
			return nil, fmt.Errorf("bench: -from: %w", err)
		}
		defer f.Close()
		r, err := benchreport.Read(f)
		if err != nil {
			return nil, fmt.Errorf("bench: -from %s: %w", b.from, err)
		}
		if given["metric"] {
			r.Metric = b.metric
		}
		return r, nil
	}
	var re *regexp.Regexp
	if b.run != "" {
		var err error
		if re, err = regexp.Compile(b.run); err != nil {
			return nil, fmt.Errorf("bench: -run %s: %w", b.run, err)
		}
	}
	with := splitList(b.with)
	if b.list && b.with == "" {
		with = []string{"all"}
	}
	sel, err := suite.Select(re, b.quick, with)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if b.list {
		for _, w := range sel {
			doc := w.Doc
			if w.Option != "" {
				doc += " (-with " + w.Option + ")"
			}
			fmt.Fprintf(stdout, "%-26s %s\n", w.Name, doc)
		}
		return nil, nil
	}
	configs, compare, err := b.comparison(given)
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if compare != "" {
		b.native, b.qemu = false, "none"
	} else {
		configs = b.configs
	}
	if configs == nil {
		for _, a := range splitList(b.accel) {
			configs = append(configs, suite.Config{Name: a, Args: []string{"-accel", a}})
		}
	}
	for _, c := range configs {
		if _, err := parse(c.Args, io.Discard); err != nil {
			return nil, fmt.Errorf("bench: configuration %s: %w", c.Name, err)
		}
	}
	qemuConfigs := b.qemuConfigs
	if qemuConfigs == nil {
		qemuConfigs = suite.QEMUConfigs
		if b.quick {
			qemuConfigs = qemuConfigs[:1]
		}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: this program's file is not known: %w", err)
	}
	cache, err := fetch.Default()
	if err != nil {
		return nil, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), endSignals...)
	defer stop()
	o := suite.Options{Workloads: sel, Rounds: b.count, Scale: b.scale, Timeout: b.timeout, BootTimeout: max(b.timeout, 2*time.Minute), Memory: b.mem, Metric: b.metric,
		Command: commandLine(args), Native: b.native, Compare: compare, Counters: compare != "", Hotblock: exe, Configs: configs, QEMU: b.qemu, QEMUConfigs: qemuConfigs, Kernel: b.kernel, Cache: cache}
	o.Out, _ = stderr.(*os.File)
	r, err := suite.Run(ctx, o)
	if r != nil {
		r.Version = version
	}
	if err != nil && r == nil {
		err = fmt.Errorf("bench: %w", err)
	}
	return r, err
}

// comparison is what -strategies and -sweep have run, and what the report is to
// say of it; compare is "" where neither is given.
func (b *benchOptions) comparison(given map[string]bool) (configs []suite.Config, compare string, err error) {
	if !b.strategies && b.sweep == "" {
		if b.axis != "" {
			return nil, "", errors.New("-axis goes with -strategies")
		}
		return nil, "", nil
	}
	for _, o := range []string{"accel", "config", "qemu", "qemu-config", "native"} {
		if given[o] {
			return nil, "", fmt.Errorf("-strategies and -sweep compare hotblock with itself; take -%s away", o)
		}
	}
	if b.strategies && b.sweep != "" {
		return nil, "", errors.New("give -strategies or -sweep, one at a time")
	}
	add := func(name string, settings ...string) {
		args := []string{"-accel", "jit"}
		for _, s := range settings {
			args = append(args, "-jit", s)
		}
		configs = append(configs, suite.Config{Name: name, Args: args})
	}
	if b.strategies {
		axes := splitList(b.axis)
		for _, a := range axes {
			if !slices.ContainsFunc(jit.Axes(), func(x jit.Axis) bool { return x.Name == a }) {
				return nil, "", fmt.Errorf("-axis %s: there is no such axis; hotblock strategies lists them", a)
			}
		}
		add("baseline")
		for _, s := range jit.Single() {
			if axis, _, _ := strings.Cut(s, "="); len(axes) == 0 || slices.Contains(axes, axis) {
				add(s, s)
			}
		}
		if len(configs) == 1 {
			return nil, "", fmt.Errorf("-axis %s: there is only one strategy", b.axis)
		}
		return configs, "strategies", nil
	}
	key, values, _ := strings.Cut(b.sweep, "=")
	for _, v := range splitList(values) {
		c := jit.DefaultConfig
		if err := c.Set(key, v); err != nil {
			return nil, "", fmt.Errorf("-sweep: %w", err)
		}
		add(key+"="+v, key+"="+v)
	}
	if len(configs) < 2 {
		return nil, "", fmt.Errorf("-sweep %s: give a setting of -jit and two values or more, as in threshold=4,16,64", b.sweep)
	}
	return configs, "sweep " + key, nil
}

func splitList(s string) (words []string) {
	for _, w := range strings.Split(s, ",") {
		if w = strings.TrimSpace(w); w != "" {
			words = append(words, w)
		}
	}
	return words
}

// commandLine is the command as a shell takes it.
func commandLine(args []string) string {
	line := "hotblock bench"
	for _, a := range args {
		if a == "" || strings.ContainsAny(a, " \t\n'\"\\$&|;<>()*?[]#~`!{}^") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		line += " " + a
	}
	return line
}

// write puts the report out in all forms that were asked for.
func (b *benchOptions) write(r *benchreport.Report, stdout io.Writer) error {
	r.Text(stdout)
	files := []struct {
		path  string
		write func(io.Writer) error
	}{
		{b.json, r.Write},
		{b.gobench, func(w io.Writer) error { r.GoBench(w); return nil }},
		{b.svg, r.Chart},
	}
	for _, f := range files {
		if f.path == "" {
			continue
		}
		if err := writeFile(f.path, f.write); err != nil {
			return err
		}
	}
	if !b.update {
		return nil
	}
	chart := strings.TrimSuffix(b.out, filepath.Ext(b.out)) + ".svg"
	if r.Compare != "" {
		chart = strings.TrimSuffix(chart, ".svg") + "-" + strings.ReplaceAll(r.Compare, " ", "-") + ".svg"
	}
	name := filepath.Base(chart)
	switch err := writeFile(chart, r.Chart); {
	case errors.Is(err, benchreport.ErrNoChart):
		os.Remove(chart)
		name = ""
	case err != nil:
		return err
	}
	return r.Update(b.out, name)
}

func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
