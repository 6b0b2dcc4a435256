package try

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The command sees programs, settings and the working directory, and next to nothing else.
func TestView(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		r := u.try("sh", "-c", `pwd; cat code; id -u; hostname; echo $HOME; ls -A /; echo; ls -A ~; ls -A /tmp /run /var /var/tmp /home /root /srv 2>/dev/null; test -r /etc/passwd && echo settings`)
		out := r.OK(u.e)
		if want := u.home + "/project\ncode\n0\ntry\n" + u.home + "\n"; !strings.HasPrefix(out, want) {
			t.Errorf("%s\nwant %q", r, want)
		}
		for _, line := range strings.Split(out, "\n") {
			switch {
			case line == "secret", line == "other", strings.HasSuffix(line, ".sock"):
				t.Errorf("%s: %q is to be seen", r, line)
			}
		}
		if !strings.HasSuffix(out, "settings\n") {
			t.Error(r)
		}
		// The root has mount points in it, and links.
		for _, name := range []string{"boot", "srv", "mnt", "media", "var/lib", "var/log"} {
			if r := u.try("test", "-e", "/"+name); r.Code != 1 {
				t.Errorf("/%s is in the sandbox", name)
			}
		}
	})
}

// What is secret to root stays so, also where it lies among what is shown, and though the command is called root.
func TestSecrets(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		u.e.Must(os.WriteFile(u.home+"/project/private", []byte("private\n"), 0o600))
		u.e.Must(os.Chown(u.home+"/project/private", 0, 0))
		for _, path := range []string{"/etc/shadow", "/etc/gshadow", "private", u.home + "/secret", "/proc/1/root" + u.home + "/secret"} {
			if r := u.try("cat", path); r.Code != 1 || r.Stdout != "" {
				t.Errorf("%s", r)
			}
		}
		// The machine's root is nobody in here, and who is called root is nobody out there.
		u.says("65534\n", "stat", "-c", "%u", "/etc/shadow")
	})
}

// Nothing of the machine can be written to; a new home, /tmp and /run can.
func TestNothingIsWritten(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		u.says("~ /tmp /run /var/tmp /dev/shm \n", "sh", "-c",
			`for d in / /etc /usr /opt . /proc /sys; do if touch $d/bailey-try-was-here 2>/dev/null; then echo $d; fi; done
			 for d in ~ /tmp /run /var/tmp /dev/shm; do touch $d/x && [ $d = ~ ] && d='~'; printf '%s ' "$d"; done; echo`)
		for _, p := range []string{"/tmp/x", "/run/x", u.home + "/x"} {
			if _, err := os.Stat(p); err == nil {
				t.Errorf("%s is on the machine", p)
			}
		}
	})
}

// The environment holds what a terminal and people need, and what was passed on.
func TestEnvironment(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		r := u.try("--env", "ONE=1", "--env", "PATH", "env")
		if out := r.OK(u.e); strings.Contains(out, "SSH_AUTH_SOCK") || len(lines(out, "TERM=dumb"))+len(lines(out, "LANG=C"))+len(lines(out, "ONE=1")) != 3 || len(lines(out, "PATH="+os.Getenv("PATH"))) != 1 {
			t.Error(r)
		}
		u.try("--env", "BAILEY_NOT_SET", "true").Fails(u.e, "--env", "not set here")
	})
}

// Directories are given by name, and only as asked for.
func TestGivenDirectories(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		dir := u.home + "/other"
		u.says("", "--rw", dir, "sh", "-c", "echo new > "+dir+"/file; mkdir "+dir+"/dir")
		for _, name := range []string{"file", "dir"} {
			var st unix.Stat_t
			if err := unix.Stat(dir+"/"+name, &st); err != nil || int(st.Uid) != u.uid || int(st.Gid) != u.uid {
				t.Errorf("%s belongs to %d:%d (%v), want %d", name, st.Uid, st.Gid, err, u.uid)
			}
		}
		u.says("new\n0\nrefused\n", "--ro", dir, "sh", "-c", "cd "+dir+"; cat file; stat -c %u file; touch file 2>/dev/null || echo refused")
		u.says("", "--tmp", dir, "sh", "-c", "touch "+dir+"/x; cat "+dir+"/file 2>/dev/null; true")
		u.says("secret\nrefused\n", "--home", "sh", "-c", "cat ~/secret; touch ~/x 2>/dev/null || echo refused")
		u.try("--ro", "/", "true").Fails(u.e, "--ro", "the machine's /proc")
		u.try("--rw", "/proc/self", "true").Fails(u.e, "--rw", "/proc")
		u.try("--ro", u.home+"/gone", "true").Fails(u.e, "--ro", "ENOENT")
		if _, err := os.Stat(dir + "/x"); err == nil {
			t.Error("--tmp has written to the machine")
		}
		// A link leads to what is shown.
		u.e.Must(os.Symlink("other", u.home+"/link"))
		u.says("new\n", "--ro", u.home+"/link", "cat", dir+"/file")
	})
}

