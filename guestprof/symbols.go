package guestprof

// Kernel symbols from the host: a System.map, or a vmlinux.

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// readSymbols reads a System.map or a vmlinux.
func readSymbols(name string) (*symtab, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file; give a vmlinux or a System.map", name)
	}
	magic := make([]byte, 4)
	if _, err := f.ReadAt(magic, 0); err == nil && string(magic) == "\x7fELF" {
		e := readELF(hostFile(f, st.Size()))
		if e == nil || e.syms == nil {
			return nil, fmt.Errorf("%s has no symbols; give a vmlinux that is not stripped, or a System.map", name)
		}
		return e.syms, nil
	}
	s := &symtab{}
	for in := bufio.NewScanner(f); in.Scan(); {
		w := bytes.Fields(in.Bytes())
		if len(w) != 3 || len(w[1]) != 1 {
			s.addr = nil
			break
		}
		addr, err := strconv.ParseUint(string(w[0]), 16, 64)
		if err != nil || len(s.addr) >= maxSyms {
			s.addr = nil
			break
		}
		s.add(addr, 0, w[1][0], []byte(clean(w[2])))
	}
	if len(s.addr) < 2 {
		return nil, fmt.Errorf("%s is neither a vmlinux nor a System.map", name)
	}
	s.sorted()
	return s, nil
}

// moved returns the table with its kernel addresses moved up by an offset.
func (s *symtab) moved(by uint64) *symtab {
	t := *s
	t.addr = make([]uint64, len(s.addr))
	for i, a := range s.addr {
		if kernelHalf(a) {
			a += by
		}
		t.addr[i] = a
	}
	return &t
}
