package seccomp

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
)

// A file of the cache is, all numbers in this machine's byte order:
//
//	magic     8 bytes
//	checksum  SHA-256 of everything after it
//	key       what the file is stored under
//	flags     uint32, notify uint32
//	warnings  uint32 count, then for each a uint32 length and the text
//	program   the rest
//
// The checksum finds damage, and the key a file under a wrong name. Neither protects against someone
// who can write the caller's files: that the cache's permissions do.

var magic = []byte("bailsec1")

const headSize = 8 + sha256.Size

// encodeFile returns the contents of a program's file.
func encodeFile(p *Program, k [sha256.Size]byte) []byte {
	b := make([]byte, headSize, headSize+len(k)+16+len(p.Filter))
	copy(b, magic)
	b = append(b, k[:]...)
	b = binary.NativeEndian.AppendUint32(b, p.Flags)
	notify := uint32(0)
	if p.Notify {
		notify = 1
	}
	b = binary.NativeEndian.AppendUint32(b, notify)
	b = binary.NativeEndian.AppendUint32(b, uint32(len(p.Warnings)))
	for _, w := range p.Warnings {
		b = binary.NativeEndian.AppendUint32(b, uint32(len(w)))
		b = append(b, w...)
	}
	b = append(b, p.Filter...)
	sum := sha256.Sum256(b[headSize:])
	copy(b[len(magic):], sum[:])
	return b
}

// decode returns the program in a file's contents, or nil if anything about them is not as it should be.
func decode(b []byte, k [sha256.Size]byte) *Program {
	if len(b) < headSize+len(k) || !bytes.Equal(b[:len(magic)], magic) {
		return nil
	}
	sum := sha256.Sum256(b[headSize:])
	if !bytes.Equal(b[len(magic):headSize], sum[:]) {
		return nil
	}
	b = b[headSize:]
	if !bytes.Equal(b[:len(k)], k[:]) {
		return nil
	}
	b = b[len(k):]
	u32 := func() uint32 {
		if len(b) < 4 {
			b = nil
			return 0
		}
		n := binary.NativeEndian.Uint32(b)
		b = b[4:]
		return n
	}
	p := &Program{Flags: u32(), Notify: u32() == 1}
	for range u32() {
		n := u32()
		if uint64(n) > uint64(len(b)) || b == nil {
			return nil
		}
		p.Warnings = append(p.Warnings, string(b[:n]))
		b = b[n:]
	}
	if Check(b) != nil {
		return nil
	}
	p.Filter = b
	return p
}
