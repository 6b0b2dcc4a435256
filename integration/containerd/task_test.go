package containerd

import (
	"context"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/cio"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// task is a container with its task.
type task struct {
	client.Task
	d         *daemon
	id        string
	container client.Container
	out       engine.Output
	exit      <-chan client.ExitStatus
}

// withArgs sets the payload.
func withArgs(args ...string) oci.SpecOpts { return oci.WithProcessArgs(args...) }

// shell sets a shell script as the payload.
func shell(script string) oci.SpecOpts { return withArgs("/bin/sh", "-c", script) }

// noResources asks for no limits: there is no CPU controller on some of the views that tests have.
func noResources(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.Resources = &specs.LinuxResources{Devices: s.Linux.Resources.Devices}
	return nil
}

// create makes a container and its task, which is removed with the test.
func (d *daemon) create(id string, opts ...oci.SpecOpts) *task {
	return d.createWith(id, nil, opts...)
}

func (d *daemon) createWith(id string, creator cio.Creator, opts ...oci.SpecOpts) *task {
	d.t.Helper()
	return d.createFrom(image, id, creator, opts...)
}

// createFrom makes a container of an image.
func (d *daemon) createFrom(image, id string, creator cio.Creator, opts ...oci.SpecOpts) *task {
	d.t.Helper()
	img, err := d.client.GetImage(d.ctx, image)
	must(d.t, err)
	k := &task{d: d, id: id}
	all := append([]oci.SpecOpts{oci.WithImageConfig(img), noResources, oci.WithCgroup(cgroupOf(id))}, opts...)
	k.container, err = d.client.NewContainer(d.ctx, id, client.WithImage(img), client.WithSnapshotter(d.snapshotter), client.WithNewSnapshot(id, img),
		d.withRuntime(), client.WithNewSpec(all...))
	must(d.t, err)
	if creator == nil {
		creator = cio.NewCreator(cio.WithStreams(nil, &k.out, &k.out))
	}
	k.Task, err = k.container.NewTask(d.ctx, creator)
	if err != nil {
		_ = k.container.Delete(d.ctx, client.WithSnapshotCleanup)
		d.t.Fatalf("make the task %s: %v", id, err)
	}
	k.exit, err = k.Wait(d.ctx)
	must(d.t, err)
	return k
}

// start makes a container and starts it.
func (d *daemon) startTask(id string, opts ...oci.SpecOpts) *task {
	d.t.Helper()
	k := d.create(id, opts...)
	must(d.t, k.Start(d.ctx))
	return k
}

// status waits for the end and returns the exit status.
func (k *task) status() uint32 {
	k.d.t.Helper()
	return statusOf(k.d.t, k.exit)
}

func statusOf(t testing.TB, exit <-chan client.ExitStatus) uint32 {
	t.Helper()
	select {
	case s := <-exit:
		if s.Error() != nil {
			t.Fatal(s.Error())
		}
		return s.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatal("it does not end")
	}
	return 0
}

// remove deletes the task, which has ended, and the container.
func (k *task) remove() {
	k.d.t.Helper()
	drain(k.IO())
	_, err := k.Delete(k.d.ctx)
	must(k.d.t, err)
	must(k.d.t, k.container.Delete(k.d.ctx, client.WithSnapshotCleanup))
}

// end kills the task and removes everything.
func (k *task) end() {
	k.d.t.Helper()
	must(k.d.t, k.Kill(k.d.ctx, syscall.SIGKILL))
	if s := k.status(); s != 128+9 {
		k.d.t.Errorf("exit status %d after SIGKILL", s)
	}
	k.remove()
}

// drain waits until everything that was printed has been read, or for a second: the client's Delete closes the FIFOs, read or
// not.
func drain(streams cio.IO) {
	read := make(chan struct{})
	go func() {
		streams.Wait()
		close(read)
	}()
	select {
	case <-read:
	case <-time.After(time.Second):
	}
}

// spawn executes a process without waiting for it.
func (k *task) spawn(id string, out io.Writer, args ...string) (client.Process, <-chan client.ExitStatus) {
	k.d.t.Helper()
	p, err := k.Exec(k.d.ctx, id, &specs.Process{Args: args, Cwd: "/", Env: []string{"PATH=/bin"}},
		cio.NewCreator(cio.WithStreams(nil, out, out)))
	must(k.d.t, err)
	exit, err := p.Wait(k.d.ctx)
	must(k.d.t, err)
	must(k.d.t, p.Start(k.d.ctx))
	return p, exit
}

// exec executes a shell script and returns what it prints and its exit status.
func (k *task) exec(id, script string) (string, uint32) {
	k.d.t.Helper()
	var out engine.Output
	p, exit := k.spawn(id, &out, "/bin/sh", "-c", script)
	status := statusOf(k.d.t, exit)
	drain(p.IO())
	_, err := p.Delete(k.d.ctx)
	must(k.d.t, err)
	return strings.TrimSpace(out.String()), status
}

// fails makes a container that cannot be started, and returns why.
func (d *daemon) fails(id string, opts ...oci.SpecOpts) error {
	d.t.Helper()
	img, err := d.client.GetImage(d.ctx, image)
	must(d.t, err)
	all := append([]oci.SpecOpts{oci.WithImageConfig(img), noResources, oci.WithCgroup(cgroupOf(id))}, opts...)
	c, err := d.client.NewContainer(d.ctx, id, client.WithImage(img), client.WithNewSnapshot(id, img), d.withRuntime(), client.WithNewSpec(all...))
	must(d.t, err)
	defer func() { must(d.t, c.Delete(d.ctx, client.WithSnapshotCleanup)) }()
	k, err := c.NewTask(d.ctx, cio.NullIO)
	if err == nil {
		_, _ = k.Delete(d.ctx, client.WithProcessKill)
		d.t.Fatalf("%s was made", id)
	}
	return err
}
