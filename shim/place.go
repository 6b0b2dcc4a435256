package shim

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/bailey-oci/bailey/shim/wire"
)

const cgroupRoot = "/sys/fs/cgroup"

// place puts the serving process where it belongs: into the cgroup that options name, and a little nearer to the out-of-memory
// killer than containerd.
func place(pid int, options *wire.Options) error {
	if options != nil && options.ShimCgroup != "" {
		if err := join(pid, options.ShimCgroup); err != nil {
			return err
		}
	}
	parent, err := oomScore(os.Getppid())
	if err != nil {
		return err
	}
	path := "/proc/" + strconv.Itoa(pid) + "/oom_score_adj"
	err = os.WriteFile(path, strconv.AppendInt(nil, int64(min(parent+1, 1000)), 10), 0)
	if errors.Is(err, fs.ErrPermission) {
		return nil // in a user namespace; it has that of its parent then
	}
	return err
}

func oomScore(pid int) (int, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/oom_score_adj")
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(data)), 10, 16)
	return int(n), err
}

// join puts a process into the cgroup at path, in every hierarchy that has it.
func join(pid int, path string) error {
	places, err := filepath.Glob(cgroupRoot + "/*" + filepath.Join("/", path, "cgroup.procs"))
	if err != nil {
		return err
	}
	places = append(places, filepath.Join(cgroupRoot, path, "cgroup.procs"))
	found := false
	for _, p := range places {
		err := os.WriteFile(p, strconv.AppendInt(nil, int64(pid), 10), 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		found = found || err == nil
	}
	if !found {
		return errors.New("there is no cgroup " + path + " for the shim (ShimCgroup)")
	}
	return nil
}
