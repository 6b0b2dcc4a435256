// Bench measures OCI runtimes side by side: one after the other in every round, so that the machine's
// noise falls on all alike; medians; ratios to crun and runc. Peers that the same machine cannot run print
// why. Root only; everything that is made is removed again.
//
//	go run ./bench -runtime bailey=bin/bailey -n 30 [-only run,exec,…] [-config bare,realistic]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The measures, in the order of the tables.
var measures = []string{"run", "create", "start", "exec", "delete", "limit", "resident"}

const viewReady = "BAILEY_BENCH_VIEW"

type options struct {
	rounds  int
	only    []string
	configs []string
	view    string
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	o := options{}
	var extra []*runtime
	flag.IntVar(&o.rounds, "n", 30, "rounds")
	flag.Func("runtime", "`NAME=PATH` of a further runtime, with flags of run and create behind it, such as --userns=auto; may be repeated", func(v string) error {
		name, command, _ := strings.Cut(v, "=")
		words := strings.Fields(command)
		if name == "" || len(words) == 0 {
			return errors.New("want NAME=PATH")
		}
		extra = append(extra, &runtime{name: name, path: words[0], flags: words[1:]})
		return nil
	})
	list(&o.only, "only", measures, "measures")
	list(&o.configs, "config", []string{"bare", "realistic"}, "bundles")
	flag.StringVar(&o.view, "view", "v1", "cgroup view (v1, v2, hybrid); crun refuses hybrid, floor knows v1 alone")
	flag.Parse()
	if flag.NArg() > 0 || o.rounds < 1 {
		return errors.New("no arguments, and at least one round")
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	if os.Getenv(viewReady) == "" {
		return enterView(o.view)
	}
	runtimes, err := findRuntimes(extra)
	if err != nil {
		return err
	}
	return measureAll(o, runtimes)
}

// list adds a flag for a comma-separated subset.
func list(into *[]string, name string, all []string, what string) {
	*into = all
	flag.Func(name, "comma-separated `"+what+"`: "+strings.Join(all, ","), func(v string) error {
		*into = strings.Split(v, ",")
		for _, item := range *into {
			if !slices.Contains(all, item) {
				return fmt.Errorf("unknown: %q", item)
			}
		}
		return nil
	})
}

// enterView starts the program again with the cgroup view asked for.
func enterView(view string) error {
	const script = "scripts/cgroup-view"
	if _, err := os.Stat(script); err != nil {
		return fmt.Errorf("run this from the top of the repository: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{script, view, self}, os.Args[1:]...)
	return fmt.Errorf("%s: %w", script, syscall.Exec(script, args, append(os.Environ(), viewReady+"="+view)))
}

// findRuntimes adds the peers and makes all paths absolute.
func findRuntimes(extra []*runtime) ([]*runtime, error) {
	all := append(extra, &runtime{name: "crun", path: "crun"}, &runtime{name: "runc", path: "runc"})
	for i, r := range all {
		if slices.ContainsFunc(all[:i], func(other *runtime) bool { return other.name == r.name }) || r.name == "floor" {
			return nil, fmt.Errorf("two runtimes are called %s", r.name)
		}
		path, err := exec.LookPath(r.path)
		if err != nil {
			return nil, fmt.Errorf("runtime %s: %w", r.name, err)
		}
		if r.path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
	}
	return append(all, &runtime{name: "floor", floor: true}), nil
}
