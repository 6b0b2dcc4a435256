package containerd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

func hundredContainers(t *engine.C, d *daemon) {
	engine.Parallel(100, func(i int) {
		id := "many" + strconv.Itoa(i)
		// When ctr hears of the end it closes its FIFOs, whatever it has not read by then, which there can be where
		// processors are scarce; so the end comes a little later.
		script := "echo " + id + "; sleep 0.2; exit " + strconv.Itoa(i)
		if out, status := d.ctrStatus(d.run(id, "--rm", image, id, "/bin/sh", "-c", script)...); status != i ||
			engine.Contains(out, id) != nil {
			t.Errorf("%s: exit status %d: %s", id, status, out)
		}
	})
}

// A shim that lives long keeps nothing of what has passed.
func hundredExecs(t *engine.C, d *daemon) {
	k := d.startTask("execs", withArgs("/bin/sleep", "1000"))
	run := func(i int) {
		want := uint32(i % 100)
		if out, status := k.exec("x"+strconv.Itoa(i), "echo "+strconv.Itoa(i)+"; exit "+strconv.Itoa(int(want))); status != want || out != strconv.Itoa(i) {
			t.Errorf("exec %d: %q, exit status %d", i, out, status)
		}
	}
	run(1000)
	pid := shim(t, "execs")
	before := engine.Descriptors(t, pid)
	engine.Parallel(100, run)
	engine.Eventually(t, "as many descriptors as before", func() error {
		if now := engine.Descriptors(t, pid); now > before && d.own() { // containerd's own keep some
			return fmt.Errorf("%d descriptors, %d before", now, before)
		}
		for child, state := range children(t, pid) {
			if child != int(k.Pid()) || state == "Z" {
				return fmt.Errorf("child %d in state %s", child, state)
			}
		}
		return nil
	})
	k.end()
}

// Containers of a pod share a shim, and make and delete each other's company all the time.
func pod(t *engine.C, d *daemon) {
	pod := oci.WithAnnotations(map[string]string{"io.kubernetes.cri.sandbox-id": "pod"})
	sandbox := d.startTask("pod", withArgs("/bin/sleep", "1000"), pod)
	pid := shim(t, "pod")
	before := engine.Descriptors(t, pid)
	engine.Parallel(30, func(i int) {
		id := "member" + strconv.Itoa(i)
		k := d.startTask(id, shell("exit "+strconv.Itoa(i)), pod)
		if s := k.status(); s != uint32(i) {
			t.Errorf("%s: exit status %d", id, s)
		}
		k.remove()
	})
	if n := len(engine.Shims(t)); n != 1 {
		t.Errorf("%d shims for a pod", n)
	}
	engine.Eventually(t, "as many descriptors as before", func() error {
		if now := engine.Descriptors(t, pid); now > before && d.own() { // containerd's own keep some
			return fmt.Errorf("%d descriptors, %d before", now, before)
		}
		return nil
	})
	sandbox.end()
}

// Without a pid namespace of its own, a container leaves processes behind: they end with it, and none of them stays a zombie.
func sharedPIDs(t *engine.C, d *daemon) {
	k := d.startTask("shared", shell("(sleep 0.2 &) ; (sleep 0.3 &); (sleep 1000 &); sleep 1000"), oci.WithHostNamespace("pid"))
	pid := shim(t, "shared")
	engine.Eventually(t, "orphans are adopted", func() error {
		if n := len(children(t, pid)); n < 2 {
			return fmt.Errorf("%d children", n)
		}
		return nil
	})
	// Meanwhile others are executed, whose ends must not get lost.
	for i := range 20 {
		if _, status := k.exec("s"+strconv.Itoa(i), "exit 5"); status != 5 {
			t.Errorf("exec %d: exit status %d", i, status)
		}
	}
	engine.Eventually(t, "orphans are reaped", func() error {
		for child, state := range children(t, pid) {
			if state == "Z" {
				return fmt.Errorf("%d is a zombie", child)
			}
		}
		return nil
	})
	all, err := k.Pids(d.ctx)
	must(t, err)
	must(t, k.Kill(d.ctx, syscall.SIGKILL))
	k.status()
	engine.Eventually(t, "all have ended", func() error {
		for _, p := range all {
			if alive(int(p.Pid)) {
				return fmt.Errorf("%d lives", p.Pid)
			}
		}
		return nil
	})
	k.remove()
}

