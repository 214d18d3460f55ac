//go:build linux && amd64

package jit

import (
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestStorm has a guest compute while the host program collects garbage all the
// time, is profiled and gets signals, on two CPUs at once.
func TestStorm(t *testing.T) {
	if err := pprof.StartCPUProfile(io.Discard); err != nil {
		t.Log("no profile: ", err) // another one goes on
	} else {
		defer pprof.StopCPUProfile()
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	sigs := make(chan os.Signal, 64)
	signal.Notify(sigs, unix.SIGUSR1)
	defer signal.Stop(sigs)

	stop := make(chan struct{})
	var wg sync.WaitGroup
	every := func(d time.Duration, f func()) {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(d):
					f()
				}
			}
		})
	}
	var kept [][]byte
	every(3*time.Millisecond, func() {
		for range 200 {
			kept = append(kept, make([]byte, 1024))
		}
		if len(kept) > 4000 {
			kept = nil
		}
		runtime.GC()
	})
	every(time.Millisecond, func() {
		unix.Kill(unix.Getpid(), unix.SIGUSR1)
		for {
			select {
			case <-sigs:
				continue
			default:
			}
			break
		}
	})
	collections := func() uint32 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.NumGC
	}
	defer wg.Wait()
	defer close(stop)

	want := newWorker(t, nil).work()
	var workers sync.WaitGroup
	defer workers.Wait()
	for range 2 {
		w := newWorker(t, engineConfig(2, 4<<20))
		workers.Go(func() {
			for n := range rounds(20) {
				for end := collections() + 5; collections() < end; {
					if got := w.work(); got != want {
						t.Errorf("run %d: %s, interpreter: %s", n, got, want)
						return
					}
				}
			}
		})
	}
}
