package policy

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// engines are the names that a rule may ask for. "kubernetes" is a container of a pod, whatever engine makes it;
// "none" one that no engine known here has asked for.
var engines = []string{"containerd", "cri-o", "podman", "docker", "kubernetes", "nerdctl", "buildah", "buildkit", "none"}

// Engines returns the names of container engines that a rule may ask for.
func Engines() []string { return append([]string(nil), engines...) }

// DetectEngines returns the engines that a container is made for, "none" if there is none. They are told by
// the annotations that they write, by the bundle's path, and, where neither says anything, by the programs that have started
// bailey.
//
// None of these is proof: who writes config.json writes the annotations, and a program can take any name. A rule
// that relaxes something for an engine trusts whoever can start bailey.
func DetectEngines(annotations map[string]string, bundle string) []string {
	if e := byAnnotations(annotations); e != nil {
		return e
	}
	if e := byBundle(bundle); e != nil {
		return e
	}
	if e := byParents(); e != nil {
		return e
	}
	return []string{"none"}
}

// byAnnotations goes by what engines write into config.json:
//   - io.container.manager is "libpod" of Podman (libpod/container_internal_common.go) and "cri-o" of CRI-O
//     (internal/lib/constants). It comes first, as Podman writes CRI-O's annotations as well;
//   - io.kubernetes.cri-o.* are CRI-O's, io.kubernetes.cri.* those of containerd's CRI plugin
//     (pkg/cri/annotations), nerdctl/* those of nerdctl.
func byAnnotations(annotations map[string]string) []string {
	switch annotations["io.container.manager"] {
	case "libpod":
		return []string{"podman"}
	case "cri-o":
		return []string{"cri-o", "kubernetes"}
	}
	var crio, containerd, nerdctl, podman bool
	for key := range annotations {
		crio = crio || strings.HasPrefix(key, "io.kubernetes.cri-o.")
		containerd = containerd || strings.HasPrefix(key, "io.kubernetes.cri.")
		nerdctl = nerdctl || strings.HasPrefix(key, "nerdctl/")
		podman = podman || strings.HasPrefix(key, "io.podman.annotations.")
	}
	switch {
	case podman:
		return []string{"podman"}
	case crio:
		return []string{"cri-o", "kubernetes"}
	case containerd:
		return []string{"containerd", "kubernetes"}
	case nerdctl:
		return []string{"containerd", "nerdctl"}
	}
	return nil
}

// byBundle goes by where containerd keeps its bundles, …/io.containerd.runtime.v2.task/NAMESPACE/ID. Docker's
// namespace is moby; that of the CRI plugin, k8s.io.
func byBundle(bundle string) []string {
	_, rest, ok := strings.Cut(bundle, "/io.containerd.runtime.v2.task/")
	if !ok {
		return nil
	}
	switch namespace, _, _ := strings.Cut(rest, "/"); namespace {
	case "moby":
		return []string{"docker"}
	case "k8s.io":
		return []string{"containerd", "kubernetes"}
	default:
		return []string{"containerd"}
	}
}

// byParents goes by the names of the process that has called this one, of its parent, and of this one itself, which is
// the engine's where bailey is a library in it.
func byParents() []string {
	pid := os.Getpid()
	for range 3 {
		data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			return nil
		}
		name, parent := parseStat(data)
		if e := byProgram(name); e != nil {
			return e
		}
		if parent <= 0 {
			return nil
		}
		pid = parent
	}
	return nil
}

// parseStat returns the name and the parent from a /proc/PID/stat, whose second field is the name in parentheses,
// with whatever characters.
func parseStat(data []byte) (name string, parent int) {
	from, to := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if from < 0 || to < from {
		return "", 0
	}
	if f := bytes.Fields(data[to+1:]); len(f) > 1 {
		n, _ := strconv.ParseUint(string(f[1]), 10, 31) // 0 for what is not understood
		parent = int(n)
	}
	return string(data[from+1 : to]), parent
}

// byProgram goes by the name of a program. The kernel keeps 15 characters of it.
func byProgram(name string) []string {
	switch name {
	case "containerd", "containerd-shim": // containerd-shim-runc-v2 and kin
		return []string{"containerd"}
	case "dockerd":
		return []string{"docker"}
	case "podman", "conmon": // CRI-O starts conmon, too, and would have left its annotations
		return []string{"podman"}
	case "crio", "conmonrs":
		return []string{"cri-o", "kubernetes"}
	case "buildah":
		return []string{"buildah"}
	case "buildkitd":
		return []string{"buildkit"}
	}
	return nil
}
