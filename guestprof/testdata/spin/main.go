// Spin is a program whose profile is known: half of its time is in outer, which calls
// inner, and the rest in the kernel for it.
package main

import (
	"fmt"
	"os"
	"time"
)

//go:noinline
func inner(n int) (x uint64) {
	for i := range n {
		x = x*6364136223846793005 + uint64(i)
	}
	return x
}

//go:noinline
func outer(n int) uint64 { return inner(n) + 1 }

func main() {
	f, err := os.Open("/dev/zero")
	if err != nil {
		panic(err)
	}
	b := make([]byte, 1<<16)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		outer(1 << 16)
		if _, err := f.Read(b); err != nil {
			panic(err)
		}
	}
	fmt.Println("spun")
}
