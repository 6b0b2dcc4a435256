package docker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	image  = engine.Busybox
	client = "/usr/bin/docker"
)

// version is a Docker that there is.
type version struct {
	name    string
	dockerd string
	env     []string
	// notFound is the exit status of docker exec where there is no such program.
	notFound int
	// restores says that docker start --checkpoint works: of 29 it does not, with any runtime ("content already exists").
	restores bool
	// endedMeanwhile is the exit status of a container that has exited with 9 while there was no daemon: 29 loses it, with any runtime.
	endedMeanwhile string
}

var debian = version{"docker 20.10", "/usr/sbin/dockerd", nil, 126, true, "9"}

// daemon is a dockerd of the test's own.
type daemon struct {
	version
	dir      string
	settings map[string]any // of its daemon.json
	process  *exec.Cmd
}

// newDaemon starts a daemon whose default runtime is this one, with an image, and ends it with the test.
func newDaemon(t testing.TB, v version, r engine.Runtime, settings map[string]any) *daemon {
	t.Helper()
	engine.Built(t)
	engine.Need(t, client)
	engine.Need(t, v.dockerd)
	// The filesystem of /var/lib, and not that of temporary files, which may be an overlay.
	dir, err := os.MkdirTemp("/var/lib", "docker-")
	engine.Must(t, err)
	engine.Must(t, os.Chmod(dir, 0o711)) // root of a user namespace is another user
	d := &daemon{version: v, dir: dir}
	d.settings = map[string]any{
		"data-root": dir + "/data", "exec-root": dir + "/exec", "pidfile": dir + "/pid", "hosts": []string{"unix://" + dir + "/socket"},
		"runtimes": map[string]any{r.Name + "-tested": map[string]any{"path": r.Path}}, "default-runtime": r.Name + "-tested",
		"cgroup-parent": engine.Cgroup(), "bip": "172.30.0.1/24", "experimental": true, "shutdown-timeout": 2,
		// More cannot be had without CAP_SYS_RESOURCE.
		"default-ulimits": map[string]any{"nofile": map[string]any{"Name": "nofile", "Hard": 20000, "Soft": 20000}},
	}
	if strings.HasPrefix(r.Path, "io.containerd.") {
		d.settings["runtimes"] = map[string]any{r.Name + "-tested": map[string]any{"runtimeType": r.Path}}
	}
	maps.Copy(d.settings, settings)
	d.start(t)
	t.Cleanup(func() {
		thaw()
		d.stop()
		engine.TellLog(t, d.dir+"/log")
		_ = os.RemoveAll(d.dir)
	})
	d.docker(t, "load", "-i", engine.BusyboxImage(t, t.TempDir()))
	// What stays of the first container, for others to come, is there before anything is counted.
	d.docker(t, "run", "--rm", "--network=none", image, "true")
	if d.settings["userns-remap"] == nil {
		d.docker(t, "run", "--rm", "--network=host", image, "true")
	}
	return d
}

// start starts the daemon and waits until it answers.
func (d *daemon) start(t testing.TB) {
	t.Helper()
	b, err := json.Marshal(d.settings)
	engine.Must(t, err)
	engine.Must(t, os.WriteFile(d.dir+"/daemon.json", b, 0o600))
	log, err := os.OpenFile(d.dir+"/log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	engine.Must(t, err)
	defer log.Close()
	d.process = exec.Command(d.dockerd, "--config-file", d.dir+"/daemon.json")
	d.process.Dir, d.process.Stdout, d.process.Stderr = d.dir, log, log
	d.process.Env = append(append(os.Environ(), "HOME="+d.dir), d.env...)
	engine.Must(t, d.process.Start())
	engine.Eventually(t, "the daemon answers", func() error {
		out, status := d.try("version")
		if status != 0 {
			log, _ := os.ReadFile(d.dir + "/log")
			return fmt.Errorf("%s\n%s", out, log)
		}
		return nil
	})
}

// stop ends the daemon as an init does, with what belongs to it.
func (d *daemon) stop() {
	if d.process == nil {
		return
	}
	_ = d.process.Process.Signal(syscall.SIGTERM)
	_ = d.process.Wait()
	d.process = nil
}

// killed ends the daemon by SIGKILL, and with it its containerd, which is then a child of the sandbox's first process: the test's.
func (d *daemon) killed() {
	b, _ := os.ReadFile(d.dir + "/exec/containerd/containerd.pid")
	_ = d.process.Process.Kill()
	_ = d.process.Wait()
	d.process = nil
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
}

// thaw ends the pause of all containers: one that is frozen outlives the sandbox.
func thaw() {
	for state, pattern := range map[string]string{"THAWED": "/sys/fs/cgroup/freezer" + engine.Cgroup("*", "freezer.state"), "0": "/sys/fs/cgroup" + engine.Cgroup("*", "cgroup.freeze")} {
		files, _ := filepath.Glob(pattern)
		for _, f := range files {
			_ = os.WriteFile(f, []byte(state), 0)
		}
	}
}

// command returns a call of Docker's client.
func (d *daemon) command(args ...string) *exec.Cmd {
	cmd := exec.Command(client, args...)
	cmd.Env = append(os.Environ(), "HOME="+d.dir, "DOCKER_HOST=unix://"+d.dir+"/socket", "DOCKER_BUILDKIT=0")
	return cmd
}

// finish runs a command, for a minute at most.
func finish(cmd *exec.Cmd) error {
	if err := cmd.Start(); err != nil {
		return err
	}
	defer time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }).Stop()
	return cmd.Wait()
}

