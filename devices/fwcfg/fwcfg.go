// Package fwcfg is QEMU's firmware configuration device (ports 0x510-0x511 and
// DMA at 0x514): named items that firmware reads, as QEMU's docs/specs/fw_cfg
// describes it.
package fwcfg

import (
	"encoding/binary"
	"fmt"
	"sort"
	"sync"

	"hotblock/devices"
)

// Keys of items with fixed numbers.
const (
	KeySignature = 0x0000
	KeyID        = 0x0001
	KeyUUID      = 0x0002
	KeyRAMSize   = 0x0003
	KeyNoGraphic = 0x0004
	KeyCPUs      = 0x0005
	KeyBootMenu  = 0x000e
	KeyMaxCPUs   = 0x000f
	KeyFileDir   = 0x0019
	KeyFirstFile = 0x0020
	KeyIRQ0      = 0x8002
)

// Control bits of a DMA request.
const (
	dmaError  = 1
	dmaRead   = 2
	dmaSkip   = 4
	dmaSelect = 8
	dmaWrite  = 16
)

const signature = 0x51454d5520434647 // "QEMU CFG"

// maxPad is how many zeros past its end a DMA read of an item may ask for.
const maxPad = 1 << 20

// maxName is the length of the longest file name.
const maxName = 55

// Memory is where DMA goes.
type Memory interface {
	Read(pa uint64, p []byte)
	Write(pa uint64, p []byte)
}

type file struct {
	name string
	data []byte
}

// FWCfg is the device.
type FWCfg struct {
	mem Memory

	mu    sync.Mutex
	items map[uint16][]byte
	files []file
	key   uint16
	off   int
	dma   uint64 // high half of the address, as written
}

// New returns a device with its signature; mem is where DMA goes.
func New(mem Memory) *FWCfg {
	f := &FWCfg{mem: mem, items: map[uint16][]byte{}}
	f.items[KeySignature] = []byte("QEMU")
	f.items[KeyID] = binary.LittleEndian.AppendUint32(nil, 3) // traditional and DMA
	f.directory()
	return f
}

// Attach puts the device on the port bus.
func (f *FWCfg) Attach(b *devices.PortBus) {
	b.Claim(0x510, 2, 2, f)
	b.Claim(0x514, 8, 4, f)
}

// Reset selects nothing; items stay.
func (f *FWCfg) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key, f.off, f.dma = 0, 0, 0
}

// SetItem sets the item of a fixed key.
func (f *FWCfg) SetItem(key uint16, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items[key] = data
}

// SetUint sets the item of a fixed key to a little-endian number of size bytes.
func (f *FWCfg) SetUint(key uint16, v uint64, size int) {
	f.SetItem(key, binary.LittleEndian.AppendUint64(nil, v)[:size])
}

// SetFile adds a named file, or replaces it. It fails where the name is empty
// or over 55 bytes long.
func (f *FWCfg) SetFile(name string, data []byte) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("fw_cfg name %q: give 1 to %d characters", name, maxName)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.files {
		if f.files[i].name == name {
			f.files[i].data = data
			f.directory()
			return nil
		}
	}
	f.files = append(f.files, file{name, data})
	sort.Slice(f.files, func(i, j int) bool { return f.files[i].name < f.files[j].name })
	f.directory()
	return nil
}

// directory builds the file directory.
func (f *FWCfg) directory() {
	d := binary.BigEndian.AppendUint32(nil, uint32(len(f.files)))
	for i, x := range f.files {
		d = binary.BigEndian.AppendUint32(d, uint32(len(x.data)))
		d = binary.BigEndian.AppendUint16(d, uint16(KeyFirstFile+i))
		d = append(d, 0, 0)
		var n [maxName + 1]byte
		copy(n[:], x.name)
		d = append(d, n[:]...)
		f.items[uint16(KeyFirstFile+i)] = x.data
	}
	f.items[KeyFileDir] = d
}

// ReadPort implements devices.PortDevice.
func (f *FWCfg) ReadPort(port uint16, size int) uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case port == 0x511:
		d := f.items[f.key]
		if f.off >= len(d) {
			return 0
		}
		f.off++
		return uint32(d[f.off-1])
	case port >= 0x514:
		var sig [8]byte
		binary.BigEndian.PutUint64(sig[:], signature)
		var v uint32
		for i := range size {
			v |= uint32(sig[(int(port)-0x514+i)&7]) << (8 * i)
		}
		return v
	}
	return devices.Ones(size)
}

// WritePort implements devices.PortDevice.
func (f *FWCfg) WritePort(port uint16, size int, v uint32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case port == 0x510:
		f.key, f.off = uint16(v), 0
	case port == 0x514 && size == 4:
		f.dma = uint64(swap(v)) << 32
	case port == 0x518 && size == 4:
		addr := f.dma | uint64(swap(v))
		f.dma = 0
		f.transfer(addr)
	}
}

func swap(v uint32) uint32 { return v>>24 | v>>8&0xff00 | v<<8&0xff0000 | v<<24 }

// transfer does the DMA request at addr.
func (f *FWCfg) transfer(addr uint64) {
	var req [16]byte
	f.mem.Read(addr, req[:])
	ctl := binary.BigEndian.Uint32(req[:])
	n := int64(binary.BigEndian.Uint32(req[4:]))
	pa := binary.BigEndian.Uint64(req[8:])
	if ctl&dmaSelect != 0 {
		f.key, f.off = uint16(ctl>>16), 0
	}
	result := uint32(0)
	switch {
	case ctl&dmaRead != 0:
		d := f.items[f.key]
		d = d[min(f.off, len(d)):]
		d = d[:min(int64(len(d)), n)]
		f.mem.Write(pa, d)
		f.off += len(d)
		// Past the item's end zeros are read, but not gigabytes of them: that
		// would keep the host busy for seconds.
		if n-int64(len(d)) > maxPad {
			result = dmaError
			break
		}
		var zero [4096]byte
		for done := int64(len(d)); done < n; done += int64(len(zero)) {
			f.mem.Write(pa+uint64(done), zero[:min(n-done, int64(len(zero)))])
		}
	case ctl&dmaWrite != 0:
		result = dmaError // no item can be written
	case ctl&dmaSkip != 0:
		f.off = int(min(int64(f.off)+n, 1<<30))
	}
	f.mem.Write(addr, binary.BigEndian.AppendUint32(nil, result))
}
