package containerd

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/containerd/api/types/runc/options"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// optionChecks are about the options of the runtime that engines are configured with.
var optionChecks = []engine.Check[*daemon]{
	{Name: "option NoPivotRoot", Do: func(t *engine.C, d *daemon) {
		d.options = &options.Options{NoPivotRoot: true}
		k := d.startTask("option", shell("cd /; cd ../..; pwd"))
		if s := k.status(); s != 0 {
			t.Errorf("exit status %d", s)
		}
		k.remove()
		if got := k.out.String(); got != "/\n" {
			t.Errorf("it prints %q", got)
		}
	}},
	{Name: "option NoNewKeyring", Do: func(t *engine.C, d *daemon) {
		// A session keyring of the container's own has its name.
		keys := func(id string) string {
			k := d.startTask(id, shell("cat /proc/keys"), unmasked)
			if s := k.status(); s != 0 {
				t.Errorf("exit status %d", s)
			}
			k.remove()
			return k.out.String()
		}
		if err := engine.Contains(keys("ring1"), "_ses.ring1"); err != nil {
			t.Error(err)
		}
		d.options = &options.Options{NoNewKeyring: true}
		if out := keys("ring2"); strings.Contains(out, "_ses.ring2") {
			t.Errorf("there is a keyring: %s", out)
		}
	}},
	{Name: "option Root", Do: func(t *engine.C, d *daemon) {
		root := t.TempDir() + "/states"
		d.options = &options.Options{Root: root}
		k := d.startTask("rooted", withArgs("/bin/sleep", "1000"))
		if !engine.Exists(filepath.Join(root, namespace, "rooted")) {
			t.Error("no state there")
		}
		k.end()
		if engine.Exists(filepath.Join(root, namespace, "rooted")) {
			t.Error("the state is left")
		}
	}},
	{Name: "options IoUid and IoGid", Do: func(t *engine.C, d *daemon) {
		d.options = &options.Options{IoUid: 1234, IoGid: 2345}
		k := d.startTask("pipes", shell("stat -L -c %u,%g /proc/self/fd/1 /proc/self/fd/2"), oci.WithUserID(1234))
		if s := k.status(); s != 0 {
			t.Errorf("exit status %d", s)
		}
		k.remove()
		if got := k.out.String(); got != "1234,2345\n1234,2345\n" {
			t.Errorf("the owners are %q", got)
		}
	}},
	{Name: "option ShimCgroup", Do: func(t *engine.C, d *daemon) {
		dirs := []string{"/sys/fs/cgroup" + engine.Cgroup("shims")}
		if engine.View() != "v2" {
			var err error
			dirs, err = filepath.Glob("/sys/fs/cgroup/*")
			must(t, err)
			for i := range dirs {
				dirs[i] += engine.Cgroup("shims")
			}
		}
		for _, dir := range dirs {
			must(t, os.MkdirAll(dir, 0o755))
			if b, err := os.ReadFile(filepath.Dir(filepath.Dir(dir)) + "/cpuset.cpus"); err == nil && len(b) > 1 {
				for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
					b, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(dir)), file))
					must(t, err)
					must(t, os.WriteFile(filepath.Join(filepath.Dir(dir), file), b, 0))
					must(t, os.WriteFile(filepath.Join(dir, file), b, 0))
				}
			}
		}
		d.options = &options.Options{ShimCgroup: engine.Cgroup("shims")}
		k := d.startTask("placed", withArgs("/bin/sleep", "1000"))
		b, err := os.ReadFile("/proc/" + strconv.Itoa(shim(t, "placed")) + "/cgroup")
		must(t, err)
		if err := engine.Contains(string(b), engine.Cgroup("shims")+"\n"); err != nil {
			t.Error(err)
		}
		k.end()
		d.eventually("the shim has ended", func() error {
			for _, dir := range dirs {
				if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
					return err
				}
			}
			return nil
		})
	}},
}

// unmasked shows all of procfs.
func unmasked(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
	s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
	return nil
}

// What only the shim of bailey's own has: a policy sees the options, the binary's name means nothing, and there is another form.
func TestOwnOptions(t *testing.T) {
	withDaemons(t, func(t *testing.T, d *daemon) {
		d.options = &options.Options{NoPivotRoot: true}
		sealed := oci.WithAnnotations(map[string]string{"run.bailey.seal": "always"})
		if err := d.fails("sealed", sealed); engine.Contains(err.Error(), "--no-pivot") != nil {
			t.Error(err)
		}

		d.options = nil
		root := t.TempDir()
		config := t.TempDir() + "/options.toml"
		must(t, os.WriteFile(config, []byte("BinaryName = \"/none\"\nRoot = \""+root+"\"\n"), 0o644))
		d.Ctr(d.run("toml", "-d", "--runtime-config-path", config, image, "toml", "/bin/sleep", "1000")...)
		if !engine.Exists(filepath.Join(root, namespace, "toml")) {
			t.Error("no state in the directory that the file names")
		}
		d.remove("toml")
	})
}

// The work of CRIU, its log, is where the options say.
func TestCRIUWorkPath(t *testing.T) {
	if os.Getenv("BAILEY_CRIU") == "" {
		t.Skip("no CRIU for this kernel: make test-engines")
	}
	withDaemons(t, func(t *testing.T, d *daemon) {
		work := t.TempDir() + "/work"
		d.options = &options.Options{CriuWorkPath: work}
		k := d.startTask("worked", withArgs("/bin/sleep", "1000"))
		image, err := k.Checkpoint(d.ctx)
		must(t, err)
		if !engine.Exists(work + "/dump.log") {
			t.Error("no log of CRIU's there")
		}
		k.end()
		d.Ctr("images", "delete", "--sync", image.Name())
	})
}
