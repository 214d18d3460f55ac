//go:build linux && amd64

package host

import (
	"bytes"
	"os"
	"os/signal"
	"reflect"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hotblock/internal/native"
	"hotblock/internal/sighook"

	"golang.org/x/sys/unix"
)

// nilPanics reports whether a nil dereference in Go is a panic that can be
// recovered.
func nilPanics() (ok bool) {
	defer func() {
		_, ok = recover().(runtime.Error)
	}()
	var p *[4]int
	p[2]++
	return false
}

func TestNilPanics(t *testing.T) {
	need(t)
	onFrame(t, func(f *Frame) { // GS set makes no difference
		if !nilPanics() {
			t.Error("a nil dereference is no panic")
		}
	})
	if !nilPanics() {
		t.Error("a nil dereference is no panic")
	}
}

// TestNotify has the program ask for the hooked signals itself: the hook stays
// in front of Go's handlers, and the program gets what is sent to it.
func TestNotify(t *testing.T) {
	need(t)
	handlers := map[unix.Signal]uintptr{}
	c := make(chan os.Signal, 16)
	check := func(when string) {
		t.Helper()
		for _, sig := range []unix.Signal{unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGURG} {
			h, err := sighook.Handler(sig)
			if handlers[sig] == 0 {
				handlers[sig] = h
			}
			if err != nil || h != handlers[sig] {
				t.Errorf("%s: the handler of %s is %#x (%v), not %#x", when, unix.SignalName(sig), h, err, handlers[sig])
			}
		}
	}
	check("before")
	signal.Notify(c, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGURG)
	check("after Notify")
	if err := unix.Kill(unix.Getpid(), unix.SIGURG); err != nil {
		t.Fatal(err)
	}
	select {
	case sig := <-c:
		if sig != unix.SIGURG {
			t.Errorf("got %v", sig)
		}
	case <-time.After(time.Minute):
		t.Error("SIGURG was not delivered")
	}
	signal.Stop(c)
	check("after Stop")
}

// TestOtherHook has package native hook the same signals, in front of this
// package's: each gets the faults of its own code.
func TestOtherHook(t *testing.T) {
	need(t)
	s := newArena(t, 4096)
	code := s.emit(0x0f, 0x0b) // ud2
	stub := s.exit()
	Serialize()
	onFrame(t, func(f *Frame) {
		f.FaultExit = stub
		for range 3 {
			if r := native.Run([]byte{0x90, 0x0f, 0x0b}, native.NewState()); r.Vector != 6 || r.Off != 1 {
				t.Errorf("native code: %+v, want vector 6 at 1", r)
			}
			f.FaultRIP = 0
			Enter(f, code)
			if f.FaultRIP != code || f.FaultTrap != 6 {
				t.Errorf("fault at %#x, vector %d; want %#x, 6", f.FaultRIP, f.FaultTrap, code)
			}
			if !nilPanics() {
				t.Error("a nil dereference is no panic")
			}
		}
	})
}

