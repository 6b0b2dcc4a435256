package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// series are the samples of one measure of one runtime, or the first error.
type series struct {
	samples []sample
	err     error
}

func (s *series) add(one sample, err error) {
	if err != nil && s.err == nil {
		s.err = err
	}
	if err == nil {
		s.samples = append(s.samples, one)
	}
}

// results of one bundle: measure, then runtime.
type results map[string]map[string]*series

func (r results) of(measure string, rt *runtime) *series {
	if r[measure] == nil {
		r[measure] = map[string]*series{}
	}
	if r[measure][rt.name] == nil {
		r[measure][rt.name] = &series{}
	}
	return r[measure][rt.name]
}

func measureAll(o options, runtimes []*runtime) (err error) {
	if err := subreaper(); err != nil {
		return err
	}
	w, err := newWorkshop()
	if w != nil && w.dir != "" {
		defer func() { err = errors.Join(err, w.remove()) }()
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.removeCgroups()) }()
	if err := w.makeCgroups(); err != nil {
		return err
	}

	printFacts(o, runtimes)
	wanted := func(measure string) bool { return slices.Contains(o.only, measure) }
	lifecycle := wanted("create") || wanted("start") || wanted("exec") || wanted("delete")
	timed := lifecycle || wanted("run")
	for _, config := range o.configs {
		if !timed {
			break
		}
		res := results{}
		// One more round than asked for: the first warms caches and is thrown away.
		for round := range o.rounds + 1 {
			if round == 1 {
				res = res.errorsOnly()
			}
			for _, r := range runtimes {
				if wanted("run") && res.of("run", r).err == nil {
					s, err := w.run(r, config, 0)
					res.of("run", r).add(s, err)
				}
				if lifecycle && !r.floor && res.of("create", r).err == nil {
					w.live(r, config, res)
				}
			}
		}
		printTimes(config, o, runtimes, res)
	}
	if wanted("limit") || wanted("resident") {
		printMemory(w, runtimes, wanted)
	}
	return nil
}

// errorsOnly drops the samples: a runtime that failed once stays failed.
func (r results) errorsOnly() results {
	for _, byRuntime := range r {
		for _, s := range byRuntime {
			s.samples = nil
		}
	}
	return r
}

// live measures one life: create, start, exec, delete. What fails ends it.
func (w *workshop) live(r *runtime, config string, res results) {
	c, s, err := w.create(r, config)
	res.of("create", r).add(s, err)
	if err != nil {
		return
	}
	defer w.discard(r, c.id)
	for _, step := range []struct {
		measure string
		args    []string
	}{
		{"start", []string{"start", c.id}},
		{"exec", []string{"exec", c.id, "/bin/true"}},
		{"delete", []string{"delete", c.id}},
	} {
		if step.measure == "delete" {
			if err := c.end(); err != nil {
				res.of("delete", r).add(sample{}, err)
				return
			}
		}
		s, err := c.do(step.args...)
		res.of(step.measure, r).add(s, err)
		if err != nil {
			return
		}
	}
}

// lowestLimit is the smallest memory limit (v1 memory cgroup, in steps of 16 KiB) with which `run` of
// /bin/true works three times in a row.
func (w *workshop) lowestLimit(r *runtime) (int64, error) {
	const step, most = 16 << 10, 256 << 20
	works := func(limit int64) error {
		for range 3 {
			if _, err := w.run(r, "bare", limit); err != nil {
				return err
			}
		}
		return nil
	}
	if err := works(most); err != nil {
		return 0, err
	}
	low, high := int64(0), int64(most/step)
	for high-low > 1 {
		middle := (low + high) / 2
		if works(middle*step) == nil {
			high = middle
		} else {
			low = middle
		}
	}
	return high * step, nil
}

var private = regexp.MustCompile(`(?m)^Private_(?:Clean|Dirty): +(\d+) kB$`)

// resident is what a container's init has for itself alone while it waits for start.
func (w *workshop) resident(r *runtime) (int64, error) {
	c, _, err := w.create(r, "realistic")
	if err != nil {
		return 0, err
	}
	defer w.discard(r, c.id)
	time.Sleep(50 * time.Millisecond) // let it settle
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(c.pid), "smaps_rollup"))
	if err != nil {
		return 0, err
	}
	found := private.FindAllSubmatch(text, -1)
	if len(found) != 2 {
		return 0, fmt.Errorf("smaps_rollup of %d: %d lines of private memory", c.pid, len(found))
	}
	total := int64(0)
	for _, m := range found {
		kib, err := strconv.ParseInt(string(m[1]), 10, 64)
		if err != nil {
			return 0, err
		}
		total += kib << 10
	}
	return total, nil
}
