package suite

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hotblock/bench/report"
)

func TestSplit(t *testing.T) {
	for in, want := range map[string][]string{
		"a b":               {"a", "b"},
		"sh -c 'x; y z' w":  {"sh", "-c", "x; y z", "w"},
		"  a   'b c'":       {"a", "b c"},
		"a 'unfinished one": {"a", "'unfinished", "one"},
		"":                  nil,
	} {
		if got := split(in); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestAll checks that every workload can be named and described.
func TestAll(t *testing.T) {
	classes := map[string]bool{}
	for _, c := range report.Classes {
		classes[c.Name] = true
	}
	seen := map[string]bool{}
	quick := 0
	for _, w := range All() {
		if seen[w.Name] || !classes[w.Class()] || w.Doc == "" || w.n == 0 && w.phases == nil || w.micro == "" && w.args == "" {
			t.Errorf("%+v", w)
		}
		seen[w.Name] = true
		if w.Quick {
			quick++
		}
		if j := w.job(0.5); w.n > 1 && j.N != w.n/2 || strings.Contains(strings.Join(j.Args, " "), "$N") {
			t.Errorf("job of %s: %+v", w.Name, j)
		}
	}
	if len(seen) < 80 || quick < 30 {
		t.Errorf("%d workloads, %d of them quick", len(seen), quick)
	}
	if n := len(micros(t, quickMicros)); n != len(quickMicros) {
		t.Errorf("%d of %d quick micro-benchmarks exist", n, len(quickMicros))
	}
}

func micros(t *testing.T, names []string) (found []string) {
	t.Helper()
	for _, w := range All() {
		if slices.Contains(names, w.micro) {
			found = append(found, w.micro)
		}
	}
	return found
}

func TestSelect(t *testing.T) {
	names := func(run string, quick bool, with ...string) string {
		t.Helper()
		sel, err := Select(regexp.MustCompile(run), quick, with)
		if err != nil {
			return "error"
		}
		var n []string
		for _, w := range sel {
			n = append(n, w.Name)
		}
		return strings.Join(n, " ")
	}
	for _, c := range []struct{ got, want string }{
		{names("^latency/", false), "latency/chase32k latency/chase1m latency/chase64m"},
		{names("^latency/", true), "latency/chase32k latency/chase64m"},
		{names("gcc|dash$", false), "lang/dash"},
		{names("gcc|dash$", false, "gcc"), "lang/dash lang/gcc"},
		{names("^lang/gcc$", false), "lang/gcc"},
		{names("nosuch", false), "error"},
		{names("lua", false, "nosuch"), "error"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestInputs checks that the input is the same from run to run and compresses
// as text does: it is words.
func TestInputs(t *testing.T) {
	a, b := Inputs(), Inputs()
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			t.Errorf("%s differs", name)
		}
	}
	text := a["text"]
	if len(text) != 4<<20 || bytes.Count(text, []byte("\n")) < 50000 {
		t.Errorf("%d bytes, %d lines", len(text), bytes.Count(text, []byte("\n")))
	}
	// A different text would make old and new results incomparable.
	const want = "455b861dbc309ccb"
	if got := fmt.Sprintf("%x", sha256.Sum256(text))[:16]; got != want {
		t.Errorf("text has hash %s, want %s", got, want)
	}
}
