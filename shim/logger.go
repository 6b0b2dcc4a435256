package shim

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// loggerTimeout is how long a logging program may take until it is ready.
const loggerTimeout = 10 * time.Second

// startLogger starts a program that logs what a process writes (containerd's binary:// URIs), and returns what to write to.
// The program reads standard output and error as descriptors 3 and 4, and closes 5 when it is ready. It ends by itself when
// both have ended, be the shim there or not.
func startLogger(uri, id, namespace string, r *reaper) (stdout, stderr *os.File, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, nil, err
	}
	args := []string{u.Path}
	query := u.Query()
	for _, key := range slices.Sorted(maps.Keys(query)) {
		args = append(args, key)
		if v := query.Get(key); v != "" {
			args = append(args, v)
		}
	}
	var files []*os.File // all of them, in pairs of a reading and a writing end
	defer func() {
		for _, f := range files {
			if f != stdout && f != stderr {
				f.Close()
			}
		}
	}()
	for range 3 {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return nil, nil, os.NewSyscallError("pipe2", err)
		}
		files = append(files, os.NewFile(uintptr(fds[0]), "pipe"), os.NewFile(uintptr(fds[1]), "pipe"))
	}
	var nothing *os.File
	if err := null(&nothing); err != nil {
		return nil, nil, err
	}
	defer nothing.Close()
	attr := &os.ProcAttr{
		Env:   append(os.Environ(), "CONTAINER_ID="+id, "CONTAINER_NAMESPACE="+namespace),
		Files: []*os.File{nothing, nothing, nothing, files[0], files[2], files[5]},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	var p *os.Process
	err = r.during(func() (err error) {
		if p, err = os.StartProcess(u.Path, args, attr); err == nil {
			r.know(p.Pid)
		}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	go func() {
		_, _ = p.Wait()
		r.forget(p.Pid)
	}()
	files[5].Close() // the program has it now, and closes it
	poll := []unix.PollFd{{Fd: int32(files[4].Fd()), Events: unix.POLLIN}}
	n, err := unix.Poll(poll, int(loggerTimeout/time.Millisecond))
	for err == unix.EINTR {
		n, err = unix.Poll(poll, int(loggerTimeout/time.Millisecond))
	}
	if err != nil || n == 0 {
		_ = p.Kill()
		return nil, nil, fmt.Errorf("the logging program %s does not say that it is ready: %w", u.Path, errors.Join(err, unix.ETIMEDOUT))
	}
	return files[1], files[3], nil
}