// A daemon that is killed finds its containers again, and hears of what has ended meanwhile, which containerd's own shim does not
// let it.
func killedDaemon(t *engine.C, d *daemon) {
	stays := d.startTask("stays", withArgs("/bin/sleep", "1000"))
	found := []*task{stays}
	if d.own() {
		found = append(found, d.startTask("leaves", shell("sleep 1; exit 9")))
	}
	pid := shim(t, "stays")
	d.killed()
	time.Sleep(1500 * time.Millisecond)
	d.start()
	for _, k := range found {
		var err error
		k.container, err = d.client.LoadContainer(d.ctx, k.id)
		must(t, err)
		k.Task, err = k.container.Task(d.ctx, cio.Load)
		must(t, err)
		k.exit, err = k.Wait(d.ctx)
		must(t, err)
	}
	for _, k := range found[1:] {
		if s := k.status(); s != 9 {
			t.Errorf("exit status %d of one that has ended meanwhile", s)
		}
		k.remove()
	}
	if now := shim(t, "stays"); now != pid {
		t.Error("another shim")
	}
	if s, err := stays.Status(d.ctx); err != nil || s.Status != client.Running {
		t.Errorf("%v, %v", s, err)
	}
	if out, status := stays.exec("again", "echo again"); out != "again" || status != 0 {
		t.Errorf("exec: %q, %d", out, status)
	}
	events := d.events()
	stays.end()
	if d.own() { // see wantAll
		engine.Eventually(t, "the end is told of", func() error { return engine.Contains(strings.Join(events.get(), ", "), "exit stays, delete") })
	}
}

// The daemon cleans up after a shim that is killed, by its delete.
func killedShim(t *engine.C, d *daemon) {
	k := d.startTask("killed", withArgs("/bin/sleep", "1000"))
	payload := int(k.Pid())
	must(t, syscall.Kill(shim(t, "killed"), syscall.SIGKILL))
	engine.Eventually(t, "the payload has ended", func() error {
		if alive(payload) {
			return fmt.Errorf("%d lives", payload)
		}
		return nil
	})
	k.IO().Cancel()
	must(t, k.IO().Close())
	engine.Eventually(t, "the container can be deleted", func() error {
		_, _ = k.Delete(d.ctx)
		return k.container.Delete(d.ctx, client.WithSnapshotCleanup)
	})
}

// After every container the daemon calls delete, when there is nothing left to delete.
func TestDeleteOfNothing(t *testing.T) {
	engine.Built(t)
	begin := time.Now()
	out, err := shimCommand("-namespace", namespace, "-address", "/none", "-id", "none", "-bundle", t.TempDir()+"/none", "delete").CombinedOutput()
	if took := time.Since(begin); err != nil || took > time.Second {
		t.Errorf("%v after %v: %s", err, took, out)
	}
}

