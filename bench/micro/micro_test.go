//go:build linux && amd64

package micro

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
)

// TestMain runs one benchmark in a process of its own where it is asked to.
func TestMain(m *testing.M) {
	if name := os.Getenv("MICRO"); name != "" {
		n, _ := strconv.ParseUint(os.Getenv("MICRO_N"), 10, 64)
		body, err := Prepare(name)
		if errors.Is(err, ErrUnsupported) {
			fmt.Print("unsupported")
			os.Exit(0)
		}
		if err != nil {
			fmt.Print(err)
			os.Exit(1)
		}
		fmt.Print(body(n))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func run(t *testing.T, name string, n uint64) string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MICRO="+name, "MICRO_N="+strconv.FormatUint(n, 10), "GODEBUG=asyncpreemptoff=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

// results are what a thousandth of the rounds gives, where that is known from
// elsewhere.
var results = map[string]string{
	"call": "60000", "loopjcc": "0", "fib": "832040", "getppid": "1", "read": "700", "stat": "0", "openclose": "0", "scasb": "2457600",
	"sieve": "155611", // primes below 2^21
	"fork":  "0", "execstatic": "0", "execdynamic": "0", "yield": "0", "signal": "0", "futex": "0", "pagefault": "1024",
	"segv": "400", "smc": "720600", "smcdata": "12001",
}

func TestMicro(t *testing.T) {
	if len(All) != len(bodies) {
		t.Errorf("%d descriptions, %d bodies", len(All), len(bodies))
	}
	for _, m := range All {
		t.Run(m.Name, func(t *testing.T) {
			n := max(m.N/1000, 1)
			got := run(t, m.Name, n)
			if again := run(t, m.Name, n); again != got {
				t.Errorf("%s, and the second time %s", got, again)
			}
			if want, ok := results[m.Name]; ok && got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
	if _, err := Prepare("nosuch"); !errors.Is(err, ErrUnknown) {
		t.Errorf("nosuch: %v", err)
	}
}

func TestSHA256(t *testing.T) {
	// One block with its padding.
	p := make([]byte, 64)
	copy(p, "abc\x80")
	binary.BigEndian.PutUint64(p[56:], 24)
	h := sha256Init
	sha256Block(&h, p)
	want := sha256.Sum256([]byte("abc"))
	for i := range h {
		if w := binary.BigEndian.Uint32(want[4*i:]); h[i] != w {
			t.Errorf("word %d: %08x, want %08x", i, h[i], w)
		}
	}
}
