package hugepage

import (
	"bytes"
	"os"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestCollapse checks that memory holds the same afterwards, in all mappings, and that
// addresses are as they are said to be.
func TestCollapse(t *testing.T) {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	n := 2*Size + os.Getpagesize()
	if err := unix.Ftruncate(fd, int64(n)); err != nil {
		t.Fatal(err)
	}
	var maps [2][]byte
	for i := range maps {
		if maps[i], err = MapFile(fd, n, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			t.Fatal(err)
		}
		if len(maps[i]) != n || uintptr(unsafe.Pointer(unsafe.SliceData(maps[i])))%Size != 0 {
			t.Fatalf("%d bytes at %p", len(maps[i]), maps[i])
		}
	}
	a, b := maps[0], maps[1]
	for i := 0; i < n; i += 5000 {
		a[i] = byte(i>>8) | 1
	}
	want := bytes.Clone(a)
	t.Log("collapsed:", Collapse(a[:Size]), Collapse(a[Size:2*Size]), Collapse(a[:Size]))
	if !bytes.Equal(a, want) || !bytes.Equal(b, want) {
		t.Error("memory has changed")
	}
	b[7], a[Size+9] = 1, 2
	if a[7] != 1 || b[Size+9] != 2 {
		t.Error("the mappings are not the same memory any more")
	}
	for _, m := range maps {
		if err := Unmap(m); err != nil {
			t.Error(err)
		}
	}
}