// No file gets a set-ID bit, by which whoever executes it on the machine would become its owner.
func TestNoSetIDFiles(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		dir := u.home + "/other"
		r := u.try("--rw", dir, "sh", "-c", "cd "+dir+`; cp /bin/true t; mkdir d; for m in 4755 2755 6755; do chmod $m t d 2>&1; done; chmod 755 t d; stat -c %a t d`)
		if r.Code != 0 || !strings.HasSuffix(r.Stdout, "755\n755\n") || strings.Count(r.Stdout, "Operation not permitted") != 6 {
			t.Error(r)
		}
	})
}

// Where the caller works decides what is shown, not where homes and the data of services are.
func TestWorkingDirectory(t *testing.T) {
	u := newCaller(t, "root")
	for dir, want := range map[string]string{"/": u.home, "/tmp": "/tmp", "/var": u.home, "/usr/bin": "/usr/bin", u.home: u.home, u.e.Dir: u.home, "/run": "/run"} {
		u.o.Dir = dir
		if r := u.try("sh", "-c", "pwd; ls -A ."); !strings.HasPrefix(r.OK(u.e), want+"\n") || len(r.Stdout) > len(want)+1 && dir != "/usr/bin" && dir != "/tmp" {
			t.Errorf("in %s: %s\nwant %s and nothing in it", dir, r, want)
		}
	}
	u.o.Dir = u.home + "/project"
	u.says("/etc\n", "--cwd", "/etc", "pwd")
	// One that is closed to others is, to the command; unless it is given.
	u.e.Must(os.Chmod(u.o.Dir, 0o700))
	u.try("true").Fails(u.e, "EACCES", "mode 0700", "--ro .")
	u.says("code\n", "--ro", ".", "cat", "code")
	u.says("/\n", "--cwd", "/", "pwd")
}

// The configuration that is printed is the one that is run, and the plan is that of it.
func TestShowAndPlan(t *testing.T) {
	each(t, func(t *testing.T, u *caller) {
		if out := u.try("--show", "--hostname", "name", "true").OK(u.e); !strings.Contains(out, `"hostname": "name"`) || !strings.Contains(out, `"seccomp"`) {
			t.Error(out)
		}
		if out := u.try("--plan", "true").OK(u.e); !strings.Contains(out, "attach root over /") || !strings.Contains(out, "seal") {
			t.Error(out)
		}
		r := u.try("--verbose", "--rw", u.home+"/other", "--net", "host", "true")
		r.OK(u.e)
		for _, text := range []string{"IDs: ", "read-only: " + u.home + "/project", "to be written to: " + u.home + "/other", "network: the machine's", "memory: ", "processes: at most 512"} {
			if !strings.Contains(r.Stderr, text) {
				t.Errorf("%s\nwant %q", r, text)
			}
		}
	})
}

// A program that is on the machine and not in the sandbox is explained.
func TestUnseenProgram(t *testing.T) {
	u := newCaller(t, "root")
	program := u.home + "/other/program"
	u.e.Must(os.WriteFile(program, []byte("#!/bin/sh\necho works\n"), 0o755))
	u.try(program).Fails(u.e, "not in the sandbox", "--ro "+u.home+"/other")
	u.says("works\n", "--ro", u.home+"/other", program)
	u.try("no-such-program").Fails(u.e, "executable file not found")
	u.try().Fails(u.e, "argument is missing")
	for _, flags := range []string{"--net=some", "--memory=much", "--pids=0", "--cap=FLY", "--user=root"} {
		u.try(flags, "true").Fails(u.e, strings.SplitN(flags, "=", 2)[0])
	}
}
