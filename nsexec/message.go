package nsexec

import (
	"bytes"
	"encoding/binary"
	"os"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const headerSize = int(unsafe.Sizeof(wireMessage{}))

// message is one packet; see wire.h.
type message struct {
	kind  uint32
	index uint32
	value int32
	data  []byte
	// reset: the connection ended before the peer had read everything.
	reset bool
	// pid is the sender's process ID as this process sees it; 0 when the connection ended.
	pid  int
	file *os.File
}

// receive waits for a packet. kind 0 is the end of the connection.
func receive(sock *os.File) (message, error) {
	var buf [headerSize + wire_MESSAGE_DATA]byte
	var oob [128]byte
	fd, reset := int(sock.Fd()), false
	for {
		n, oobn, flags, _, err := unix.Recvmsg(fd, buf[:], oob[:], unix.MSG_CMSG_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		// A peer that died with unread messages resets the connection instead of ending it. The kernel says so
		// once, before what the peer has said last.
		if err == unix.ECONNRESET && !reset {
			reset = true
			continue
		}
		if err == unix.ECONNRESET || (err == nil && n == 0) {
			return message{reset: reset}, nil
		}
		if err != nil {
			return message{}, os.NewSyscallError("recvmsg", err)
		}
		m := message{
			kind:  binary.NativeEndian.Uint32(buf[0:]),
			index: binary.NativeEndian.Uint32(buf[4:]),
			value: int32(binary.NativeEndian.Uint32(buf[8:])),
			reset: reset,
			data:  append([]byte(nil), buf[headerSize:max(n, headerSize)]...),
		}
		m.readControl(oob[:oobn])
		if n < headerSize || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
			m.close()
			return message{}, os.NewSyscallError("recvmsg", unix.EBADMSG)
		}
		return m, nil
	}
}

func (m *message) readControl(oob []byte) {
	controls, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return
	}
	for i := range controls {
		if fds, err := unix.ParseUnixRights(&controls[i]); err == nil {
			for _, fd := range fds {
				m.close()
				m.file = os.NewFile(uintptr(fd), "preamble's descriptor")
			}
		}
		if cred, err := unix.ParseUnixCredentials(&controls[i]); err == nil {
			m.pid = int(cred.Pid)
		}
	}
}

func (m *message) close() {
	if m.file != nil {
		m.file.Close()
	}
}

// failure returns what a FAILED message says: the errno, the system call, its object.
func (m *message) failure() (syscall.Errno, string, string) {
	parts := bytes.SplitN(m.data, []byte{0}, 3)
	for len(parts) < 2 {
		parts = append(parts, nil)
	}
	// A filesystem's own words begin with the kernel's letter for errors.
	return syscall.Errno(m.value), string(parts[0]), strings.TrimPrefix(string(parts[1]), " e ")
}

// send sends one packet with descriptors.
func send(sock *os.File, kind uint32, value int32, data []byte, fds ...int) error {
	b := make([]byte, headerSize, headerSize+len(data))
	binary.NativeEndian.PutUint32(b[0:], kind)
	binary.NativeEndian.PutUint32(b[8:], uint32(value))
	binary.NativeEndian.PutUint32(b[12:], uint32(len(data)))
	b = append(b, data...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(int(sock.Fd()), b, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// sendDescriptors sends files into slots, as many in a packet as fit.
func sendDescriptors(sock *os.File, slots []int16, files []*os.File) error {
	for len(slots) > 0 {
		n := min(len(slots), wire_MESSAGE_FDS)
		var data []byte
		fds := make([]int, n)
		for i := range n {
			data = binary.NativeEndian.AppendUint16(data, uint16(slots[i]))
			fds[i] = int(files[i].Fd())
		}
		if err := send(sock, wire_DESCRIPTORS, 0, data, fds...); err != nil {
			return err
		}
		slots, files = slots[n:], files[n:]
	}
	return nil
}
