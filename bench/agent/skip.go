package agent

import (
	"fmt"
	"strconv"
	"strings"
)

// FormatSkip writes a set of job numbers as ParseSkip reads it. n is the number
// of jobs.
func FormatSkip(set map[int]bool, n int) string {
	var parts []string
	for i := 0; i < n; i++ {
		if !set[i] {
			continue
		}
		j := i
		for j+1 < n && set[j+1] {
			j++
		}
		if j > i {
			parts = append(parts, fmt.Sprintf("%d-%d", i, j))
		} else {
			parts = append(parts, strconv.Itoa(i))
		}
		i = j
	}
	return strings.Join(parts, ",")
}

// ParseSkip reads a set of numbers and ranges: 1,4-7.
func ParseSkip(s string) (map[int]bool, error) {
	set := map[int]bool{}
	if s == "" {
		return set, nil
	}
	for _, p := range strings.Split(s, ",") {
		lo, hi, ok := strings.Cut(p, "-")
		if !ok {
			hi = lo
		}
		a, err1 := strconv.Atoi(lo)
		b, err2 := strconv.Atoi(hi)
		if err1 != nil || err2 != nil || a < 0 || b < a || b > 1<<16 {
			return nil, fmt.Errorf("%q is no list of jobs", s)
		}
		for i := a; i <= b; i++ {
			set[i] = true
		}
	}
	return set, nil
}