// docker returns what a command prints that is to work, without what it warns of.
func (d *daemon) docker(t testing.TB, args ...string) string {
	t.Helper()
	cmd := d.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := finish(cmd); err != nil {
		t.Fatalf("docker %s: %v: %s%s", strings.Join(args, " "), err, out.String(), errs.String())
	}
	return strings.TrimSpace(out.String())
}

// try returns all that a command prints, and its exit status.
func (d *daemon) try(args ...string) (string, int) {
	cmd := d.command(args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := finish(cmd); cmd.ProcessState == nil {
		return err.Error(), -1
	}
	return strings.TrimSpace(out.String()), cmd.ProcessState.ExitCode()
}

// run returns what a container without a network prints.
func (d *daemon) run(t testing.TB, args ...string) string {
	t.Helper()
	return d.docker(t, append([]string{"run", "--rm", "--network=none"}, args...)...)
}

// up starts a container without a network that stays.
func (d *daemon) up(t testing.TB, name string, args ...string) {
	t.Helper()
	d.docker(t, append([]string{"run", "-d", "--network=none", "--name", name}, args...)...)
}

// down removes a container that may run, with its volumes.
func (d *daemon) down(t testing.TB, names ...string) {
	t.Helper()
	d.docker(t, append([]string{"rm", "-f", "-v"}, names...)...)
}

// inspect returns a part of what is known of a container.
func (d *daemon) inspect(t testing.TB, name, format string) string {
	t.Helper()
	return d.docker(t, "inspect", "-f", "{{"+format+"}}", name)
}

// exec returns what a command in a container prints.
func (d *daemon) exec(t testing.TB, name string, args ...string) string {
	t.Helper()
	return d.docker(t, append([]string{"exec", name}, args...)...)
}

// becomes waits until what is known of a container is this.
func (d *daemon) becomes(t testing.TB, name, format, want string) {
	t.Helper()
	engine.Eventually(t, name+" "+format+" is "+want, func() error {
		if got := d.inspect(t, name, format); got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// pid returns the process ID of a container's first process.
func (d *daemon) pid(t testing.TB, name string) string {
	t.Helper()
	return d.inspect(t, name, ".State.Pid")
}

// left tells what containers leave if they leave something.
func (d *daemon) left(t testing.TB) engine.Inventory {
	t.Helper()
	lives := func(command string) bool {
		switch filepath.Base(strings.Fields(command)[0]) {
		case "dockerd", "containerd":
			return true
		}
		return false
	}
	return engine.TakeInventory(t, lives, d.dir+"/exec/runtime-*/moby/*", d.dir+"/exec/runtimes/*/moby/*",
		d.dir+"/exec/containerd/daemon/io.containerd.runtime.v2.task/moby/*", d.dir+"/data/containers/*", d.dir+"/data/volumes/*", "/run/containerd/s/*", "/run/containerd/bailey/moby/[^@]*", "/run/bailey/*")
}

// purge removes what a check has left that has failed.
func (d *daemon) purge() {
	if out, status := d.try("ps", "-aq"); status == 0 && out != "" {
		_, _ = d.try(append([]string{"rm", "-f", "-v"}, strings.Fields(out)...)...)
	}
}

// want fails a check where something is not as it is to be.
func want[T comparable](c testing.TB, what string, got, want T) {
	c.Helper()
	if got != want {
		c.Errorf("%s: %v, want %v", what, got, want)
	}
}

// has fails a check where a text lacks a part.
func has(c testing.TB, what, text string, parts ...string) {
	c.Helper()
	for _, part := range parts {
		if err := engine.Contains(text, part); err != nil {
			c.Errorf("%s: %v", what, err)
		}
	}
}

// readCgroup returns what a file of a process's cgroup says.
func readCgroup(t testing.TB, pid, controller, file string) string {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/cgroup")
	engine.Must(t, err)
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if parts[1] == controller {
			text, err := os.ReadFile("/sys/fs/cgroup/" + controller + "/" + parts[2] + "/" + file)
			engine.Must(t, err)
			return strings.TrimSpace(string(text))
		}
	}
	t.Fatalf("process %s has no cgroup of %q", pid, controller)
	return ""
}

// account adds a user with subordinate IDs to the sandbox's /etc.
func account(t testing.TB, name string, first int) {
	t.Helper()
	ids := fmt.Sprintf("%s:%d:65536\n", name, first)
	for file, line := range map[string]string{
		"passwd": name + ":x:61234:61234::/:/bin/false\n", "group": name + ":x:61234:\n", "subuid": ids, "subgid": ids,
	} {
		b, err := os.ReadFile("/etc/" + file)
		engine.Must(t, err)
		if !strings.Contains(string(b), line) {
			engine.Must(t, os.WriteFile("/etc/"+file, append(b, line...), 0o644))
		}
	}
}

// outside returns the user ID that a process has for the machine.
func outside(t testing.TB, pid string) string {
	t.Helper()
	return fmt.Sprint(ownerOf(t, "/proc/"+pid))
}

// ownerOf returns the owner of a file.
func ownerOf(t testing.TB, path string) int {
	t.Helper()
	st, err := os.Stat(path)
	engine.Must(t, err)
	return int(st.Sys().(*syscall.Stat_t).Uid)
}
