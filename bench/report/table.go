package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
)

// column is a target or the best of QEMU.
type column struct {
	title  string
	target string
}

func (r *Report) columns() (cols []column) {
	if r.hasQEMU() {
		cols = append(cols, column{"QEMU", BestOfQEMU})
	}
	for _, t := range r.byKind(Hotblock) {
		cols = append(cols, column{t, t})
	}
	return cols
}

func (r *Report) hasQEMU() bool { return len(r.byKind(QEMU)) > 0 }

func (r *Report) hasNative() bool { return len(r.byKind(Native)) > 0 }

// table is rows of cells; cells of a row of one cell span the table.
type table struct {
	head []string
	rows [][]string
}

// build makes the rows of a table of all workloads by class. With row, every
// workload's row ends in the command that makes it.
func (r *Report) build(mark string, row bool) table {
	cols := r.columns()
	t := table{head: []string{"workload"}}
	if r.hasNative() {
		t.head = append(t.head, "native", "±")
	}
	for _, c := range cols {
		t.head = append(t.head, c.title, "±")
		if r.hasNative() {
			t.head = append(t.head, "× native")
		}
		if r.hasQEMU() && c.target != BestOfQEMU {
			t.head = append(t.head, "× QEMU")
		}
	}
	if r.hasQEMU() {
		t.head = append(t.head, "QEMU's best")
	}
	if row {
		t.head = append(t.head, "command")
	}
	native := Native
	if n := r.byKind(Native); len(n) > 0 {
		native = n[0]
	}
	cell := func(s Stat) string {
		if s.N == 0 {
			return ""
		}
		if s.Indeterminate {
			return ratio(s.Median) + mark
		}
		return ratio(s.Median)
	}
	spread := func(s Stat) string {
		if s.N < 2 {
			return ""
		}
		return fmt.Sprintf("%.0f%%", s.Spread()/2*100)
	}
	timeCell := func(w, target string, s Stat) string {
		if why := r.Failure(w, target); why != "" {
			if s.N == 0 {
				return why
			}
			return duration(s.Median) + " (" + why + ")"
		}
		if s.N == 0 {
			return ""
		}
		return duration(s.Median)
	}
	meanRow := func(title string, sel selector) []string {
		out := []string{title}
		if r.hasNative() {
			out = append(out, "", "")
		}
		any := false
		for _, c := range cols {
			out = append(out, "", "")
			if r.hasNative() {
				m := r.GeomeanRatio(sel, c.target, native)
				any = any || m.N > 0
				out = append(out, ratio(m.Mean))
			}
			if r.hasQEMU() && c.target != BestOfQEMU {
				m := r.GeomeanRatio(sel, c.target, BestOfQEMU)
				any = any || m.N > 0
				out = append(out, ratio(m.Mean))
			}
		}
		if !any {
			return nil
		}
		for len(out) < len(t.head) {
			out = append(out, "")
		}
		return out
	}
	for _, class := range Classes {
		n := 0
		for i := range r.Workloads {
			w := &r.Workloads[i]
			if w.Class != class.Name {
				continue
			}
			if n == 0 {
				t.rows = append(t.rows, []string{class.Title})
			}
			n++
			name := shortClass(w)
			if w.Real {
				name += " *"
			}
			line := []string{name}
			if r.hasNative() {
				s := r.Time(w.Name, native)
				line = append(line, timeCell(w.Name, native, s), spread(s))
			}
			best := r.BestQEMU(w.Name)
			for _, c := range cols {
				target := c.target
				if target == BestOfQEMU {
					if target = best; target == "" {
						target = r.byKind(QEMU)[0] // shows why
					}
				}
				s := r.Time(w.Name, target)
				line = append(line, timeCell(w.Name, target, s), spread(s))
				if r.hasNative() {
					line = append(line, cell(r.Ratio(w.Name, target, native)))
				}
				if r.hasQEMU() && c.target != BestOfQEMU {
					line = append(line, cell(r.Ratio(w.Name, target, best)))
				}
			}
			if r.hasQEMU() {
				line = append(line, best)
			}
			if row {
				line = append(line, r.RowCommand(w.Name))
			}
			t.rows = append(t.rows, line)
		}
		if n > 1 {
			if m := meanRow("  geometric mean", func(w *Workload) bool { return w.Class == class.Name }); m != nil {
				t.rows = append(t.rows, m)
			}
		}
	}
	for _, all := range []struct {
		title string
		sel   selector
	}{
		{"real programs (*)", func(w *Workload) bool { return w.Real && w.Class != "boot" }},
		{"micro-benchmarks", func(w *Workload) bool { return !w.Real && w.Class != "boot" }},
		{"all", func(w *Workload) bool { return w.Class != "boot" }},
	} {
		if m := meanRow(all.title, all.sel); m != nil {
			if len(t.rows) > 0 && len(t.rows[len(t.rows)-1]) > 1 && all.title[0] == 'r' {
				t.rows = append(t.rows, []string{"Geometric means over all classes"})
			}
			t.rows = append(t.rows, m)
		}
	}
	return t
}

