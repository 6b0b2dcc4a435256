package harness

import (
	"os"
	"path/filepath"
	"strings"
)

// CgroupDir returns the directory of the container's cgroup in a v1 hierarchy, or with "" in the unified one,
// as the machine sees it.
func (c *Container) CgroupDir(controller string) string {
	root := cgroupRoot + "/" + controller
	if controller == "" {
		root = unifiedRoot()
	}
	return filepath.Join(root, c.Cgroup)
}

// HasController reports whether containers in this view can be limited by a controller: one of v1 in the views
// v1 and hybrid, one of v2 in v2.
func (e *Env) HasController(name string) bool {
	if e.View != V2 {
		_, err := os.Stat(cgroupRoot + "/" + name + "/cgroup.procs")
		return err == nil
	}
	b, err := os.ReadFile(unifiedRoot() + "/cgroup.controllers")
	if err != nil {
		return false
	}
	for _, have := range strings.Fields(string(b)) {
		if have == name {
			return true
		}
	}
	return false
}

// CgroupValue returns the content of a file of the container's cgroup.
func (c *Container) CgroupValue(controller, file string) string {
	c.Env.T.Helper()
	b, err := os.ReadFile(c.CgroupDir(controller) + "/" + file)
	c.Env.Must(err)
	return strings.TrimSpace(string(b))
}
