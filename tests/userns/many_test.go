package userns

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/tests/internal/harness"
)

// holder is an element of what `bailey ids list --format json` prints.
type holder struct {
	State, ID      string
	UID, GID, Size uint32
}

// holders returns the ranges that containers hold.
func holders(e *harness.Env) map[string]holder {
	e.T.Helper()
	var list []holder
	e.Must(json.Unmarshal([]byte(e.Bailey("ids", "--format", "json", "list").OK(e)), &list))
	held := make(map[string]holder)
	for _, h := range list {
		if h.State == "held" {
			if _, twice := held[h.ID]; twice {
				e.T.Errorf("%s holds two ranges", h.ID)
			}
			held[h.ID] = h
		}
	}
	return held
}

// noneHeld wants that no container holds IDs, and that the ledger finds nothing to complain about.
func noneHeld(e *harness.Env) {
	e.T.Helper()
	if held := holders(e); len(held) > 0 {
		e.T.Errorf("still held: %v", held)
	}
	if r := e.Bailey("ids", "check"); r.Code != 0 {
		e.T.Error(r)
	}
}

// idMap is a line of an ID map.
type idMap struct{ inside, outside, size uint32 }

// liveMap returns uid_map or gid_map of a process; nil if it has ended.
func liveMap(pid int, file string) []idMap {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return nil
	}
	var lines []idMap
	for line := range strings.Lines(string(b)) {
		var m idMap
		fmt.Sscan(line, &m.inside, &m.outside, &m.size)
		lines = append(lines, m)
	}
	return lines
}

// disjoint wants that no two maps share an ID, and that all are of the Env's account.
func disjoint(e *harness.Env, maps map[string][]idMap) {
	e.T.Helper()
	type owned struct {
		idMap
		id string
	}
	var all []owned
	for id, lines := range maps {
		for _, m := range lines {
			all = append(all, owned{m, id})
		}
	}
	slices.SortFunc(all, func(a, b owned) int { return int(int64(a.outside) - int64(b.outside)) })
	for i, m := range all {
		if m.outside < e.Account() || m.outside+m.size > e.Account()+harness.AccountSize {
			e.T.Errorf("%s has IDs of nobody's: %+v", m.id, m.idMap)
		}
		if i > 0 && all[i-1].outside+all[i-1].size > m.outside {
			e.T.Errorf("%s and %s share IDs: %+v, %+v", all[i-1].id, m.id, all[i-1].idMap, m.idMap)
		}
	}
}

// inhabited returns the maps of all the user namespaces with processes that have IDs of the Env's account.
func inhabited(e *harness.Env, file string) map[string][]idMap {
	e.T.Helper()
	maps := make(map[string][]idMap)
	procs, err := filepath.Glob("/proc/[0-9]*")
	e.Must(err)
	for _, proc := range procs {
		pid, _ := strconv.Atoi(filepath.Base(proc))
		for _, m := range liveMap(pid, file) {
			if m.outside >= e.Account() && m.outside < e.Account()+harness.AccountSize {
				maps[harness.Namespace(pid, "user")] = liveMap(pid, file)
			}
		}
	}
	delete(maps, "") // has ended meanwhile
	return maps
}

// crowd is many containers with one root filesystem.
type crowd struct {
	e      *harness.Env
	bundle string
	ids    []string
}

// newCrowd makes bundles of the least that is a container.
func newCrowd(e *harness.Env, n int) *crowd {
	e.T.Helper()
	c := e.Container(harness.Without(specs.NetworkNamespace, specs.CgroupNamespace), func(s *specs.Spec) {
		s.Mounts = s.Mounts[:1] // /proc
		s.Linux.Resources, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil, nil
		s.Linux.CgroupsPath = ""
		s.Process.Args = []string{"probe", "pause"}
	})
	crowd := &crowd{e: e, bundle: c.Bundle}
	for i := range n {
		crowd.ids = append(crowd.ids, fmt.Sprintf("%s-c%d", e.ID, i))
	}
	e.Must(os.Mkdir(e.Path("pids"), 0o755))
	e.T.Cleanup(func() { crowd.each(8, func(id string) { crowd.run("delete", "--force", id) }) })
	return crowd
}