// A container goes on from a checkpoint.
func checkpoint(t *engine.C, d *daemon) {
	if os.Getenv("BAILEY_CRIU") == "" {
		t.Skip("no CRIU for this kernel: make test-engines")
	}
	script := "i=0; while :; do i=$((i+1)); echo $i >/next; mv /next /count; sleep 0.05; done"
	d.Ctr(d.run("dumped", "-d", image, "dumped", "/bin/sh", "-c", script)...)
	count := func(id, exec string) int {
		n, err := strconv.Atoi(strings.TrimSpace(withoutWarnings(d.Ctr("tasks", "exec", "--exec-id", exec, id, "/bin/cat", "/count"))))
		must(t, err)
		return n
	}
	time.Sleep(time.Second)
	before := count("dumped", "before")
	defer d.ctrStatus("images", "delete", "localhost/checkpoint:1")
	d.Ctr("containers", "checkpoint", "--task", "--rw", "--image", "dumped", "localhost/checkpoint:1")
	d.remove("dumped")
	d.Ctr("containers", "restore", "--rw", "--live", "restored", "localhost/checkpoint:1")
	time.Sleep(300 * time.Millisecond)
	if after := count("restored", "after"); after <= before {
		t.Errorf("the count is %d, and was %d", after, before)
	}
	d.remove("restored")
}

// Whatever is killed in the middle of whatever it does, everything can be removed afterwards, and nothing is left.
func TestKilledAtRandom(t *testing.T) {
	withDaemons(t, func(t *testing.T, d *daemon) {
		img, err := d.client.GetImage(d.ctx, image)
		must(t, err)
		over := make(chan struct{})
		var killers sync.WaitGroup
		killers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-over:
					return
				case <-time.After(time.Duration(rand.IntN(60)) * time.Millisecond):
				}
				if all := serving(t); len(all) > 0 {
					_ = syscall.Kill(all[rand.IntN(len(all))], syscall.SIGKILL)
				}
			}
		})
		survived := 0
		var mu sync.Mutex
		engine.Parallel(100, func(i int) {
			if d.life(img, "random"+strconv.Itoa(i), i%4) == nil {
				mu.Lock()
				survived++
				mu.Unlock()
			}
		})
		close(over)
		killers.Wait()
		t.Logf("%d of 100 have come through", survived)
		d.eventually("everything can be removed", func() error {
			d.reset()
			if out := d.Ctr("containers", "list", "-q"); strings.TrimSpace(withoutWarnings(out)) != "" {
				return errors.New(out)
			}
			return nil
		})
		// Of a shim that ends before it has connected to it containerd wants no delete. The next of that name takes its socket.
		sockets, err := filepath.Glob("/run/containerd/s/*")
		must(t, err)
		for _, s := range sockets {
			if c, err := net.Dial("unix", s); err == nil {
				c.Close()
			} else {
				must(t, os.Remove(s))
			}
		}
		// And what comes afterwards works.
		d.startTask("after", withArgs("/bin/sleep", "1000")).end()
	})
}

// life makes a container, has it work in one way or another, and removes it, up to the first error.
func (d *daemon) life(img client.Image, id string, way int) error {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	c, err := d.client.NewContainer(ctx, id, client.WithImage(img), client.WithNewSnapshot(id, img), d.withRuntime(),
		client.WithNewSpec(oci.WithImageConfig(img), noResources, oci.WithCgroup(cgroupOf(id)), withArgs("/bin/sleep", "1000")))
	if err != nil {
		return err
	}
	k, err := c.NewTask(ctx, cio.NullIO)
	if err != nil {
		return err
	}
	exit, err := k.Wait(ctx)
	if err != nil {
		return err
	}
	if way > 0 {
		if err := k.Start(ctx); err != nil {
			return err
		}
	}
	for n := range way {
		p, err := k.Exec(ctx, "exec"+strconv.Itoa(n), &specs.Process{Args: []string{"/bin/sleep", "0.1"}, Cwd: "/"}, cio.NullIO)
		if err != nil {
			return err
		}
		ended, err := p.Wait(ctx)
		if err != nil {
			return err
		}
		if err := p.Start(ctx); err != nil {
			return err
		}
		<-ended
		if _, err := p.Delete(ctx); err != nil {
			return err
		}
	}
	if err := k.Kill(ctx, syscall.SIGKILL); err != nil {
		return err
	}
	<-exit
	if _, err := k.Delete(ctx); err != nil {
		return err
	}
	return c.Delete(ctx, client.WithSnapshotCleanup)
}
