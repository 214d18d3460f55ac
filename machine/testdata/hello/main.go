// Command hello computes a few things and prints them. It is built on the host,
// run there and in a guest, and has to print the same in both places.
package main

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/big"
	"os"
	"sort"
	"strings"
	"sync"
)

func main() {
	fmt.Printf("%x\n", sha256.Sum256([]byte(strings.Repeat("hotblock", 1000))))
	s := 0.0
	for i := 1; i < 20000; i++ {
		x := float64(i)
		s += math.Sin(x)*math.Sqrt(x) + math.Log(x)/math.Pow(x, 1.25) + float64(float32(1/x))
	}
	fmt.Println(s, math.Float64bits(s), math.FMA(s, s, -1), math.Exp(-s*1e-5))
	f := big.NewInt(1)
	for i := int64(2); i < 400; i++ {
		f.Mul(f, big.NewInt(i))
	}
	fmt.Println(f)
	words := strings.Fields(strings.Repeat("the quick brown fox jumps over the lazy dog ", 50))
	sort.Strings(words)
	fmt.Println(words[0], words[len(words)/2], words[len(words)-1])
	var mu sync.Mutex
	var wg sync.WaitGroup
	total := 0
	for i := range 50 {
		wg.Go(func() {
			mu.Lock()
			total += i
			mu.Unlock()
		})
	}
	wg.Wait()
	m := map[int]int{}
	for i := range 5000 {
		m[i*i%977] += i
	}
	keys := make([]int, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Ints(keys)
	sum := 0
	for i, k := range keys {
		sum += i * m[k]
	}
	fmt.Println(total, len(m), sum)
	if len(os.Args) > 1 && os.Args[1] == "panic" {
		var p *int
		fmt.Println(*p)
	}
}
