package shim

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// copySize is how much is copied at a time, in bytes.
const copySize = 32 << 10

var buffers = sync.Pool{New: func() any { return new([copySize]byte) }}

// copies are copies of streams that are under way.
type copies struct {
	group sync.WaitGroup
	once  sync.Once
	done  chan struct{}
}

// start copies until from ends, and closes both then.
func (c *copies) start(to, from *os.File) {
	c.group.Go(func() {
		copyStream(to, from)
		from.Close()
		to.Close()
	})
}

// keeping copies until from ends, and closes what is not the terminal's master, which serves both ways.
func (c *copies) keeping(to, from *os.File) {
	c.group.Go(func() {
		copyStream(to, from)
		for _, f := range []*os.File{from, to} {
			if f.Name() != "/dev/ptmx" {
				f.Close()
			}
		}
	})
}

// finished is closed when all that were started have ended.
func (c *copies) finished() <-chan struct{} {
	c.once.Do(func() {
		c.done = make(chan struct{})
		go func() {
			c.group.Wait()
			close(c.done)
		}()
	})
	return c.done
}

// copyStream copies until from ends or to takes no more. While there is nothing to copy it has no buffer, of which there
// would be three for each process.
func copyStream(to, from *os.File) {
	conn, err := from.SyscallConn()
	if err != nil {
		return
	}
	for {
		var buf *[copySize]byte
		var n int
		var readErr error
		_ = conn.Read(func(fd uintptr) (ready bool) {
			buf = buffers.Get().(*[copySize]byte)
			for n, readErr = unix.Read(int(fd), buf[:]); readErr == unix.EINTR; {
				n, readErr = unix.Read(int(fd), buf[:])
			}
			if readErr == unix.EAGAIN {
				buffers.Put(buf)
				buf = nil
				return false
			}
			return true
		})
		if buf == nil {
			return // closed
		}
		if readErr == nil && n > 0 {
			_, readErr = to.Write(buf[:n])
		}
		buffers.Put(buf)
		if readErr != nil || n == 0 {
			return
		}
	}
}
