package podman

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

type check = engine.Check[*podman]

// where says whose checks and in which cgroup views something is checked.
type where int

const (
	everywhere where = iota
	onlyRoot
	onlyRootless
	onlyV1 // of root: an ordinary user has no cgroups of v1
	onlyV2
	// wherePods: Podman 4.3 with cgroupfs denies a pod of root's all devices in cgroup v2, whatever the runtime.
	wherePods
)

func (w where) is(rootless bool) bool {
	switch w {
	case onlyRoot:
		return !rootless
	case onlyRootless:
		return rootless
	case onlyV1:
		return !rootless && engine.View() == "v1"
	case onlyV2:
		return engine.View() == "v2"
	case wherePods:
		return rootless || engine.View() == "v1"
	}
	return true
}

// line is a check of what one container prints. In its options a blank ends a word, and a tilde stands for one that does not.
type line struct {
	name, options, script string
	says                  string // a pattern for the whole
	status                int
	where                 where
}

// checksOf returns checks of lines.
func checksOf(rootless bool, lines []line) []check {
	var all []check
	for _, l := range lines {
		if !l.where.is(rootless) {
			continue
		}
		pattern := regexp.MustCompile(`(?s)\A` + l.says + `\s*\z`)
		all = append(all, check{Name: l.name, Do: func(c *engine.C, p *podman) {
			var args []string
			for _, word := range strings.Fields(l.options) {
				args = append(args, strings.ReplaceAll(word, "~", " "))
			}
			args = append(args, image, "sh", "-c", l.script)
			if out, status := p.runStatus(c, args...); status != l.status || !pattern.MatchString(out) {
				c.Errorf("exit status %d, want %d: %q, want %q", status, l.status, out, l.says)
			}
		}})
	}
	return all
}

// steps is a check of several commands, and whose.
type steps struct {
	name  string
	where where
	do    func(c *engine.C, p *podman)
}

// checksIn returns checks; what one that fails has made is removed.
func checksIn(rootless bool, all []steps) []check {
	var checks []check
	for _, s := range all {
		if !s.where.is(rootless) {
			continue
		}
		checks = append(checks, check{Name: s.name, Do: func(c *engine.C, p *podman) {
			done := false
			defer func() {
				if !done {
					p.reset(c)
				}
			}()
			s.do(c, p)
			done = !c.Failed()
		}})
	}
	return checks
}

// reset removes everything.
func (p *podman) reset(t testing.TB) {
	for _, args := range [][]string{{"pod", "rm", "-f", "-t", "0", "-a"}, {"rm", "-f", "-t", "0", "-a"}, {"volume", "prune", "-f"}} {
		_, _ = p.status(t, args...)
	}
}

// all returns every check of a user.
func all(rootless bool) []check {
	if rootless && engine.View() == "v1" {
		// Without cgroups of their own, ordinary users' containers differ in little else.
		return slices.Concat(checksIn(true, execs), checksIn(true, namespaces), checksIn(true, pods))
	}
	checks := checksOf(rootless, lines)
	for _, some := range [][]steps{life, execs, namespaces, volumes, pods, many, checkpoints, networks} {
		checks = append(checks, checksIn(rootless, some)...)
	}
	return checks
}

func TestRoot(t *testing.T) { test(t, "Podman", false) }

func TestRootless(t *testing.T) { test(t, "Podman rootless", true) }

func test(t *testing.T, name string, rootless bool) {
	prepare(t)
	engine.Run(t, name, engine.Runtimes(t), func(t *testing.T, r engine.Runtime) *podman {
		return newPodman(t, rootless, r)
	}, left, all(rootless))
}
