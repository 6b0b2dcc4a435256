package ledger

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"strconv"
	"time"
)

// The table is a header and slots, all of this size in bytes: a slot neither crosses a page nor a disk's sector.
const slotSize = 64

// nameSize is the size in bytes of what belongs to a slot in the file of names.
const nameSize = 512

// Most bytes of a container ID (store.CheckID) and of the path of a state directory.
const (
	maxID   = 255
	maxRoot = nameSize - nameText - maxID
)

// State is what is the matter with a range.
type State uint8

const (
	// empty is a slot of zeros: nothing.
	empty State = iota
	// Held ranges belong to a container.
	Held
	// Resting ranges belonged to one.
	Resting
	// Foreign ranges are in use by processes that the ledger does not know.
	Foreign
)

func (s State) String() string {
	return [...]string{"empty", "held", "resting", "foreign"}[s&3]
}

// checksum returns a checksum of what follows the first four bytes of a slot or a name, whose size is a multiple of 8.
// Every step of it can be undone, so that no change of one word goes unnoticed before the last, and of the changes in
// more of them one in 2^32 does. (Importing hash/crc32 alone would take a hundredth of every start of the program.)
func checksum(b []byte) uint32 {
	h := uint64(binary.LittleEndian.Uint32(b[4:])) + 0x9E3779B97F4A7C15
	for i := 8; i < len(b); i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(b[i:])) * 0xFF51AFD7ED558CCD // odd, so it can be undone
		h ^= h >> 32
	}
	h *= 0xC4CEB9FE1A85EC53
	return uint32(h >> 32)
}

// slot is one slot of the table as it is in the file, little-endian:
//
//	 0  4  checksum of what follows
//	 4  1  State; three bytes of zeros
//	 8  8  number of the allocation, which only grows
//	16  4  first user ID
//	20  4  first group ID
//	24  4  size
//	28  4  PID namespace of the creator (inode number)
//	32  4  creator: process ID, 0 if it is not known
//	36  4  zeros
//	40  8  creator: start time in clock ticks after boot
//	48  8  when it came into this State, in milliseconds after boot
//	56  8  hash of the container's key
type slot []byte

func (s slot) state() State   { return State(s[4]) }
func (s slot) number() uint64 { return binary.LittleEndian.Uint64(s[8:]) }
func (s slot) uid() uint64    { return uint64(binary.LittleEndian.Uint32(s[16:])) }
func (s slot) gid() uint64    { return uint64(binary.LittleEndian.Uint32(s[20:])) }
func (s slot) size() uint64   { return uint64(binary.LittleEndian.Uint32(s[24:])) }
func (s slot) since() uint64  { return binary.LittleEndian.Uint64(s[48:]) }
func (s slot) hash() uint64   { return binary.LittleEndian.Uint64(s[56:]) }

func (s slot) users() span  { return span{s.uid(), s.uid() + s.size()} }
func (s slot) groups() span { return span{s.gid(), s.gid() + s.size()} }

// creator returns the process and its PID namespace.
func (s slot) creator() (Process, uint32) {
	return Process{PID: int(binary.LittleEndian.Uint32(s[32:])), Start: binary.LittleEndian.Uint64(s[40:])},
		binary.LittleEndian.Uint32(s[28:])
}

func (s slot) set(state State, since uint64) {
	s[4] = byte(state)
	binary.LittleEndian.PutUint64(s[48:], since)
	s.seal()
}

func (s slot) seal() { binary.LittleEndian.PutUint32(s, checksum(s[:slotSize])) }

var errChecksum = errors.New("its checksum is wrong")

