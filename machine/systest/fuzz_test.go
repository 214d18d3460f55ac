package systest

import (
	"context"
	"encoding/binary"
	"flag"
	"math/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hotblock/machine"
)

var fuzzImages = flag.Int("fuzzimages", 12, "random images that TestRandomImages boots")

// randomImage is a multiboot kernel of random code, strewn with port accesses.
// Most of it runs at ports that devices have.
func randomImage(rng *rand.Rand) []byte {
	b := make([]byte, 64<<10)
	rng.Read(b)
	ports := []uint16{0x20, 0x21, 0x40, 0x43, 0x60, 0x64, 0x70, 0x71, 0x80, 0x92, 0xa0, 0xa1, 0xc0, 0x1f0, 0x1f7, 0x3f6, 0x3f8, 0x3c0,
		0x3d4, 0x4d0, 0x510, 0x511, 0x514, 0x518, 0xcf8, 0xcfc, 0xcfe, 0xb000, 0xb004, 0xafe0, 0xc000, 0x0, 0x8, 0xd0}
	emit := func(at int, code ...byte) { copy(b[at:], code) }
	// On any exception or interrupt the image goes on a little further: the table
	// is at 0x400, the handler at 0xc0, the code from body on.
	const base, body, step = 0x100000, 0xc00, 37
	le := binary.LittleEndian
	word := func(at int, v uint32) { le.PutUint32(b[at:], v) }
	for v := range 256 {
		le.PutUint64(b[0x400+8*v:], 0x00108e00<<32|0x001000c0)
	}
	le.PutUint16(b[0xa0:], 0x7ff)
	word(0xa2, base+0x400)
	word(0xa8, base+body) // where to go on
	emit(0x40, 0x0f, 0x01, 0x1d, 0xa0, 0, 0x10, 0, 0xbc, 0, 0, 0x1f, 0, 0xfb, 0xe9)
	word(0x4e, body-0x52)
	emit(0xc0, 0xfc, 0xbc, 0, 0, 0x1f, 0) // cld; mov esp, 0x1f0000
	emit(0xc6, 0xa1, 0xa8, 0, 0x10, 0)    // mov eax, [next]
	emit(0xcb, 0x05, step, 0, 0, 0)       // add eax, step
	emit(0xd0, 0x3d, 0, 0xf0, 0x10, 0)    // cmp eax, end
	emit(0xd5, 0x72, 5, 0xb8)             // jb over
	word(0xd8, base+body)                 // mov eax, start
	emit(0xdc, 0xa3, 0xa8, 0, 0x10, 0)    // mov [next], eax
	emit(0xe1, 0xb0, 0x20, 0xe6, 0x20)    // end of interrupt
	emit(0xe5, 0xa1, 0xa8, 0, 0x10, 0, 0xfb, 0xff, 0xe0)
	at := body
	for at < len(b)-64 {
		p := ports[rng.Intn(len(ports))] + uint16(rng.Intn(4))
		switch rng.Intn(6) {
		case 0, 1, 2: // mov edx, port; mov eax, value; out
			v := rng.Uint32()
			if p >= 0xcf8 && p < 0xcfc {
				v = v&0x1ffc | 0x80000000
			}
			emit(at, 0xba, byte(p), byte(p>>8), 0, 0, 0xb8, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), []byte{0xee, 0xef, 0xef}[rng.Intn(3)])
			at += 11
		case 3: // in
			emit(at, 0xba, byte(p), byte(p>>8), 0, 0, []byte{0xec, 0xed}[rng.Intn(2)])
			at += 6
		case 4: // mov eax, [device]; mov [device], eax
			dev := []uint32{0xfee00000, 0xfec00000, 0xb0000000, 0xa0000, 0xc0000, 0xfed00000, 0xe0000000}[rng.Intn(7)] + uint32(rng.Intn(0x400))&^3
			op := []byte{0xa1, 0xa3}[rng.Intn(2)]
			emit(at, op, byte(dev), byte(dev>>8), byte(dev>>16), byte(dev>>24))
			at += 5
		default:
			at += rng.Intn(3)
		}
	}
	copy(b, []byte{0x02, 0xb0, 0xad, 0x1b, 0, 0, 1, 0, 0xfe, 0x4f, 0x51, 0xe4})
	for i, v := range []uint32{0x100000, 0x100000, 0, 0, 0x100040} {
		b[12+4*i], b[13+4*i], b[14+4*i], b[15+4*i] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
	return b
}

// runRandom boots an image for a moment. That it neither panics nor fails to
// stop is all that is asked.
func runRandom(t *testing.T, img []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, img, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := machine.DefaultConfig()
	cfg.RAM = 8 << 20
	cfg.Kernel = path
	cfg.NoReboot = true
	cfg.DebugExit = &machine.DebugExit{Port: 0xf4, Size: 4}
	m, err := machine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := m.Run(ctx)
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Log(err)
		}
	case <-time.After(limit):
		t.Fatal("the machine does not stop")
	}
}

// TestRandomImages boots kernels of random code with random port and device
// accesses.
func TestRandomImages(t *testing.T) {
	for seed := range *fuzzImages {
		runRandom(t, randomImage(rand.New(rand.NewSource(int64(seed)))))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// FuzzImage boots what the fuzzer makes of such kernels.
func FuzzImage(f *testing.F) {
	for seed := range 4 {
		f.Add(randomImage(rand.New(rand.NewSource(int64(seed)))))
	}
	f.Fuzz(runRandom)
}