// RowCommand is the command that measures one workload as this report did.
func (r *Report) RowCommand(workload string) string {
	cmd := "hotblock bench -run '^" + regexp.QuoteMeta(workload) + "$'"
	var engines []string
	for _, t := range r.Targets {
		if t.Kind != Hotblock {
			continue
		}
		if t.Command != "hotblock -accel "+t.Name {
			return cmd // a configuration: the whole run's command tells
		}
		engines = append(engines, t.Name)
	}
	if len(engines) > 0 {
		cmd += " -accel " + strings.Join(engines, ",")
	}
	return cmd
}

// Text writes the report for a terminal.
func (r *Report) Text(w io.Writer) {
	if r.Compare != "" {
		r.compareText(w)
		return
	}
	r.preface(w, "")
	t := r.build("~", false)
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		if len(row) == 1 {
			continue
		}
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	line := func(row []string) {
		var b strings.Builder
		for i, c := range row {
			if i == 0 || i == len(row)-1 && len(row) == len(t.head) && r.hasQEMU() {
				fmt.Fprintf(&b, "%-*s  ", width[i], c)
			} else {
				fmt.Fprintf(&b, "%*s  ", width[i], c)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
	fmt.Fprintln(w)
	line(t.head)
	for _, row := range t.rows {
		if len(row) == 1 {
			fmt.Fprintf(w, "\n%s\n", row[0])
			continue
		}
		line(row)
	}
	fmt.Fprintln(w)
	r.afterword(w, "~", "")
}

// preface says what was measured on what.
func (r *Report) preface(w io.Writer, bullet string) {
	what := "CPU time of the whole process"
	if r.Metric == "wall" {
		what = "elapsed time by the host's clock"
	}
	fmt.Fprintf(w, "%sHost: %s; load average before %s, after %s\n", bullet, r.Host, loads(r.Host.LoadBefore), loads(r.Host.LoadAfter))
	fmt.Fprintf(w, "%sGuest: %s, one CPU; command line: %s\n", bullet, r.Guest, r.Cmdline)
	for _, t := range r.Targets {
		line := t.Name + ": " + t.Version
		if t.Command != "" {
			line += ": " + t.Command
		}
		fmt.Fprintf(w, "%s%s\n", bullet, line)
	}
	fmt.Fprintf(w, "%sMeasured: %s, median of %d rounds in turn, %s, %.0f s in all", bullet, what, r.Rounds, r.Started.Format("2006-01-02"), r.Took)
	if r.Scale != 1 {
		fmt.Fprintf(w, ", work scaled by %.3g", r.Scale)
	}
	fmt.Fprintln(w)
	for _, n := range r.Notes {
		fmt.Fprintf(w, "%s%s\n", bullet, n)
	}
}

// afterword explains the table.
func (r *Report) afterword(w io.Writer, mark, bullet string) {
	fmt.Fprintf(w, "%s± is half the range of the rounds; × are medians of the rounds' ratios, lower is better; %s marks one whose range includes 1; * is a real program.\n", bullet, mark)
	if r.hasQEMU() {
		fmt.Fprintf(w, "%sQEMU is its best configuration for each workload.\n", bullet)
	}
	if r.hasQEMU() {
		for _, t := range r.byKind(Hotblock) {
			faster, slower := r.against(t)
			if n := faster + len(slower); n > 0 {
				fmt.Fprintf(w, "%s%s takes less than QEMU for %d of %d workloads", bullet, t, faster, n)
				if len(slower) > 0 && len(slower) <= n/2 {
					fmt.Fprintf(w, "; not for %s", strings.Join(slower, ", "))
				}
				fmt.Fprintln(w, ".")
			}
		}
	}
	if share, target := r.ClockError(); target != "" {
		fmt.Fprintf(w, "%sGuests' clocks: at most %.1f%% off the host's over a workload (%s).\n", bullet, share*100, target)
	}
	if n := r.Failed(); n > 0 {
		fmt.Fprintf(w, "%s%d of %d runs failed:\n", bullet, n, len(r.Samples))
		seen := map[string]bool{}
		for _, t := range r.Targets {
			if t.Error != "" {
				fmt.Fprintf(w, "%s  all on %s: %s\n", bullet, t.Name, t.Error)
			}
		}
		for i := range r.Samples {
			s := &r.Samples[i]
			key := s.Workload + s.Target
			if s.Status == OK || s.Status == Unsupported || seen[key] || r.dead(s.Target) {
				continue
			}
			seen[key] = true
			fmt.Fprintf(w, "%s  %s on %s: %s%s\n", bullet, s.Workload, s.Target, s.Status, detail(s.Detail))
		}
	}
}

// against counts the workloads for which a target takes less than QEMU at its
// best, and names the others.
func (r *Report) against(target string) (faster int, slower []string) {
	for i := range r.Workloads {
		name := r.Workloads[i].Name
		switch s := r.Ratio(name, target, r.BestQEMU(name)); {
		case s.N == 0:
		case s.Median < 1:
			faster++
		default:
			slower = append(slower, name)
		}
	}
	return faster, slower
}

// dead says whether a target could not be used.
func (r *Report) dead(target string) bool {
	for _, t := range r.Targets {
		if t.Name == target {
			return t.Error != ""
		}
	}
	return false
}

func detail(s string) string {
	if s == "" {
		return ""
	}
	return ": " + strings.Join(strings.Fields(s), " ")
}
