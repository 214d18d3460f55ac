package boot

import (
	"bytes"
	"compress/bzip2"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	bcjxz "github.com/therootcompany/xz"
	"github.com/ulikunitz/xz/lzma"
)

// Unpacking a kernel's payload on the host. A bzImage carries the kernel proper
// compressed, with a small program that unpacks it in the guest; the host does
// it a hundred times faster than an interpreted guest. The payload's first
// bytes name the format. All formats but gzip have four bytes behind them that
// the kernel's build appended: the unpacked size (gzip ends in its own, with
// the same meaning). It is a hint only; the limit is the caller's.

type compression struct {
	name   string
	magic  string
	unpack func(src []byte, size, limit int) ([]byte, error) // nil: known, but not supported
}

var compressions = []compression{
	{"gzip", "\x1f\x8b", unpackGzip},
	{"bzip2", "BZh", unpackBzip2},
	{"lzma", "\x5d\x00\x00", unpackLZMA},
	{"xz", "\xfd7zXZ\x00", unpackXZ},
	{"lz4", "\x02\x21\x4c\x18", unpackLZ4},
	{"zstd", "\x28\xb5\x2f\xfd", unpackZstd},
	{"lzo", "\x89LZO", nil},
}

func findCompression(b []byte) *compression {
	for i := range compressions {
		if c := &compressions[i]; len(b) >= len(c.magic) && string(b[:len(c.magic)]) == c.magic {
			return c
		}
	}
	return nil
}

// unpackPayload unpacks a payload to at most limit bytes.
func unpackPayload(c *compression, payload []byte, limit uint64) ([]byte, error) {
	if len(payload) < 8 {
		return nil, io.ErrUnexpectedEOF
	}
	hint := uint64(binary.LittleEndian.Uint32(payload[len(payload)-4:]))
	if hint > limit {
		return nil, errTooLarge{hint, limit}
	}
	// No supported format packs better than some 1 to 1000 for anything that
	// is a kernel, so a wrong hint cannot make the host reserve gigabytes.
	hint = min(hint, uint64(len(payload))*256)
	src := payload
	if c.name != "gzip" {
		src = payload[:len(payload)-4]
	}
	return c.unpack(src, int(hint), int(min(limit, 1<<40)))
}

type errTooLarge struct{ size, limit uint64 }

func (e errTooLarge) Error() string {
	return fmt.Sprintf("unpacks to %d MiB or more, over the limit of %d MiB", mib(e.size), e.limit>>20)
}

// drain reads all of r, up to limit bytes.
func drain(r io.Reader, size, limit int) ([]byte, error) {
	var out bytes.Buffer
	out.Grow(size + bytes.MinRead)
	n, err := out.ReadFrom(io.LimitReader(r, int64(limit)+1))
	if n > int64(limit) {
		return nil, errTooLarge{uint64(n), uint64(limit)}
	}
	return out.Bytes(), err
}

func unpackGzip(src []byte, size, limit int) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	return drain(r, size, limit)
}

func unpackBzip2(src []byte, size, limit int) ([]byte, error) {
	return drain(bzip2.NewReader(bytes.NewReader(src)), size, limit)
}

func unpackLZMA(src []byte, size, limit int) ([]byte, error) {
	// Bytes 1 to 4 are the dictionary's size, which the reader allocates at
	// once; kernels use up to 128 MiB.
	if len(src) < 13 || binary.LittleEndian.Uint32(src[1:]) > 128<<20 {
		return nil, errors.New("bad LZMA header")
	}
	r, err := lzma.NewReader(bytes.NewReader(src))
	if err != nil {
		return nil, err
	}
	return drain(r, size, limit)
}

func unpackXZ(src []byte, size, limit int) ([]byte, error) {
	// The kernel's build uses a dictionary of 32 MiB (scripts/xz_wrap.sh); the
	// reader refuses to allocate more than the 128 MiB given here.
	r, err := bcjxz.NewReader(bytes.NewReader(src), 128<<20)
	if err != nil {
		return nil, err
	}
	r.Multistream(false)
	return drain(r, size, limit)
}

func unpackZstd(src []byte, size, limit int) ([]byte, error) {
	r, err := zstd.NewReader(bytes.NewReader(src), zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(128<<20))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return drain(r, size, limit)
}

// unpackLZ4 unpacks the legacy frame, which lz4's own command has not written
// by default since 2013 but kernels still use: blocks that unpack to 8 MiB
// each (the last to less), each after its packed size (lz4 frame format
// description, "Legacy frame").
func unpackLZ4(src []byte, size, limit int) ([]byte, error) {
	const block = 8 << 20
	src = src[4:]
	out := make([]byte, 0, min(size, limit)+block)
	for len(src) >= 4 {
		n := uint64(binary.LittleEndian.Uint32(src))
		src = src[4:]
		if n == 0 || n > uint64(lz4.CompressBlockBound(block)) || n > uint64(len(src)) {
			return nil, lz4.ErrInvalidSourceShortBuffer
		}
		// A packed byte stands for at most 255, which keeps the growth of the
		// output in proportion to the input.
		room := min(block, int(n)*255)
		if len(out) > limit {
			return nil, errTooLarge{uint64(len(out)), uint64(limit)}
		}
		if cap(out)-len(out) < room {
			grown := make([]byte, len(out), 2*len(out)+room)
			copy(grown, out)
			out = grown
		}
		got, err := lz4.UncompressBlock(src[:n], out[len(out):len(out)+room])
		if err != nil {
			return nil, err
		}
		out = out[:len(out)+got]
		src = src[n:]
	}
	if len(out) > limit {
		return nil, errTooLarge{uint64(len(out)), uint64(limit)}
	}
	return out, nil
}
