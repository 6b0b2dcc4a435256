package libruntime

import (
	"os"
	"strconv"

	"github.com/bailey-oci/bailey/libruntime/plan"
)

// cgroupFiles are the open files by which a process joins the container's cgroups.
type cgroupFiles struct {
	directory *os.File   // of the v2 hierarchy, nil without one
	tasks     []*os.File // of the v1 hierarchies
}

// makeCgroup makes the container's cgroups, limits set, and opens them.
func (c *creation) makeCgroup() (*cgroupFiles, error) {
	if err := c.cgroup.Create(); err != nil {
		return nil, err
	}
	directory, tasks, err := c.cgroup.JoinFiles()
	if err != nil {
		return nil, err
	}
	return &cgroupFiles{directory, tasks}, nil
}

// into adds the files to those that the preamble is sent.
func (f *cgroupFiles) into(files map[plan.Slot]*os.File) {
	if f.directory != nil {
		files[plan.SlotCgroup] = f.directory
	}
	for i, t := range f.tasks {
		files[plan.Slot("cgroup/"+strconv.Itoa(i))] = t
	}
}

// close closes what was made and is not needed; f may be nil.
func (f *cgroupFiles) close() {
	if f == nil {
		return
	}
	if f.directory != nil {
		f.directory.Close()
	}
	for _, t := range f.tasks {
		t.Close()
	}
}