// TestTorture runs two threads of generated code with garbage in every register
// against all that makes Go stop, move and interrupt goroutines, and checks
// after each round that Go's state is whole.
func TestTorture(t *testing.T) {
	need(t)
	length := 3 * time.Second
	if testing.Short() {
		length = 500 * time.Millisecond
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	var profile bytes.Buffer
	if err := pprof.StartCPUProfile(&profile); err != nil {
		t.Fatal(err)
	}
	defer pprof.StopCPUProfile()
	if !nilPanics() {
		t.Error("before: a nil dereference is no panic")
	}

	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		fr    [2]*Frame
		tid   [2]atomic.Int32
		yield atomic.Int64 // rounds that a request to stop ended
	)
	until := func(f func()) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for !stop.Load() {
				f()
			}
		}()
	}

	for i := range fr {
		f, err := NewFrame(userSize)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Free()
		fr[i] = f
		s := newArena(t, 1<<16)
		// The native stack is full of what looks like Go code's return addresses.
		prologue := func(seed uint64) uintptr {
			pc := s.movabs(0, uint64(reflect.ValueOf(goState).Pointer())+16)
			for range 40 {
				s.emit(0x50) // push rax
			}
			s.garbage(seed)
			return pc
		}
		var entries, faults []uintptr
		enter := func(pc, fault uintptr) {
			entries = append(entries, pc)
			faults = append(faults, fault)
		}
		enter(prologue(1), 0)
		s.poll()
		s.exit()
		for _, c := range [][2][]byte{ // what goes before, and what faults
			{nil, {0x0f, 0x0b}},                   // ud2
			{nil, {0x88, 0x00}},                   // mov [rax], al: non-canonical
			{nil, {0x48, 0xf7, 0xf1}},             // div rcx: overflow
			{nil, {0xa2, 8, 0, 0, 0, 0, 0, 0, 0}}, // mov [8], al
			{nil, {0x41, 0xff, 0xe6}},             // jmp r14: non-canonical, reported at the jump
			{nil, {0x8e, 0xd8}},                   // mov ds, eax: #GP with a selector
			{{0x48, 0x89, 0xc4}, {0x50}},          // mov rsp, rax; push rax: #SS
		} {
			pc := prologue(uint64(len(entries)))
			s.emit(c[0]...)
			enter(pc, s.emit(c[1]...))
			s.emit(0xcc)
		}
		enter(prologue(9), 0)
		s.exit()
		stub := s.pc()
		s.garbage(10)
		s.exit()
		Serialize()

		wg.Add(1)
		go func() {
			defer wg.Done()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			SetGS(f.Self)
			defer SetGS(0)
			tid[i].Store(int32(unix.Gettid()))
			f.FaultExit = stub
			for n := 0; !stop.Load(); n++ {
				k := n % len(entries)
				f.FaultRIP = 0
				Enter(f, entries[k])
				if f.FaultRIP != faults[k] || f.FaultNested != 0 || f.Inside != 0 || GS() != f.Self {
					t.Errorf("round %d, code %d: fault at %#x (nested %d, inside %d), want %#x; GS %#x, frame %#x", n, k,
						f.FaultRIP, f.FaultNested, f.Inside, faults[k], GS(), f.Self)
					return
				}
				goState(t, n)
				if atomic.LoadUint32(&f.Pending)&PendingYield != 0 {
					yield.Add(1)
				}
				atomic.StoreUint32(&f.Pending, 0)
			}
			atomic.StoreUint32(&f.Pending, testStop)
		}()
	}

	var sink [2]atomic.Pointer[[]byte]
	for i := range sink {
		until(func() {
			b := make([]byte, 100+i*30000)
			sink[i].Store(&b)
		})
	}
	until(func() {
		runtime.GC()
		time.Sleep(3 * time.Millisecond)
	})
	until(func() {
		if !nilPanics() {
			t.Error("while generated code runs: a nil dereference is no panic")
		}
		time.Sleep(time.Millisecond)
	})
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, unix.SIGUSR1)
	defer signal.Stop(usr1)
	var got atomic.Int64
	until(func() {
		unix.Kill(unix.Getpid(), unix.SIGUSR1)
		select {
		case <-usr1:
			got.Add(1)
		case <-time.After(time.Second): // one signal may stand for two
		}
		time.Sleep(time.Millisecond)
	})
	// Requests to stop at any point of the way in and out, for half of the time
	// so that the collector's own are needed too.
	n := 0
	until(func() {
		if n++; n/512%2 == 0 {
			if id := tid[n%2].Load(); id != 0 {
				unix.Tgkill(unix.Getpid(), int(id), unix.SIGURG)
			}
			runtime.Gosched()
		} else {
			time.Sleep(20 * time.Microsecond)
		}
	})

	time.Sleep(length)
	stop.Store(true)
	for _, f := range fr {
		atomic.OrUint32(&f.Pending, testStop)
	}
	wg.Wait()
	if !nilPanics() {
		t.Error("after: a nil dereference is no panic")
	}
	if yield.Load() == 0 {
		t.Error("no round was ended by a request to stop")
	}
	if got.Load() == 0 {
		t.Error("no SIGUSR1 arrived")
	}
	t.Logf("%d requests to stop, %d SIGUSR1", yield.Load(), got.Load())
}
