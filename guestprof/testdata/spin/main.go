// Spin is a program whose profile is known: half of its time is in outer, which calls
// inner, and the rest in the kernel for it.
package main

import (
	"fmt"
	"os"
	"time"
)

// inner has local memory, and so a frame, without which its caller would be lost.
//
//go:noinline
func inner(n int) uint64 {
	var a [64]uint64
	for i := range n {
		a[i&63] += a[(i+7)&63]*6364136223846793005 + uint64(i)
	}
	return a[n&63]
}

//go:noinline
func outer(n int) uint64 { return inner(n) + 1 }

func main() {
	f, err := os.Open("/dev/zero")
	if err != nil {
		panic(err)
	}
	b := make([]byte, 1<<20)
	for end := time.Now().Add(time.Second); time.Now().Before(end); {
		outer(1 << 16)
		if _, err := f.Read(b); err != nil {
			panic(err)
		}
	}
	fmt.Println("spun")
}