func (c *crowd) args(args ...string) []string {
	return append([]string{"--cgroup-manager", "disabled"}, args...)
}

func (c *crowd) run(args ...string) *harness.Result { return c.e.Bailey(c.args(args...)...) }

func (c *crowd) create(id, size string) []string {
	return c.args("create", "--bundle", c.bundle, "--pid-file", c.e.Path("pids/"+id), "--userns", "auto:size="+size, id)
}

// each calls do for all containers, some at once.
func (c *crowd) each(workers int, do func(id string)) {
	work := make(chan string)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for id := range work {
				do(id)
			}
		})
	}
	for _, id := range c.ids {
		work <- id
	}
	close(work)
	wg.Wait()
}

// pid returns the process ID of a container's init, 0 where none was written.
func (c *crowd) pid(id string) int {
	var pid int
	b, _ := os.ReadFile(c.e.Path("pids/" + id))
	fmt.Sscan(string(b), &pid)
	return pid
}

// A thousand containers live at once, and no two of them share an ID.
func TestThousand(t *testing.T) {
	const many, size = 1000, 1024
	e := newEnv(t)
	c := newCrowd(e, many)
	began := time.Now()
	c.each(8, func(id string) {
		if r := e.Bailey(c.create(id, fmt.Sprint(size))...); r.Code != 0 {
			t.Error(r)
		}
	})
	t.Logf("%d containers made in %v", many, time.Since(began))
	held := holders(e)
	for _, file := range []string{"uid_map", "gid_map"} {
		maps := make(map[string][]idMap)
		for _, id := range c.ids {
			m, h := liveMap(c.pid(id), file), held[id]
			want := idMap{0, h.UID, size}
			if file == "gid_map" {
				want.outside = h.GID
			}
			if len(m) != 1 || m[0] != want || h.Size != size {
				t.Errorf("%s of %s: %v; the ledger has %+v", file, id, m, h)
			}
			maps[id] = m
		}
		disjoint(e, maps)
	}
	if len(held) != many {
		t.Errorf("%d ranges are held", len(held))
	}
	if r := e.Bailey("ids", "check"); r.Code != 0 {
		t.Error(r)
	}
	began = time.Now()
	c.each(8, func(id string) {
		if r := c.run("delete", "--force", id); r.Code != 0 {
			t.Error(r)
		}
	})
	t.Logf("deleted in %v", time.Since(began))
	noneHeld(e)
	e.CheckNothingLeft()
}

// Of fifty containers that are made at once, bailey is killed at any moment. Who lives has IDs of its own, and nothing is left
// when all were deleted; again and again with the same names.
func TestKilledInACrowd(t *testing.T) {
	const rounds, many = 4, 50
	e := newEnv(t)
	c := newCrowd(e, many)
	for round := range rounds {
		var mu sync.Mutex
		killed := 0
		c.each(many, func(id string) {
			os.Remove(e.Path("pids/" + id))
			cmd := e.Start(harness.Options{}, c.create(id, "4096")...)
			if rand.IntN(4) > 0 {
				time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
				cmd.Signal(syscall.SIGKILL)
			}
			switch r := cmd.Wait(); r.Code {
			case 0:
			case -int(syscall.SIGKILL):
				mu.Lock()
				killed++
				mu.Unlock()
			default:
				t.Error(r)
			}
		})
		// Those that nobody has a record of count, too.
		for _, file := range []string{"uid_map", "gid_map"} {
			maps := inhabited(e, file)
			disjoint(e, maps)
			t.Logf("round %d: %d killed, %d user namespaces live", round, killed, len(maps))
		}
		c.each(8, func(id string) {
			if r := c.run("delete", "--force", id); r.Code != 0 {
				t.Error(r)
			}
		})
		e.CheckNothingLeft()
		e.Eventually("no process has IDs of the account", func() bool { return len(inhabited(e, "uid_map")) == 0 })
		noneHeld(e)
	}
}