// check reports what is wrong with a slot.
func (s slot) check() error {
	if s[4] == 0 && zero(s) {
		return nil
	}
	if binary.LittleEndian.Uint32(s) != checksum(s[:slotSize]) {
		return errChecksum
	}
	const most = 1<<32 - 1 // the last ID means none
	if s[4] > byte(Foreign) || s.size() == 0 || s.uid()+s.size() > most || s.gid()+s.size() > most {
		return errors.New("it holds what bailey does not write")
	}
	return nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// newSlot returns a slot.
func newSlot(state State, number uint64, r Range, k key, creator Process, pidns uint32, since uint64) slot {
	s := make(slot, slotSize)
	binary.LittleEndian.PutUint64(s[8:], number)
	binary.LittleEndian.PutUint32(s[16:], r.UID)
	binary.LittleEndian.PutUint32(s[20:], r.GID)
	binary.LittleEndian.PutUint32(s[24:], r.Size)
	binary.LittleEndian.PutUint32(s[28:], pidns)
	binary.LittleEndian.PutUint32(s[32:], uint32(creator.PID))
	binary.LittleEndian.PutUint64(s[40:], creator.Start)
	binary.LittleEndian.PutUint64(s[56:], k.hash())
	s.set(state, since)
	return s
}

// key names a container of the machine. A Foreign range has no root, and a description in place of the ID.
type key struct{ root, id string }

func (k key) hash() uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(k.root + "\x00" + k.id))
	return h.Sum64()
}

func (k key) String() string {
	if k.root == "" {
		return k.id
	}
	return k.id + " (" + k.root + ")"
}

// The text of a name begins after a checksum, the slot's number and two lengths.
const nameText = 4 + 8 + 2 + 2

// encode returns what goes into the file of names for the slot with that number.
func (k key) encode(number uint64) []byte {
	b := make([]byte, nameSize)
	binary.LittleEndian.PutUint64(b[4:], number)
	binary.LittleEndian.PutUint16(b[12:], uint16(len(k.id)))
	binary.LittleEndian.PutUint16(b[14:], uint16(len(k.root)))
	copy(b[nameText:], k.id+k.root)
	binary.LittleEndian.PutUint32(b, checksum(b))
	return b
}

// decodeName returns the key that encode was given.
func decodeName(b []byte, number uint64) (key, error) {
	if len(b) != nameSize || binary.LittleEndian.Uint32(b) != checksum(b) {
		return key{}, errChecksum
	}
	if n := binary.LittleEndian.Uint64(b[4:]); n != number {
		return key{}, errors.New("it is the name of allocation " + strconv.FormatUint(n, 10))
	}
	id, root := int(binary.LittleEndian.Uint16(b[12:])), int(binary.LittleEndian.Uint16(b[14:]))
	text := b[nameText:]
	if id+root > len(text) {
		return key{}, errors.New("it is too long")
	}
	return key{id: string(text[:id]), root: string(text[id : id+root])}, nil
}

// header is the first of the table's slots:
//
//	 0  4  checksum of what follows
//	 4  8  magic, with the version of the format
//	12  4  user ID that follows the last range handed out in an earlier boot
//	16 16  the boot
//	32  8  when all ID maps of the machine were read last, in milliseconds after boot
//	40  8  the number of the last allocation in an earlier boot
//	48 16  zeros
type header []byte

const magic = "baileyi1"

func newHeader(boot bootID, scanned, number uint64, next uint32) header {
	h := make(header, slotSize)
	copy(h[4:], magic)
	binary.LittleEndian.PutUint32(h[12:], next)
	copy(h[16:], boot[:])
	binary.LittleEndian.PutUint64(h[40:], number)
	h.setScanned(scanned)
	return h
}

func (h header) check() error {
	switch {
	case string(h[4:12]) != magic:
		return errors.New("it is not a table of IDs, or that of another version of bailey")
	case binary.LittleEndian.Uint32(h) != checksum(h[:slotSize]):
		return errChecksum
	}
	return nil
}

func (h header) boot() bootID    { return bootID(h[16:32]) }
func (h header) scanned() uint64 { return binary.LittleEndian.Uint64(h[32:]) }
func (h header) number() uint64  { return binary.LittleEndian.Uint64(h[40:]) }
func (h header) next() uint64    { return uint64(binary.LittleEndian.Uint32(h[12:])) }

func (h header) setScanned(ms uint64) {
	binary.LittleEndian.PutUint64(h[32:], ms)
	slot(h).seal()
}

// milliseconds returns a duration as the table has it.
func milliseconds(d time.Duration) uint64 { return uint64(max(d, 0) / time.Millisecond) }
