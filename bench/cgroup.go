package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies are the mounted cgroup trees.
func hierarchies() ([]string, error) {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		return []string{cgroupRoot}, nil
	}
	dirs, err := filepath.Glob(cgroupRoot + "/*/cgroup.procs")
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	if err == nil && len(dirs) == 0 {
		err = fmt.Errorf("no cgroup hierarchy below %s", cgroupRoot)
	}
	return dirs, err
}

// makeCgroups makes the parent of all cgroups of this run.
func (w *workshop) makeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	for _, root := range roots {
		dir := root + w.cgroup
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		// A new cpuset is empty, and so would be all below it.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			value, err := os.ReadFile(filepath.Join(root, file))
			if err != nil || filepath.Base(root) != "cpuset" {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, file), value, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeCgroups removes them, and says which it could not.
func (w *workshop) removeCgroups() error {
	roots, err := hierarchies()
	if err != nil {
		return err
	}
	var left []string
	for _, root := range roots {
		err := filepath.WalkDir(root+w.cgroup, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				left = append(left, path)
			}
			return err
		})
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	var failed []string
	for i := len(left) - 1; i >= 0; i-- { // children after parents in left
		if err := os.Remove(left[i]); err != nil {
			failed = append(failed, err.Error())
		}
	}
	if failed != nil {
		return fmt.Errorf("cgroups left behind: %s", strings.Join(failed, "; "))
	}
	return nil
}
