package cri

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

const (
	nodeMode      = cri.NamespaceMode_NODE
	podMode       = cri.NamespaceMode_POD
	containerMode = cri.NamespaceMode_CONTAINER
)

const manyPods = "thirty pods, ten at a time"

// podChecks are what the kubelet does with pods, and what payloads see of it.
var podChecks = []engine.Check[env]{
	{Name: "containers share namespaces and one shim", Do: func(c *engine.C, e env) {
		p := e.pod(c, "shared", namespaces(podMode, podMode, podMode))
		defer p.remove()
		a := p.start("a", "mkdir /tmp/www; echo hello >/tmp/www/index.html; httpd -f -p 8080 -h /tmp/www")
		b := p.sleeper("b")
		for _, kind := range []string{"net", "ipc", "pid", "uts"} {
			p.prints(b, "readlink /proc/self/ns/"+kind, p.exec(a, "readlink /proc/self/ns/"+kind))
		}
		if p.exec(a, "readlink /proc/self/ns/mnt") == p.exec(b, "readlink /proc/self/ns/mnt") {
			c.Error("they share a mount namespace")
		}
		p.prints(b, "hostname", "shared")
		engine.Eventually(c, "b reaches a's port", func() error {
			r, err := p.execute(b, "wget -qO- http://127.0.0.1:8080/")
			if err != nil {
				return err
			}
			return engine.Contains(string(r.Stdout), "hello")
		})
		p.prints(b, "pidof httpd >/dev/null && echo seen", "seen")
		p.exec(b, "kill $(pidof httpd)")
		p.ended(a)
		if shims := engine.Shims(p.t, p.id); len(shims) != 1 || len(engine.Shims(c)) != 1 {
			c.Errorf("the pod has the shims %v, of %d", shims, len(engine.Shims(c)))
		}
	}},
	{Name: "containers have PID namespaces of their own", Do: func(c *engine.C, e env) {
		p := e.pod(c, "apart")
		defer p.remove()
		a, b := p.sleeper("a"), p.sleeper("b")
		if p.exec(a, "readlink /proc/1/ns/pid") == p.exec(b, "readlink /proc/1/ns/pid") {
			c.Error("they share a PID namespace")
		}
		p.prints(a, "cat /proc/1/comm", "sleep")
	}},
	{Name: "namespaces of the machine", Do: func(c *engine.C, e env) {
		p := e.pod(c, "node", namespaces(nodeMode, nodeMode, nodeMode))
		defer p.remove()
		a := p.sleeper("a")
		for _, kind := range []string{"net", "pid", "ipc"} {
			own, err := os.Readlink("/proc/self/ns/" + kind)
			engine.Must(c, err)
			p.prints(a, "readlink /proc/self/ns/"+kind, own)
		}
		p.prints(a, "test -d /proc/"+strconv.Itoa(os.Getpid())+" && echo seen", "seen")
	}},
	{Name: "exec: status, streams, time limit", Do: func(c *engine.C, e env) {
		p := e.pod(c, "execs")
		defer p.remove()
		a := p.sleeper("a")
		r, err := p.execute(a, "echo out; echo err >&2; exit 3")
		engine.Must(c, err)
		if r.ExitCode != 3 || string(r.Stdout) != "out\n" || string(r.Stderr) != "err\n" {
			c.Errorf("%v", r)
		}
		_, err = e.runtime.ExecSync(soon(c), &cri.ExecSyncRequest{ContainerId: a, Cmd: []string{"/bin/sleep", "321"}, Timeout: 1})
		if err == nil || !strings.Contains(err.Error(), "timeout 1s exceeded") {
			c.Errorf("a command that takes too long: %v", err)
		}
		p.prints(a, "pidof sleep | wc -w", "1")
		_, err = e.runtime.ExecSync(soon(c), &cri.ExecSyncRequest{ContainerId: a, Cmd: []string{"/none"}})
		if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
			c.Errorf("a program that is not there: %v", err)
		}
	}},
	{Name: "exec, attach and port-forward with streams", Do: func(c *engine.C, e env) {
		p := e.pod(c, "streams")
		defer p.remove()
		a := p.start("a", "mkdir /tmp/www; echo hello >/tmp/www/index.html; httpd -p 80 -h /tmp/www; while read l; do echo got $l; done", func(c *cri.ContainerConfig) { c.Stdin = true })
		stream := func(input string, args ...string) string {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, engine.Built(c)+"/crictl", append([]string{"-r", "unix://" + e.socket()}, args...)...)
			cmd.Stdin = strings.NewReader(input)
			out, err := cmd.Output()
			if err != nil {
				c.Errorf("crictl %v: %v: %s", args, err, out)
			}
			return string(out)
		}
		if err := engine.Contains(stream("ping\n", "exec", "-i", a, "/bin/sh", "-c", "read x; echo $x pong"), "ping pong"); err != nil {
			c.Error(err)
		}
		in := strings.Repeat("0123456789abcdef", 1<<15)
		if out := stream(in, "exec", "-i", a, "/bin/cat"); out != in {
			c.Errorf("%d bytes of %d come back", len(out), len(in))
		}
		attach := exec.Command(engine.Built(c)+"/crictl", "-r", "unix://"+e.socket(), "attach", "-i", a)
		in1, err := attach.StdinPipe()
		engine.Must(c, err)
		var out bytes.Buffer
		attach.Stdout = &out
		engine.Must(c, attach.Start())
		defer func() { _ = attach.Process.Kill(); _ = attach.Wait() }()
		_, err = in1.Write([]byte("line\n"))
		engine.Must(c, err)
		engine.Eventually(c, "the container gets what is typed", func() error { return engine.Contains(p.log("a"), "got line") })
		forward := exec.Command(engine.Built(c)+"/crictl", "-r", "unix://"+e.socket(), "port-forward", p.id, "18080:80")
		engine.Must(c, forward.Start())
		defer func() { _ = forward.Process.Kill(); _ = forward.Wait() }()
		engine.Serves(c, "http://127.0.0.1:18080/", "hello")
	}},
	{Name: "a hundred exec probes leave nothing", Do: func(c *engine.C, e env) {
		p := e.pod(c, "probes")
		defer p.remove()
		a := p.sleeper("a")
		shim := engine.Shims(p.t, p.id)[0]
		probe := func() time.Duration {
			begin := time.Now()
			p.exec(a, "exit 0")
			return time.Since(begin)
		}
		for range 5 {
			probe()
		}
		before := engine.Descriptors(c, shim)
		var took []time.Duration
		for range 100 {
			took = append(took, probe())
		}
		engine.Eventually(c, "the shim has as many descriptors as before", func() error {
			if n := engine.Descriptors(c, shim); n > before {
				return fmt.Errorf("%d, and %d before", n, before)
			}
			return nil
		})
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", shim, shim))
		engine.Must(c, err)
		if n := len(strings.Fields(string(children))); n > 2 {
			c.Errorf("the shim has %d children: %s", n, children)
		}
		slices.Sort(took)
		engine.Tell(c, fmt.Sprintf("cri (%s): an exec probe with %s takes %d ms (median)\n", engine.View(), e.class, took[50].Milliseconds()))
	}},
	{Name: "figures of containers and pods", Do: func(c *engine.C, e env) {
		p := e.pod(c, "figures")
		defer p.remove()
		a := p.start("a", "i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; dd if=/dev/zero of=/tmp/x bs=1M count=4; exec sleep 1000")
		p.prints(a, "wget -qO- http://127.0.0.1/ 2>/dev/null; echo done", "done")
		engine.Eventually(c, "the container has used something", func() error {
			s, err := e.runtime.ContainerStats(soon(c), &cri.ContainerStatsRequest{ContainerId: a})
			if err != nil {
				return err
			}
			if s.Stats.GetCpu().GetUsageCoreNanoSeconds().GetValue() < 1e6 || s.Stats.GetMemory().GetWorkingSetBytes().GetValue() < 100<<10 {
				return errors.New(s.Stats.String())
			}
			return nil
		})
		s, err := e.runtime.PodSandboxStats(soon(c), &cri.PodSandboxStatsRequest{PodSandboxId: p.id})
		engine.Must(c, err)
		linux := s.Stats.Linux
		if len(linux.Containers) != 1 || linux.GetProcess().GetProcessCount().GetValue() == 0 || linux.GetMemory().GetUsageBytes().GetValue() == 0 ||
			linux.GetNetwork().GetDefaultInterface().GetName() != "eth0" {
			c.Errorf("%v", linux)
		}
	}},
	{Name: "resources are limited and updated", Do: func(c *engine.C, e env) {
		p := e.pod(c, "limits")
		defer p.remove()
		a := p.sleeper("a", func(c *cri.ContainerConfig) {
			c.Linux.Resources = &cri.LinuxContainerResources{CpuShares: 512, CpuQuota: 20000, CpuPeriod: 100000, MemoryLimitInBytes: 64 << 20}
		})
		has := func(controller, file, want string) {
			b, err := os.ReadFile("/sys/fs/cgroup/" + controller + engine.Cgroup("limits", a, file))
			if err := errors.Join(err, same(strings.TrimSpace(string(b)), want)); err != nil {
				c.Errorf("%s: %v", file, err)
			}
		}
		has("cpu", "cpu.shares", "512")
		has("cpu", "cpu.cfs_quota_us", "20000")
		has("memory", "memory.limit_in_bytes", strconv.Itoa(64<<20))
		_, err := e.runtime.UpdateContainerResources(soon(c), &cri.UpdateContainerResourcesRequest{ContainerId: a, Linux: &cri.LinuxContainerResources{
			CpuShares: 256, CpuQuota: 40000, MemoryLimitInBytes: 32 << 20, CpusetCpus: "0",
		}})
		engine.Must(c, err)
		has("cpu", "cpu.shares", "256")
		has("cpu", "cpu.cfs_quota_us", "40000")
		has("memory", "memory.limit_in_bytes", strconv.Itoa(32<<20))
		has("cpuset", "cpuset.cpus", "0")
	}},
	{Name: "logs are rotated", Do: func(c *engine.C, e env) {
		p := e.pod(c, "logs")
		defer p.remove()
		a := p.start("a", "i=0; while :; do echo line $i; i=$((i+1)); sleep 0.02; done")
		path := p.config.LogDirectory + "/a.log"
		engine.Eventually(c, "there are lines", func() error { return engine.Contains(p.log("a"), "line 5") })
		engine.Must(c, os.Rename(path, path+".1"))
		_, err := e.runtime.ReopenContainerLog(soon(c), &cri.ReopenContainerLogRequest{ContainerId: a})
		engine.Must(c, err)
		engine.Eventually(c, "there are lines again", func() error { return engine.Contains(p.log("a"), "line ") })
		_, err = e.runtime.StopContainer(soon(c), &cri.StopContainerRequest{ContainerId: a})
		engine.Must(c, err)
		old, err := os.ReadFile(path + ".1")
		engine.Must(c, err)
		b, err := os.ReadFile(path)
		engine.Must(c, err)
		for i, line := range strings.Split(strings.TrimSpace(string(old)+string(b)), "\n") {
			if !strings.HasSuffix(line, fmt.Sprintf(" line %d", i)) {
				c.Fatalf("line %d is %q", i, line)
			}
		}
	}},
	{Name: "a grace period to stop", Do: func(c *engine.C, e env) {
		p := e.pod(c, "grace")
		defer p.remove()
		kind := p.start("kind", "trap 'sleep 0.3; exit 7' TERM; while :; do sleep 0.05; done")
		deaf := p.start("deaf", "trap '' TERM; while :; do sleep 1; done")
		engine.Eventually(c, "both catch signals", func() error {
			for _, id := range []string{kind, deaf} {
				if p.exec(id, "grep -E 'Sig(Ign|Cgt):.*4...$' /proc/1/status | wc -l") != "1" {
					return errors.New("not yet")
				}
			}
			return nil
		})
		stop := func(id string, grace int64) time.Duration {
			begin := time.Now()
			_, err := e.runtime.StopContainer(soon(c), &cri.StopContainerRequest{ContainerId: id, Timeout: grace})
			engine.Must(c, err)
			return time.Since(begin)
		}
		if took, s := stop(kind, 20), p.ended(kind); s.ExitCode != 7 || took > 10*time.Second {
			c.Errorf("%v: %v", took, s)
		}
		if took, s := stop(deaf, 1), p.ended(deaf); s.ExitCode != 137 || took < time.Second || took > 10*time.Second {
			c.Errorf("%v: %v", took, s)
		}
	}},
	{Name: "lack of memory is told", Do: func(c *engine.C, e env) {
		p := e.pod(c, "memory")
		defer p.remove()
		a := p.start("a", "tail /dev/zero", func(c *cri.ContainerConfig) { c.Linux.Resources.MemoryLimitInBytes = 16 << 20 })
		if s := p.ended(a); s.ExitCode != 137 || s.Reason != "OOMKilled" {
			c.Errorf("%v", s)
		}
		b := p.start("b", "exit 1")
		if s := p.ended(b); s.Reason != "Error" {
			c.Errorf("%v", s)
		}
		// The daemon asks for figures when a container has ended.
		log, err := os.ReadFile(e.dir + "/log")
		engine.Must(c, err)
		for line := range strings.Lines(string(log)) {
			if strings.Contains(line, "if oom event occurred") && (strings.Contains(line, a) || strings.Contains(line, b)) {
				c.Error(line)
			}
		}
	}},
	{Name: "seccomp profiles", Do: func(c *engine.C, e env) {
		p := e.pod(c, "seccomp")
		defer p.remove()
		profile := e.dir + "/seccomp.json"
		engine.Must(c, os.WriteFile(profile, []byte(`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}`), 0o644))
		with := func(name string, kind cri.SecurityProfile_ProfileType, file string) string {
			return p.sleeper(name, secured(func(s *cri.LinuxContainerSecurityContext) {
				s.Seccomp = &cri.SecurityProfile{ProfileType: kind, LocalhostRef: file}
			}))
		}
		usual, open, own := with("usual", cri.SecurityProfile_RuntimeDefault, ""), with("open", cri.SecurityProfile_Unconfined, ""), with("own", cri.SecurityProfile_Localhost, profile)
		for id, mode := range map[string]string{usual: "2", open: "0", own: "2"} {
			p.prints(id, "awk '/^Seccomp:/ {print $2}' /proc/self/status", mode)
		}
		p.refuses(usual, "unshare -U true", "Operation not permitted")
		p.exec(open, "unshare -U true")
		p.refuses(own, "mkdir /tmp/d", "Operation not permitted")
		p.exec(usual, "mkdir /tmp/d")
	}},
	{Name: "capabilities, users and groups", Do: func(c *engine.C, e env) {
		p := e.pod(c, "rights")
		defer p.remove()
		a := p.sleeper("a", secured(func(s *cri.LinuxContainerSecurityContext) {
			s.Capabilities = &cri.Capability{DropCapabilities: []string{"ALL"}, AddCapabilities: []string{"NET_ADMIN", "CHOWN"}}
		}))
		for _, set := range []string{"CapEff", "CapPrm", "CapBnd"} {
			p.prints(a, "awk '/^"+set+":/ {print $2}' /proc/1/status", "0000000000001001")
		}
		p.prints(a, "awk '/^Cap(Inh|Amb):/ {print $2}' /proc/1/status | sort -u", "0000000000000000")
		b := p.sleeper("b", secured(func(s *cri.LinuxContainerSecurityContext) {
			s.RunAsUser, s.RunAsGroup, s.SupplementalGroups = &cri.Int64Value{Value: 1000}, &cri.Int64Value{Value: 2000}, []int64{3000, 4000}
			s.NoNewPrivs = true
		}))
		p.prints(b, "id -u; id -g; id -G", "1000\n2000\n2000 3000 4000 50000")
		p.prints(b, "awk '/^NoNewPrivs:/ {print $2}' /proc/1/status", "1")
		p.prints(b, "awk '/^CapEff:/ {print $2}' /proc/1/status", "0000000000000000")
	}},
	{Name: "read-only, masked", Do: func(c *engine.C, e env) {
		p := e.pod(c, "closed")
		defer p.remove()
		volume := c.TempDir()
		a := p.sleeper("a", secured(func(s *cri.LinuxContainerSecurityContext) {
			s.ReadonlyRootfs, s.MaskedPaths, s.ReadonlyPaths = true, []string{"/etc/group", "/proc/keys", "/sys/firmware"}, []string{"/proc/sys", "/proc/irq"}
		}), mounted(&cri.Mount{HostPath: volume, ContainerPath: "/volume"}))
		p.refuses(a, "touch /x", "Read-only file system")
		p.exec(a, "touch /volume/x")
		p.prints(a, "cat /etc/group; ls /sys/firmware | wc -l", "0")
		p.refuses(a, "echo 1 >/proc/sys/kernel/shm_rmid_forced", "Read-only file system")
		if !engine.Exists(volume + "/x") {
			c.Error("the volume has no file")
		}
	}},
	{Name: "kernel parameters", Do: func(c *engine.C, e env) {
		p := e.pod(c, "sysctls", func(c *cri.PodSandboxConfig) {
			c.Linux.Sysctls = map[string]string{"net.ipv4.ip_local_port_range": "20000 30000", "kernel.shm_rmid_forced": "1"}
		})
		defer p.remove()
		a := p.sleeper("a")
		p.prints(a, "cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/shm_rmid_forced", "20000\t30000\n1")
	}},
	{Name: "privileged", Do: func(c *engine.C, e env) {
		p := e.pod(c, "privileged", func(c *cri.PodSandboxConfig) { c.Linux.SecurityContext.Privileged = true })
		defer p.remove()
		a := p.sleeper("a", secured(func(s *cri.LinuxContainerSecurityContext) { s.Privileged = true }))
		p.exec(a, "mkdir /tmp/m && mount -t tmpfs none /tmp/m && echo x >/tmp/m/x")
		p.exec(a, "test -c /dev/fuse && exec 3<>/dev/fuse")
		p.exec(a, "cat /proc/sys/kernel/shm_rmid_forced >/tmp/v; cat /tmp/v >/proc/sys/kernel/shm_rmid_forced")
	}},
	{Name: "a container that ends is started again", Do: func(c *engine.C, e env) {
		p := e.pod(c, "again")
		defer p.remove()
		volume := c.TempDir()
		for attempt := range uint32(5) {
			id := p.start("a", "echo $((1 + $(cat /volume/n 2>/dev/null || echo 0))) >/volume/n; exit $(cat /volume/n)",
				mounted(&cri.Mount{HostPath: volume, ContainerPath: "/volume"}), func(c *cri.ContainerConfig) { c.Metadata.Attempt = attempt })
			if s := p.ended(id); s.ExitCode != int32(attempt)+1 {
				c.Errorf("attempt %d: %v", attempt, s)
			}
			_, err := e.runtime.RemoveContainer(soon(c), &cri.RemoveContainerRequest{ContainerId: id})
			engine.Must(c, err)
		}
		_, err := p.try("b", "", func(c *cri.ContainerConfig) { c.Command = []string{"/no/such/program"} })
		if err == nil || !strings.Contains(err.Error(), "no such file or directory") {
			c.Errorf("a program that is not there: %v", err)
		}
	}},
	{Name: "nginx and redis serve another pod", Do: func(c *engine.C, e env) {
		debian := func(c *cri.ContainerConfig) { c.Image.Image = engine.Debian }
		server, client := e.pod(c, "server"), e.pod(c, "client")
		defer server.remove()
		defer client.remove()
		nginx := server.start("nginx", "exec nginx -g 'daemon off;'", debian)
		redis := server.start("redis", "exec redis-server --protected-mode no --bind 0.0.0.0 --save '' --dir /tmp", debian)
		a := client.sleeper("a", debian)
		address := server.ip()
		engine.Eventually(c, "redis answers", func() error {
			r, err := client.execute(a, "redis-cli -h "+address+" set key value")
			if err != nil {
				return err
			}
			return engine.Contains(string(r.Stdout), "OK")
		})
		client.prints(a, "redis-cli -h "+address+" get key", "value")
		engine.Serves(c, "http://"+address+"/", "Welcome to nginx")
		b := client.sleeper("b")
		client.prints(b, "wget -qO- http://"+address+"/ | grep -c '<h1>Welcome to nginx'", "1")
		// Its workers end with it.
		for id, want := range map[string]int32{nginx: 0, redis: 0} {
			_, err := e.runtime.StopContainer(soon(c), &cri.StopContainerRequest{ContainerId: id, Timeout: 10})
			engine.Must(c, err)
			if s := server.ended(id); s.ExitCode != want {
				c.Errorf("%v", s)
			}
		}
	}},
	{Name: manyPods, Do: func(c *engine.C, e env) {
		begin := time.Now()
		engine.Parallel(30, func(i int) {
			if err := e.life(fmt.Sprintf("many%d", i)); err != nil {
				c.Error(err)
			}
		})
		engine.Tell(c, fmt.Sprintf("cri (%s): 30 pods of two containers with %s, ten at a time, take %.1f s\n", engine.View(), e.class, time.Since(begin).Seconds()))
	}},
}

