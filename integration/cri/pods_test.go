package cri

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// env is a daemon, and the runtime class that pods are made with.
type env struct {
	*daemon
	class string
}

// pod is a pod sandbox.
type pod struct {
	env
	t      testing.TB
	id     string
	config *cri.PodSandboxConfig
}

// soon is a context for one call.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

type (
	podOption       = func(*cri.PodSandboxConfig)
	containerOption = func(*cri.ContainerConfig)
)

// tryPod makes a pod. Its containers have PID namespaces of their own, if nothing else is asked for.
func (e env) tryPod(t testing.TB, name string, options ...podOption) (*pod, error) {
	t.Helper()
	config := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "tests"}, LogDirectory: e.dir + "/logs/" + e.class + "/" + name, Hostname: name,
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    engine.Cgroup(name),
			SecurityContext: &cri.LinuxSandboxSecurityContext{NamespaceOptions: &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}},
		},
	}
	for _, o := range options {
		o(config)
	}
	made, err := e.runtime.RunPodSandbox(soon(t), &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: e.class})
	if err != nil {
		return nil, err
	}
	return &pod{e, t, made.PodSandboxId, config}, nil
}

func (e env) pod(t testing.TB, name string, options ...podOption) *pod {
	t.Helper()
	p, err := e.tryPod(t, name, options...)
	engine.Must(t, err)
	return p
}

// remove stops and removes the pod, and the cgroup that the kubelet would have made for it.
func (p *pod) remove() {
	p.t.Helper()
	if _, err := p.runtime.StopPodSandbox(soon(p.t), &cri.StopPodSandboxRequest{PodSandboxId: p.id}); err != nil {
		p.t.Errorf("stop the pod: %v", err)
	}
	if _, err := p.runtime.RemovePodSandbox(soon(p.t), &cri.RemovePodSandboxRequest{PodSandboxId: p.id}); err != nil {
		p.t.Errorf("remove the pod: %v", err)
	}
	if err := removePodCgroup(p.config.Metadata.Name); err != nil {
		p.t.Errorf("the pod leaves %v", err)
	}
}

// removePodCgroup removes a pod's cgroup as the kubelet does: again, while there is something in it, since the end of a pod's own
// container is not waited for by who removes the pod.
func removePodCgroup(name string) (err error) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		err = nil
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + engine.Cgroup(name))
		for _, d := range dirs {
			err = errors.Join(err, os.Remove(d))
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// create creates a container; shell is its command.
func (p *pod) create(name, shell string, options ...containerOption) (string, error) {
	p.t.Helper()
	pod := p.config.Linux.SecurityContext.NamespaceOptions
	config := &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: engine.Busybox},
		Command: []string{"/bin/sh", "-c", shell}, LogPath: name + ".log",
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{},
			SecurityContext: &cri.LinuxContainerSecurityContext{NamespaceOptions: &cri.NamespaceOption{
				Network: pod.Network, Pid: pod.Pid, Ipc: pod.Ipc, UsernsOptions: pod.UsernsOptions,
			}},
		},
	}
	for _, o := range options {
		o(config)
	}
	made, err := p.runtime.CreateContainer(soon(p.t), &cri.CreateContainerRequest{PodSandboxId: p.id, Config: config, SandboxConfig: p.config})
	return made.GetContainerId(), err
}

// try creates and starts a container.
func (p *pod) try(name, shell string, options ...containerOption) (string, error) {
	p.t.Helper()
	id, err := p.create(name, shell, options...)
	if err == nil {
		_, err = p.runtime.StartContainer(soon(p.t), &cri.StartContainerRequest{ContainerId: id})
	}
	return id, err
}

// start creates and starts a container that works.
func (p *pod) start(name, shell string, options ...containerOption) string {
	p.t.Helper()
	id, err := p.try(name, shell, options...)
	engine.Must(p.t, err)
	return id
}

// sleeper starts a container that waits.
func (p *pod) sleeper(name string, options ...containerOption) string {
	p.t.Helper()
	return p.start(name, "exec sleep 1000", options...)
}

