//go:build unix

package again

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestMain is the process that starts again, if the test asks for it.
func TestMain(m *testing.M) {
	if want := os.Getenv("AGAIN_TEST"); want != "" {
		was := ""
		Unless(func() bool { was = os.Getenv(variable); return was == want })
		fmt.Printf("%s,%s,%s\n", was, os.Getenv(variable), strings.Join(os.Args[1:], ","))
		return
	}
	os.Exit(m.Run())
}

// TestUnless counts the starts of processes.
func TestUnless(t *testing.T) {
	for want, out := range map[string]string{
		"2":     "2,,a,b",
		"never": fmt.Sprintf("%d,,a,b", tries),
	} {
		c := exec.Command(os.Args[0], "a", "b")
		c.Env = append(os.Environ(), "AGAIN_TEST="+want)
		got, err := c.Output()
		if err != nil || strings.TrimSpace(string(got)) != out {
			t.Errorf("until start %s: %q, %v, want %q", want, got, err, out)
		}
	}
}
