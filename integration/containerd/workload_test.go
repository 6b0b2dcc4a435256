package containerd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// inNamespace puts a container into a namespace of another one's.
func inNamespace(k *task, kind specs.LinuxNamespaceType, name string) oci.SpecOpts {
	return oci.WithLinuxNamespace(specs.LinuxNamespace{Type: kind, Path: "/proc/" + strconv.Itoa(int(k.Pid())) + "/ns/" + name})
}

// startFrom starts a container of an image.
func (d *daemon) startFrom(image, id string, opts ...oci.SpecOpts) *task {
	d.t.Helper()
	k := d.createFrom(image, id, nil, opts...)
	must(d.t, k.Start(d.ctx))
	return k
}

// bind shows a directory at a place in the container.
func bind(dir, at string) oci.SpecOpts {
	return oci.WithMounts([]specs.Mount{{Type: "bind", Source: dir, Destination: at, Options: []string{"rbind", "rw"}}})
}

// A database keeps its data in a volume over its restart, and is asked by another container over the loopback of its pod.
func redis(t *engine.C, d *daemon) {
	data := t.TempDir()
	inPod := oci.WithAnnotations(map[string]string{"io.kubernetes.cri.sandbox-id": "redis-pod"})
	pause := d.startTask("redis-pod", withArgs("/bin/sleep", "1000"), inPod)
	net := inNamespace(pause, specs.NetworkNamespace, "net")
	server := []oci.SpecOpts{inPod, net, bind(data, "/data"), oci.WithProcessArgs("redis-server", "--dir", "/data", "--save", "3600 1", "--port", "7000")}
	client := d.startFrom(engine.Debian, "redis-client", inPod, net, oci.WithProcessArgs("sleep", "1000"))
	asked := 0
	ask := func(words string) (string, uint32) {
		asked++
		return client.exec("ask"+strconv.Itoa(asked), "redis-cli -p 7000 "+words)
	}
	for round, want := range []string{"(nil)", "7"} {
		k := d.startFrom(engine.Debian, "redis"+strconv.Itoa(round), server...)
		d.eventually("redis answers", func() error {
			out, status := ask("ping")
			if out != "PONG" || status != 0 {
				return fmt.Errorf("%q, exit status %d", out, status)
			}
			return nil
		})
		if out, _ := ask("--no-raw get counter"); strings.Trim(out, `"`) != want {
			t.Errorf("the counter is %s, want %s", out, want)
		}
		if out, _ := ask("incrby counter 7"); out == "" {
			t.Error("no answer")
		}
		if out, _ := client.exec("bench"+strconv.Itoa(round), "redis-benchmark -p 7000 -q -n 2000 -c 20 -t set,get 2>&1 | tr '\\r' '\\n' | grep -c 'requests per second'"); out != "2" {
			t.Errorf("the load: %q", out)
		}
		must(t, k.Kill(d.ctx, syscall.SIGTERM))
		if s := k.status(); s != 0 {
			t.Errorf("exit status %d after SIGTERM", s)
		}
		k.remove()
	}
	if n := len(engine.Shims(t)); n != 1 {
		t.Errorf("%d shims for a pod", n)
	}
	client.end()
	pause.end()
}

// A web server with workers of another user serves over the loopback of its pod, reloads by a signal, and ends by another.
func nginx(t *engine.C, d *daemon) {
	pause := d.startTask("nginx-pod", withArgs("/bin/sleep", "1000"))
	net := inNamespace(pause, specs.NetworkNamespace, "net")
	config := t.TempDir()
	must(t, os.WriteFile(config+"/nginx.conf", []byte(`daemon off; user www-data; worker_processes 2; error_log stderr; events {}
http { access_log /dev/stdout; server { listen 127.0.0.1:80; root /var/www/html; index index.nginx-debian.html; } }`), 0o644))
	k := d.startFrom(engine.Debian, "nginx", net, bind(config, "/config"), oci.WithProcessArgs("nginx", "-c", "/config/nginx.conf"))
	client := d.startTask("nginx-client", net, withArgs("/bin/sleep", "1000"))
	asked := 0
	serves := func() error {
		asked++
		out, status := client.exec("get"+strconv.Itoa(asked), "for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://127.0.0.1/ | grep '<title>'; done")
		if strings.Count(out, "Welcome to nginx") != 10 {
			return fmt.Errorf("exit status %d: %s; %s", status, out, k.out.String())
		}
		return nil
	}
	d.eventually("nginx serves", serves)
	workers := func() string {
		all, err := k.Pids(d.ctx)
		must(t, err)
		return fmt.Sprint(all)
	}
	before := workers()
	if n := strings.Count(before, "{"); n != 3 {
		t.Errorf("the processes are %s", before)
	}
	must(t, k.Kill(d.ctx, syscall.SIGHUP))
	d.eventually("there are other workers", func() error {
		if now := workers(); now == before || strings.Count(now, "{") != 3 {
			return fmt.Errorf("they are %s", now)
		}
		return nil
	})
	must(t, serves())
	must(t, k.Kill(d.ctx, syscall.SIGQUIT))
	if s := k.status(); s != 0 {
		t.Errorf("exit status %d after SIGQUIT", s)
	}
	k.remove()
	client.end()
	pause.end()
}

// Every process gets a signal that is for all.
func killAll(t *engine.C, d *daemon) {
	k := d.startTask("all", shell(`sh -c 'trap "echo child; exit" TERM; echo ready; while :; do sleep 0.1; done' &
		trap 'echo init; sleep 0.5; exit 3' TERM; echo ready; while :; do sleep 0.1; done`))
	d.eventually("both shells are ready", func() error {
		if out := k.out.String(); strings.Count(out, "ready") != 2 {
			return fmt.Errorf("%q", out)
		}
		return nil
	})
	d.Ctr("tasks", "kill", "-a", "-s", "TERM", "all")
	if s := k.status(); s != 3 {
		t.Errorf("exit status %d", s)
	}
	k.remove()
	for _, want := range []string{"init", "child"} {
		if err := engine.Contains(k.out.String(), want); err != nil {
			t.Error(err)
		}
	}
}

// A container in the pid namespace of another one sees its processes, and takes none of them along.
func joinedPIDs(t *engine.C, d *daemon) {
	first := d.startTask("first", withArgs("/bin/sleep", "1000"))
	second := d.startTask("second", inNamespace(first, specs.PIDNamespace, "pid"), shell("sleep 2000 & sleep 2000"))
	if out, _ := second.exec("look", "cat /proc/1/cmdline | tr '\\0' ' '"); out != "/bin/sleep 1000" {
		t.Errorf("process 1 is %q", out)
	}
	must(t, second.Kill(d.ctx, syscall.SIGKILL))
	second.status()
	second.remove()
	d.eventually("what it has left has ended", func() error {
		out, _ := first.exec("ps"+strconv.FormatInt(int64(len(first.out.String())), 10), "ps | grep -c '[s]leep 2000'")
		if out != "0" {
			return fmt.Errorf("%s processes", out)
		}
		return nil
	})
	first.end()
}