// life makes a pod with two containers, executes something in each, and removes it.
func (e env) life(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	config := &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "tests"},
		Linux:    &cri.LinuxPodSandboxConfig{CgroupParent: engine.Cgroup(name)},
	}
	made, err := e.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: config, RuntimeHandler: e.class})
	if err != nil {
		return err
	}
	use := func(container string) error {
		made, err := e.runtime.CreateContainer(ctx, &cri.CreateContainerRequest{PodSandboxId: made.PodSandboxId, SandboxConfig: config, Config: &cri.ContainerConfig{
			Metadata: &cri.ContainerMetadata{Name: container}, Image: &cri.ImageSpec{Image: engine.Busybox}, Command: []string{"/bin/sleep", "1000"},
			Linux: &cri.LinuxContainerConfig{},
		}})
		if err != nil {
			return err
		}
		if _, err := e.runtime.StartContainer(ctx, &cri.StartContainerRequest{ContainerId: made.ContainerId}); err != nil {
			return err
		}
		r, err := e.runtime.ExecSync(ctx, &cri.ExecSyncRequest{ContainerId: made.ContainerId, Cmd: []string{"/bin/echo", container}})
		if err != nil {
			return err
		}
		return same(string(r.Stdout), container+"\n")
	}
	err = errors.Join(use("a"), use("b"))
	_, stopErr := e.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: made.PodSandboxId})
	_, removeErr := e.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: made.PodSandboxId})
	return errors.Join(err, stopErr, removeErr, removePodCgroup(name))
}
