package libruntime

import (
	"os"
	"strconv"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// cgroupFiles are the open files by which a process joins the container's cgroups, or why there are none.
type cgroupFiles struct {
	directory *os.File   // of the v2 hierarchy, nil without one
	tasks     []*os.File // of the v1 hierarchies
	err       error
}

// makeCgroup makes the container's cgroups, limits set, and opens them. It uses nothing else of the
// creation, so that it may run beside the rest.
func (c *creation) makeCgroup() (f cgroupFiles) {
	if f.err = c.cgroup.Create(); f.err == nil {
		f.directory, f.tasks, f.err = c.cgroup.JoinFiles()
	}
	return f
}

// into adds the files to those that the preamble is sent.
func (f cgroupFiles) into(files map[plan.Slot]*os.File) {
	if f.directory != nil {
		files[plan.SlotCgroup] = f.directory
	}
	for i, t := range f.tasks {
		files[plan.Slot("cgroup/"+strconv.Itoa(i))] = t
	}
}

func (f cgroupFiles) close() {
	if f.directory != nil {
		f.directory.Close()
	}
	for _, t := range f.tasks {
		t.Close()
	}
}
