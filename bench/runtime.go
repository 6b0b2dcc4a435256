package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const timeout = 20 * time.Second

// runtime is one competitor.
type runtime struct {
	name, path string
	// flags are more flags of run and create.
	flags []string
	floor bool // bench/floor.c, which is no runtime: it can only `run`
}

// sample is one measured command.
type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

// measured runs a command below bench/measure.c.
func (w *workshop) measured(args ...string) (sample, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	report, report2, err := os.Pipe()
	if err != nil {
		return sample{}, err
	}
	defer report.Close()
	cmd := exec.CommandContext(ctx, filepath.Join(w.build, "measure"), args...)
	// A file, not a pipe: a container that goes on would keep a pipe open.
	stderr, err := os.Create(filepath.Join(w.dir, "stderr"))
	if err != nil {
		return sample{}, err
	}
	defer stderr.Close()
	cmd.Stderr = stderr
	cmd.ExtraFiles = []*os.File{report2}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	report2.Close()
	if ctx.Err() != nil {
		return sample{}, fmt.Errorf("no end within %v", timeout)
	}
	if err != nil {
		return sample{}, err
	}
	var wall, user, system, peak int64
	var status syscall.WaitStatus
	if _, err := fmt.Fscan(report, &wall, &user, &system, &peak, &status); err != nil {
		return sample{}, fmt.Errorf("reading the measurement: %w", err)
	}
	if status != 0 {
		return sample{}, failure(status, stderr.Name())
	}
	return sample{time.Duration(wall), time.Duration(user+system) * time.Microsecond, peak << 10}, nil
}

// failure is a failed command's last word.
func failure(status syscall.WaitStatus, stderr string) error {
	text, err := os.ReadFile(stderr)
	if err != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	what := fmt.Sprintf("exit status %d", status.ExitStatus())
	if status.Signaled() {
		what = status.Signal().String()
	}
	return fmt.Errorf("%s: %s", what, lines[len(lines)-1])
}

// command is a runtime's command line; every runtime has a root of its own.
func (w *workshop) command(r *runtime, args ...string) []string {
	return append([]string{r.path, "--root", filepath.Join(w.volatile, "root-"+r.name)}, args...)
}

// quiet runs a command that is not measured.
func (w *workshop) quiet(r *runtime, args ...string) error {
	_, err := w.measured(w.command(r, args...)...)
	return err
}

// run is `run` of /bin/true. memory as for bundle.
func (w *workshop) run(r *runtime, config string, memory int64) (sample, error) {
	if r.floor {
		return w.measured(filepath.Join(w.build, "floor"), config, filepath.Join(w.dir, "rootfs"),
			w.cgroup+"/"+r.name, filepath.Join(w.build, "seccomp.bpf"), strconv.FormatInt(memory, 10), "/bin/true")
	}
	bundle, err := w.bundle(r.name, config, "/bin/true", memory)
	if err != nil {
		return sample{}, err
	}
	s, err := w.measured(w.command(r, append(append([]string{"run", "--bundle", bundle}, r.flags...), "bench-run")...)...)
	if err != nil {
		w.discard(r, "bench-run")
	}
	return s, err
}

// discard removes what a failed command may have left. It may well be nothing, so it reports nothing.
func (w *workshop) discard(r *runtime, id string) {
	_ = w.quiet(r, "delete", "--force", id)
}

// container is one that was created and waits for start.
type container struct {
	w   *workshop
	r   *runtime
	id  string
	pid int
}

func (w *workshop) create(r *runtime, config string) (*container, sample, error) {
	bundle, err := w.bundle(r.name, config, "/bin/pause", 0)
	if err != nil {
		return nil, sample{}, err
	}
	c := &container{w: w, r: r, id: "bench-life"}
	pidFile := filepath.Join(w.dir, "pid")
	args := append([]string{"create", "--bundle", bundle, "--pid-file", pidFile}, r.flags...)
	s, err := w.measured(w.command(r, append(args, c.id)...)...)
	if err != nil {
		w.discard(r, c.id)
		return nil, s, err
	}
	text, err := os.ReadFile(pidFile)
	if err == nil {
		c.pid, err = strconv.Atoi(string(bytes.TrimSpace(text)))
	}
	if err != nil {
		w.discard(r, c.id)
		return nil, s, fmt.Errorf("pid file: %w", err)
	}
	return c, s, nil
}

func (c *container) do(args ...string) (sample, error) {
	return c.w.measured(c.w.command(c.r, args...)...)
}

// end kills the payload and waits for its end, so that `delete` finds a stopped container.
func (c *container) end() error {
	if err := syscall.Kill(c.pid, syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill %d: %w", c.pid, err)
	}
	// The runtime that was its parent is gone: it is ours now (see subreaper).
	for {
		_, err := syscall.Wait4(c.pid, nil, 0, nil)
		if err == nil {
			return nil
		}
		if err != syscall.EINTR {
			return fmt.Errorf("wait for %d: %w", c.pid, err)
		}
	}
}

// subreaper makes orphaned container processes children of this one.
func subreaper() error {
	const prSetChildSubreaper = 36
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return fmt.Errorf("PR_SET_CHILD_SUBREAPER: %w", errno)
	}
	return nil
}