// execute runs a shell's command in a container.
func (p *pod) execute(id, shell string) (*cri.ExecSyncResponse, error) {
	return p.runtime.ExecSync(soon(p.t), &cri.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", shell}, Timeout: 20})
}

// exec runs one that is to work, and returns what it prints.
func (p *pod) exec(id, shell string) string {
	p.t.Helper()
	r, err := p.execute(id, shell)
	engine.Must(p.t, err)
	if r.ExitCode != 0 {
		p.t.Fatalf("%s: exit status %d: %s%s", shell, r.ExitCode, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(string(r.Stdout))
}

// refuses checks that a command does not work, for a reason.
func (p *pod) refuses(id, shell, reason string) {
	p.t.Helper()
	r, err := p.execute(id, shell)
	engine.Must(p.t, err)
	if r.ExitCode == 0 || !strings.Contains(string(r.Stderr), reason) {
		p.t.Errorf("%s: exit status %d: %s%s", shell, r.ExitCode, r.Stdout, r.Stderr)
	}
}

// prints checks what a command prints.
func (p *pod) prints(id, shell, want string) {
	p.t.Helper()
	if err := same(p.exec(id, shell), want); err != nil {
		p.t.Errorf("%s: %v", shell, err)
	}
}

func (e env) status(t testing.TB, id string) *cri.ContainerStatus {
	t.Helper()
	s, err := e.runtime.ContainerStatus(soon(t), &cri.ContainerStatusRequest{ContainerId: id})
	engine.Must(t, err)
	return s.Status
}

// ended waits until a container has ended.
func (p *pod) ended(id string) *cri.ContainerStatus {
	p.t.Helper()
	var s *cri.ContainerStatus
	engine.Eventually(p.t, "the container ends", func() error {
		if s = p.status(p.t, id); s.State != cri.ContainerState_CONTAINER_EXITED {
			return fmt.Errorf("it is %s", s.State)
		}
		return nil
	})
	return s
}

// log returns what a container has printed.
func (p *pod) log(name string) string {
	b, _ := os.ReadFile(p.config.LogDirectory + "/" + name + ".log")
	var text strings.Builder
	for line := range strings.Lines(string(b)) {
		if f := strings.SplitN(line, " ", 4); len(f) == 4 {
			text.WriteString(f[3])
		}
	}
	return text.String()
}

// pidOf returns the process ID of a container's init.
func (e env) pidOf(t testing.TB, id string) int {
	t.Helper()
	text := e.crictl(t, "inspect", "-o", "go-template", "--template", "{{.info.pid}}", id)
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	engine.Must(t, err)
	return pid
}

func (p *pod) ip() string {
	p.t.Helper()
	s, err := p.runtime.PodSandboxStatus(soon(p.t), &cri.PodSandboxStatusRequest{PodSandboxId: p.id})
	engine.Must(p.t, err)
	return s.Status.Network.Ip
}

// namespaces returns the options of a pod with these modes.
func namespaces(network, pid, ipc cri.NamespaceMode) podOption {
	return func(c *cri.PodSandboxConfig) {
		c.Linux.SecurityContext.NamespaceOptions = &cri.NamespaceOption{Network: network, Pid: pid, Ipc: ipc}
		if network == nodeMode {
			c.Hostname = "" // that is the machine's
		}
	}
}

// secured changes a container's security context.
func secured(change func(*cri.LinuxContainerSecurityContext)) containerOption {
	return func(c *cri.ContainerConfig) { change(c.Linux.SecurityContext) }
}

// mounted adds a mount to a container.
func mounted(m *cri.Mount) containerOption {
	return func(c *cri.ContainerConfig) { c.Mounts = append(c.Mounts, m) }
}

// images returns the archives of the images of the checks.
func images(t *testing.T) []string {
	dir := t.TempDir()
	return []string{
		engine.BusyboxImageWith(t, dir+"/pause.tar", pauseImage, nil, map[string]any{"Cmd": idle}),
		engine.BusyboxImageWith(t, dir+"/busybox.tar", engine.Busybox, extras(t), nil),
	}
}

// TestPods makes the checks with each runtime class under the newest daemon.
func TestPods(t *testing.T) {
	testPods(t, newest(t), "cri", classes(t), slices.Concat(podChecks, userChecks, daemonChecks))
}

// TestPodsDebian makes them under Debian's, which knows nothing of user namespaces for pods and of recursive read-only mounts.
func TestPodsDebian(t *testing.T) {
	list, checks := classes(t), slices.Concat(podChecks, daemonChecks)
	if os.Getenv(wholeVariable) == "" {
		list = slices.DeleteFunc(list, func(r engine.Runtime) bool { return r.Name == binaryClass })
		checks = slices.DeleteFunc(checks, func(c engine.Check[env]) bool { return c.Name == manyPods })
	}
	testPods(t, debians(t), "cri 1.6", list, checks)
}

func testPods(t *testing.T, d *daemon, name string, list []engine.Runtime, checks []engine.Check[env]) {
	binary := engine.Bin(t) + "/bailey"
	for _, r := range list {
		if r.Name == binaryClass {
			binary = r.Path
		}
	}
	d.run(t, binary, append(images(t), engine.DebianImage(t, t.TempDir()))...)
	engine.Run(t, name, list,
		func(t *testing.T, r engine.Runtime) env { return env{d, r.Name} },
		func(t testing.TB, e env) engine.Inventory { return e.inventory(t) }, checks)
}
