package policy

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestDetectEngines(t *testing.T) {
	for want, cases := range map[string][]struct {
		annotations string // keys, or key=value
		bundle      string
	}{
		"podman": {
			{"io.container.manager=libpod", "/var/lib/containers/storage/overlay-containers/x/userdata"},
			// podman kube play
			{"io.container.manager=libpod io.kubernetes.cri-o.SandboxID=x", ""},
			{"io.podman.annotations.init=FALSE", ""},
		},
		"cri-o kubernetes": {
			{"io.container.manager=cri-o", ""},
			{"io.kubernetes.cri-o.ContainerType=sandbox io.kubernetes.pod.name=x", ""},
		},
		"containerd kubernetes": {
			{"io.kubernetes.cri.container-type=container", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/x"},
			{"", "/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io/x"},
		},
		"containerd nerdctl": {{"nerdctl/namespace=default", "/run/containerd/io.containerd.runtime.v2.task/default/x"}},
		"containerd":         {{"", "/run/containerd/io.containerd.runtime.v2.task/default/x"}},
		"docker": {
			{"", "/run/containerd/io.containerd.runtime.v2.task/moby/x"},
			{"org.example=x", "/var/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/x"},
		},
	} {
		for _, tc := range cases {
			annotations := make(map[string]string)
			for _, item := range strings.Fields(tc.annotations) {
				key, value, _ := strings.Cut(item, "=")
				annotations[key] = value
			}
			if got := DetectEngines(annotations, tc.bundle); strings.Join(got, " ") != want {
				t.Errorf("%+v: %v, want %s", tc, got, want)
			}
		}
	}
	if got := DetectEngines(nil, "/b"); len(got) == 0 {
		t.Error("no answer for a container of nobody")
	}
}

func TestEnginesAreNamed(t *testing.T) {
	for _, program := range []string{"containerd", "containerd-shim", "dockerd", "podman", "conmon", "crio", "conmonrs", "buildah", "buildkitd"} {
		for _, e := range byProgram(program) {
			if !slices.Contains(engines, e) {
				t.Errorf("no rule can ask for %q, which %s is", e, program)
			}
		}
		if len(program) > 15 || byProgram(program) == nil {
			t.Errorf("%s would not be recognised", program)
		}
	}
	if byProgram("bash") != nil {
		t.Error("bash is an engine")
	}
}

func TestParseStat(t *testing.T) {
	for data, want := range map[string]struct {
		name   string
		parent int
	}{
		"7 (conmon) S 1 7 7 0 -1":     {"conmon", 1},
		"7 (a) R 2 (b) S 33 7 7 0 -1": {"a) R 2 (b", 33},
		"7 (init) S 0 1":              {"init", 0},
		"7 (x) S":                     {"x", 0},
		"":                            {},
		")(":                          {},
	} {
		if name, parent := parseStat([]byte(data)); name != want.name || parent != want.parent {
			t.Errorf("%q: %q, %d", data, name, parent)
		}
	}
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Skip(err)
	}
	if _, parent := parseStat(data); parent != os.Getppid() {
		t.Errorf("the parent is %d, not %d", os.Getppid(), parent)
	}
}

func TestUsers(t *testing.T) {
	const file = "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/:\nbroken\nalso:x:1000:1:::\nlarge:x:99999999999:::\n"
	if u := userOf([]byte(file), 1000); strings.Join(u.Names, " ") != "alice also" || u.UID != 1000 {
		t.Errorf("%+v", u)
	}
	if u := userOf(nil, 5); u.Names != nil || u.UID != 5 {
		t.Errorf("%+v", u)
	}
	if u := FindUser("0"); u.UID != 0 {
		t.Errorf("%+v", u)
	}
	if u := FindUser("no such user"); u.UID != noID || u.Names[0] != "no such user" {
		t.Errorf("%+v", u)
	}
}

func TestOutside(t *testing.T) {
	const uidMap = "         0       1000          1\n         1     100000      65536\n"
	for inside, want := range map[uint32]uint32{0: 1000, 1: 100000, 65536: 165535, 65537: 65537} {
		if got := outside([]byte(uidMap), inside); got != want {
			t.Errorf("%d is %d, not %d", inside, got, want)
		}
	}
	if got := outside([]byte("nonsense\n0 x\n"), 3); got != 3 {
		t.Errorf("%d", got)
	}
}
