package report

import (
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
)

// GoBench writes the samples in Go's benchmark format
// (golang.org/design/14313-benchmark-format), one line a sample, for benchstat:
// compare targets with "benchstat -col /on".
func (r *Report) GoBench(w io.Writer) {
	fmt.Fprintf(w, "goos: linux\ngoarch: amd64\npkg: hotblock/bench/suite\ncpu: %s\nguest: %s\n", r.Host.CPU, r.Guest)
	for i := range r.Samples {
		s := &r.Samples[i]
		if s.Status != OK {
			continue
		}
		fmt.Fprintf(w, "Benchmark%s/on=%s 1 %.0f ns/op %.0f cpu-ns/op", benchName(s.Workload), benchWord(s.Target), s.Wall*1e9, s.CPU*1e9)
		if s.Guest > 0 {
			fmt.Fprintf(w, " %.0f guest-ns/op", s.Guest*1e9)
		}
		fmt.Fprintln(w)
	}
}

// benchName is class/name as a benchmark's name, which begins with a capital.
func benchName(s string) string {
	s = benchWord(s)
	return strings.ToUpper(s[:1]) + s[1:]
}

var notInNames = regexp.MustCompile(`[^A-Za-z0-9_.+/,-]`)

func benchWord(s string) string { return notInNames.ReplaceAllString(s, "_") }

// markers of the part of a Markdown file that Update replaces: one part for the
// suite, and one for the strategies and for each setting that is swept.
func (r *Report) markers() (begin, end string) {
	name := "hotblock bench"
	if r.Compare != "" {
		name += " -" + r.Compare
	}
	return "<!-- " + name + ": begin -->", "<!-- " + name + ": end -->"
}

// Markdown writes the report as a part of a Markdown file. chart is the path of
// the chart as the file refers to it; "" leaves it out.
func (r *Report) Markdown(w io.Writer, chart string) {
	begin, end := r.markers()
	if r.Compare != "" {
		fmt.Fprintf(w, "%s\n\n", begin)
		r.compareMarkdown(w, chart)
		fmt.Fprintf(w, "\n%s\n", end)
		return
	}
	fmt.Fprintf(w, "%s\n\n    %s\n\n", begin, r.Command)
	r.preface(w, "- ")
	if chart != "" {
		fmt.Fprintf(w, "\n![times of native by class](%s)\n", chart)
	}
	t := r.build("~", true)
	fmt.Fprintln(w)
	for i, row := range append([][]string{t.head}, t.rows...) {
		cells := make([]string, len(t.head))
		for j := range row {
			cells[j] = strings.TrimSpace(strings.ReplaceAll(row[j], "|", `\|`))
			switch {
			case cells[j] == "" || i == 0:
			case len(row) == 1:
				cells[j] = "**" + cells[j] + "**"
			case j == len(t.head)-1:
				cells[j] = "`" + cells[j] + "`"
			case j == 0:
				cells[j] = strings.Replace(cells[j], " *", ` \*`, 1)
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			fmt.Fprintf(w, "|---|%s\n", strings.Repeat("---|", len(t.head)-1))
		}
	}
	fmt.Fprintln(w)
	r.afterword(w, `\~`, "- ")
	fmt.Fprintf(w, "\n%s\n", end)
}

// Update puts the report into a Markdown file: in place of the part that an
// earlier call put there, or at its end. The file is made where it is missing.
func (r *Report) Update(path, chart string) error {
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var b strings.Builder
	r.Markdown(&b, chart)
	text := string(old)
	begin, end := r.markers()
	i, j := strings.Index(text, begin), strings.Index(text, end)
	switch {
	case i >= 0 && j > i:
		text = text[:i] + strings.TrimSuffix(b.String(), "\n") + text[j+len(end):]
	case i >= 0 || j >= 0:
		return fmt.Errorf("%s: one of %q and %q is missing; put it back or remove the other", path, begin, end)
	case text == "":
		text = "# Benchmarks\n\n" + b.String()
	default:
		text = strings.TrimRight(text, "\n") + "\n\n" + b.String()
	}
	return os.WriteFile(path, []byte(text), 0o644)
}
