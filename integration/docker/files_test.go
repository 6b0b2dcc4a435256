package docker

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

var fileChecks = []check{
	{Name: "cp in and out", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		engine.Must(c, os.MkdirAll(dir+"/in/deep", 0o755))
		engine.Must(c, os.WriteFile(dir+"/in/deep/file", []byte("content"), 0o640))
		d.up(c, "cp", image, "sh", "-c", "mkdir /out; echo from inside > /out/file; exec sleep 1000")
		d.docker(c, "cp", dir+"/in", "cp:/tmp")
		want(c, "in", d.exec(c, "cp", "sh", "-c", "cat /tmp/in/deep/file; stat -c %a /tmp/in/deep/file"), "content640")
		d.docker(c, "cp", "cp:/out", dir)
		b, err := os.ReadFile(dir + "/out/file")
		engine.Must(c, err)
		want(c, "out", string(b), "from inside\n")
		d.docker(c, "stop", "-t", "0", "cp")
		d.docker(c, "cp", dir+"/in/deep/file", "cp:/stopped")
		has(c, "an archive", d.docker(c, "cp", "cp:/stopped", "-"), "content")
		d.down(c, "cp")
	}},
	{Name: "diff, commit, export", Do: func(c *engine.C, d *daemon) {
		d.up(c, "change", image, "sh", "-c", "echo new > /etc/new; rm /bin/wget; echo ready; sleep 1000")
		engine.Eventually(c, "it is ready", func() error { return engine.Contains(d.docker(c, "logs", "change"), "ready") })
		diff := "\n" + d.docker(c, "diff", "change") + "\n"
		has(c, "diff", diff, "\nA /etc/new\n", "\nC /etc\n", "\nD /bin/wget\n")
		d.docker(c, "commit", "-c", `CMD ["cat", "/etc/new"]`, "change", "localhost/changed:1")
		want(c, "the new image", d.run(c, "localhost/changed:1"), "new")
		cmd := d.command("export", "change")
		var out bytes.Buffer
		cmd.Stdout = &out
		engine.Must(c, finish(cmd))
		names := make(map[string]bool)
		for r := tar.NewReader(&out); ; {
			h, err := r.Next()
			if err == io.EOF {
				break
			}
			engine.Must(c, err)
			names[h.Name] = true
		}
		want(c, "exported", names["etc/new"] && names["bin/busybox"] && !names["bin/wget"], true)
		d.down(c, "change")
		d.docker(c, "rmi", "localhost/changed:1")
	}},
	{Name: "volumes", Do: func(c *engine.C, d *daemon) {
		d.docker(c, "volume", "create", "keep")
		d.run(c, "-v", "keep:/data", image, "sh", "-c", "echo kept > /data/file")
		want(c, "another container", d.run(c, "-v", "keep:/other", image, "cat", "/other/file"), "kept")
		want(c, "read-only", d.run(c, "-v", "keep:/data:ro", image, "sh", "-c", "echo x > /data/file || cat /data/file"), "kept")
		want(c, "what the image has is copied", d.run(c, "-v", "/etc", image, "head", "-c4", "/etc/passwd"), "root")
		want(c, "of another container", func() string {
			d.up(c, "owner", "-v", "keep:/data", image, "sleep", "1000")
			return d.run(c, "--volumes-from=owner", image, "cat", "/data/file")
		}(), "kept")
		d.down(c, "owner")
		d.docker(c, "volume", "rm", "keep")
	}},
	{Name: "bind mounts", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		engine.Must(c, os.WriteFile(dir+"/file", []byte("host\n"), 0o644))
		engine.Must(c, os.Mkdir(dir+"/below", 0o755))
		engine.Must(c, syscall.Mount("tmpfs", dir+"/below", "tmpfs", 0, ""))
		defer syscall.Unmount(dir+"/below", syscall.MNT_DETACH)
		d.run(c, "-v", dir+":/bind", image, "sh", "-c", "cat /bind/file > /bind/copy; touch /bind/below/there")
		want(c, "written", engine.Exists(dir+"/copy") && engine.Exists(dir+"/below/there"), true)
		out, status := d.try("run", "--rm", "--network=none", "-v", dir+":/bind:ro", image, "touch", "/bind/file")
		want(c, "read-only", status != 0, true)
		has(c, "read-only", out, "Read-only file system")
		want(c, "a file", d.run(c, "--mount", "type=bind,src="+dir+"/file,dst=/etc/a.conf,readonly", image, "cat", "/etc/a.conf"), "host")
		_, status = d.try("run", "--rm", "--network=none", "--mount", "type=bind,src="+dir+"/none,dst=/x", image, "true")
		want(c, "no source", status, 125)
		want(c, "not recursive", d.run(c, "--mount", "type=bind,src="+dir+",dst=/bind,bind-nonrecursive", image, "ls", "/bind/below"), "")
	}},
	{Name: "propagation", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		for _, mode := range []string{"rprivate", "rslave", "rshared"} {
			engine.Must(c, os.MkdirAll(dir+"/"+mode+"/later", 0o755))
			d.up(c, mode, "-v", dir+"/"+mode+":/bind:"+mode, image, "sleep", "1000")
			engine.Must(c, syscall.Mount("tmpfs", dir+"/"+mode+"/later", "tmpfs", 0, ""))
			engine.Must(c, os.WriteFile(dir+"/"+mode+"/later/file", nil, 0o644))
			want(c, mode+": a mount comes in", d.exec(c, mode, "ls", "/bind/later") == "file", mode != "rprivate")
			d.down(c, mode)
			engine.Must(c, syscall.Unmount(dir+"/"+mode+"/later", 0))
		}
		d.up(c, "out", "--cap-add=sys_admin", "--security-opt=apparmor=unconfined", "-v", dir+":/bind:rshared", image, "sleep", "1000")
		d.exec(c, "out", "mount", "-t", "tmpfs", "tmpfs", "/bind/rshared")
		d.exec(c, "out", "touch", "/bind/rshared/inside")
		want(c, "rshared: a mount goes out", engine.Exists(dir+"/rshared/inside"), true)
		d.exec(c, "out", "umount", "/bind/rshared")
		d.down(c, "out")
	}},
	{Name: "tmpfs", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "--tmpfs=/fast:size=1m,mode=700,uid=5", "--mount=type=tmpfs,dst=/more,tmpfs-size=2m,tmpfs-mode=1777", image, "sh", "-c",
			"stat -c '%a %u' /fast /more; df -k /fast /more | grep -o ' 1024 \\| 2048 '; grep ' /fast ' /proc/mounts; dd if=/dev/zero of=/fast/x bs=1M count=2 2>&1 | grep -c 'No space'")
		has(c, "tmpfs", out, "700 5", "1777 0", " 1024", " 2048", "noexec")
		want(c, "full", strings.HasSuffix(out, "\n1"), true)
	}},
	{Name: "read-only root", Do: func(c *engine.C, d *daemon) {
		out := d.run(c, "--read-only", "--tmpfs=/tmp", "-v", "/written", image, "sh", "-c",
			"touch /file 2>&1; touch /etc/passwd 2>&1; touch /tmp/x /dev/shm/x /written/x && echo the rest; touch /etc/hosts && echo hosts; touch /proc/sys/kernel/domainname 2>&1 || true")
		want(c, "refused", strings.Count(out, "Read-only file system") >= 3, true)
		has(c, "written", out, "the rest")
	}},
	{Name: "shm size", Do: func(c *engine.C, d *daemon) {
		has(c, "df", d.run(c, "--shm-size=32m", image, "df", "-k", "/dev/shm"), " 32768 ")
		has(c, "by itself", d.run(c, image, "df", "-k", "/dev/shm"), " 65536 ")
	}},
	{Name: "masked and read-only paths", Do: func(c *engine.C, d *daemon) {
		const look = "wc -c < /proc/timer_list; ls /proc/scsi /sys/firmware | grep -vc :; (echo x > /proc/sys/kernel/domainname) 2>&1; mount | grep -c ' on /proc'"
		out := d.run(c, image, "sh", "-c", look)
		has(c, "masked", out, "Read-only file system")
		want(c, "an empty file", strings.HasPrefix(out, "0\n"), true)
		out = d.run(c, "--security-opt=systempaths=unconfined", image, "sh", "-c", look)
		want(c, "one mount", strings.HasSuffix(out, "\n1"), true)
	}},
	{Name: "build", Do: func(c *engine.C, d *daemon) {
		dir := c.TempDir()
		const file = "FROM " + image + "\nARG WHO=nobody\nENV A=b\nWORKDIR /made\nCOPY file copied\nRUN echo $WHO $A > built && echo alice:x:1234:1234::/:/bin/sh >> /etc/passwd && chown alice . built\n" +
			"RUN [\"sh\", \"-c\", \"test $(stat -c %u built) = 1234\"]\nUSER alice\nWORKDIR /made/by\nRUN id -u > /made/id\nVOLUME /data\nHEALTHCHECK CMD true\nENTRYPOINT [\"cat\"]\nCMD [\"../built\", \"../copied\", \"/made/id\"]\n"
		engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte(file), 0o644))
		engine.Must(c, os.WriteFile(dir+"/file", []byte("copied\n"), 0o644))
		d.docker(c, "build", "--network=none", "--force-rm", "--build-arg=WHO=me", "-t", "localhost/built:1", dir)
		want(c, "what was built", d.run(c, "localhost/built:1"), "me b\ncopied\n1234")
		engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte("FROM "+image+"\nRUN exit 6\n"), 0o644))
		out, status := d.try("build", "--network=none", "--force-rm", dir)
		want(c, "a command that fails", status, 6)
		has(c, "a command that fails", out, "returned a non-zero code: 6")
		d.docker(c, "rmi", "localhost/built:1")
	}},
	{Name: "nothing but an image", Do: func(c *engine.C, d *daemon) {
		// FROM scratch: no /etc, no /proc, no /tmp to begin with.
		dir := c.TempDir()
		busybox, err := exec.LookPath("busybox")
		engine.Must(c, err)
		b, err := os.ReadFile(busybox)
		engine.Must(c, err)
		engine.Must(c, os.WriteFile(dir+"/busybox", b, 0o755))
		engine.Must(c, os.WriteFile(dir+"/Dockerfile", []byte("FROM scratch\nCOPY busybox /\n"), 0o644))
		d.docker(c, "build", "-t", "localhost/bare:1", dir)
		want(c, "root", strings.Join(strings.Fields(d.run(c, "localhost/bare:1", "/busybox", "ls", "/")), " "), "busybox dev etc proc sys")
		want(c, "devices", d.run(c, "localhost/bare:1", "/busybox", "sh", "-c", "/busybox ls /dev | /busybox grep -cx 'null\\|zero\\|full\\|tty\\|urandom\\|random\\|pts\\|ptmx\\|shm\\|mqueue\\|fd'"), "11")
		d.docker(c, "rmi", "localhost/bare:1")
	}},
}
