package jit

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Config is how an Engine translates.
type Config struct {
	Threshold uint64 // times a block is entered before it is translated, at least 1
	CacheSize int    // of the code cache, in bytes: minCache to maxCache
	Verify    Verify
	Dump      io.Writer // where set: gets the disassembly of each region, guest and host
	Counters  string    // file that gets the Counters as JSON at the machine's end; "" for none
	Choices             // strategies
}

// Verify says which runs of regions the interpreter repeats from the same state; a
// *Difference is panicked with at the first that ends otherwise.
type Verify uint8

// Degrees of verification.
const (
	VerifyOff  Verify = iota
	VerifySome        // the first runs of each region, and some later
	VerifyAll
)

const (
	minCache = 256 << 10
	maxCache = 1 << 30
)

// DefaultConfig is what measurements recommend.
var DefaultConfig = Config{Threshold: 16, CacheSize: 64 << 20}

// Usage describes what Set takes, for a help text.
func Usage() string {
	text := `threshold=N   entries before a block is translated (16)
cache=SIZE    code cache: 256K to 1G (64M)
verify[=all]  compare translated regions with the interpreter, =all: at every run
counters=FILE what the translator did, as JSON, at the end`
	for _, x := range Axes() {
		var names []string
		for _, c := range x.Choices {
			names = append(names, c.Name)
		}
		text += fmt.Sprintf("\n%-13s %s: %s", x.Name+"=NAME", x.Text, strings.Join(names, ", "))
	}
	return text
}

// Set changes one setting, named as on the command line. Its errors name what is
// wrong and what is possible.
func (c *Config) Set(key, val string) error {
	switch key {
	case "threshold":
		n, err := strconv.ParseUint(val, 10, 32)
		if err != nil || n == 0 {
			return fmt.Errorf("threshold=%s: give a number of entries, at least 1", val)
		}
		c.Threshold = n
	case "cache":
		s := strings.ToUpper(val)
		unit := 1
		switch {
		case strings.HasSuffix(s, "K"):
			unit = 1 << 10
		case strings.HasSuffix(s, "M"):
			unit = 1 << 20
		case strings.HasSuffix(s, "G"):
			unit = 1 << 30
		}
		n, err := strconv.Atoi(strings.TrimRight(s, "KMG"))
		if err != nil || n <= 0 || n > maxCache/unit || n*unit < minCache {
			return fmt.Errorf("cache=%s: give a size from 256K to 1G", val)
		}
		c.CacheSize = n * unit
	case "counters":
		if val == "" {
			return fmt.Errorf("counters: give a file, as in counters=jit.json")
		}
		c.Counters = val
	case "verify":
		switch val {
		case "", "on":
			c.Verify = VerifySome
		case "all":
			c.Verify = VerifyAll
		case "off":
			c.Verify = VerifyOff
		default:
			return fmt.Errorf("verify=%s: it is on, all or off", val)
		}
	default:
		ok, err := c.Choices.set(key, val)
		if !ok {
			keys := "threshold, cache, verify, counters"
			for _, x := range Axes() {
				keys += ", " + x.Name
			}
			err = fmt.Errorf("unknown setting %q; there are %s", key, keys)
		}
		return err
	}
	return nil
}
