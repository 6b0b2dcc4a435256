package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	goruntime "runtime"
	"slices"
	"strings"
	"time"
)

func printFacts(o options, runtimes []*runtime) {
	fmt.Printf("# Benchmark\n\n")
	fmt.Printf("* %d rounds, runtimes in turn in each; cgroup view %s; %s\n", o.rounds, o.view, time.Now().UTC().Format(time.DateOnly))
	fmt.Printf("* Linux %s, %d × %s, %s\n", firstLine("/proc/sys/kernel/osrelease"), goruntime.NumCPU(),
		field("/proc/cpuinfo", `(?m)^model name\s*: (.*)$`), field("/proc/meminfo", `MemTotal:\s*(.*)`))
	fmt.Printf("* load at the beginning %s\n", firstLine("/proc/loadavg"))
	for _, r := range runtimes {
		if r.floor {
			fmt.Printf("* floor: bench/floor.c, the kernel's own cost\n")
			continue
		}
		out, err := exec.Command(r.path, "--version").Output()
		version, _, _ := strings.Cut(string(out), "\n")
		if err != nil {
			version = err.Error()
		}
		fmt.Printf("* %s: %s\n", r.name, version)
	}
	fmt.Printf("\nCPU: user and system time of the runtime and the children it waited for. Peak: the largest\n" +
		"resident set among them.\n")
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func field(path, pattern string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	if m := regexp.MustCompile(pattern).FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return "unknown"
}

// at is a quantile of the samples; s must not be empty.
func (s *series) at(q float64, value func(sample) float64) float64 {
	all := make([]float64, 0, len(s.samples))
	for _, one := range s.samples {
		all = append(all, value(one))
	}
	slices.Sort(all)
	if n := len(all); q == 0.5 && n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[int(q*float64(len(all)-1)+0.5)]
}

func wall(s sample) float64 { return s.wall.Seconds() * 1e3 }
func cpu(s sample) float64  { return s.cpu.Seconds() * 1e3 }
func peak(s sample) float64 { return float64(s.peak) / (1 << 20) }

// peers are what everything is compared with.
var peers = []string{"crun", "runc"}

// ratio is a part of a table row: a figure divided by each peer's.
func ratio(mine float64, of func(peer string) (float64, bool)) string {
	cells := ""
	for _, p := range peers {
		if theirs, ok := of(p); ok && theirs > 0 {
			cells += fmt.Sprintf(" %.2f |", mine/theirs)
		} else {
			cells += " – |"
		}
	}
	return cells
}

func printTimes(config string, o options, runtimes []*runtime, res results) {
	fmt.Printf("\n## %s\n\n", config)
	fmt.Println("| measure | runtime | wall ms | p10 | ÷ crun | ÷ runc | CPU ms | ÷ crun | ÷ runc | peak MiB |")
	fmt.Println("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, m := range o.only {
		if res[m] == nil {
			continue
		}
		for _, r := range runtimes {
			s := res[m][r.name]
			switch {
			case s == nil && r.floor: // it can only run
			case s == nil || s.err == nil && len(s.samples) == 0:
				fmt.Printf("| %s | %s | not reached | | | | | | | |\n", m, r.name)
			case s.err != nil:
				fmt.Printf("| %s | %s | failed: %s | | | | | | | |\n", m, r.name, strings.ReplaceAll(s.err.Error(), "|", `\|`))
			default:
				median := func(value func(sample) float64) func(string) (float64, bool) {
					return func(peer string) (float64, bool) {
						t := res[m][peer]
						if t == nil || t.err != nil || len(t.samples) == 0 {
							return 0, false
						}
						return t.at(0.5, value), true
					}
				}
				fmt.Printf("| %s | %s | %.2f | %.2f |%s %.2f |%s %.1f |\n", m, r.name,
					s.at(0.5, wall), s.at(0.1, wall), ratio(s.at(0.5, wall), median(wall)),
					s.at(0.5, cpu), ratio(s.at(0.5, cpu), median(cpu)), s.at(0.5, peak))
			}
		}
	}
}

func printMemory(w *workshop, runtimes []*runtime, wanted func(string) bool) {
	fmt.Printf("\n## Memory\n\n")
	fmt.Println("limit: the lowest memory limit with which `run` of /bin/true works (bare). resident: private memory of a\n" +
		"container's init that waits for start (realistic).")
	fmt.Println("\n| measure | runtime | KiB | ÷ crun | ÷ runc |\n|---|---|--:|--:|--:|")
	for _, measure := range []string{"limit", "resident"} {
		if !wanted(measure) {
			continue
		}
		get := w.lowestLimit
		if measure == "resident" {
			get = w.resident
		}
		bytes, failed := map[string]float64{}, map[string]error{}
		for _, r := range runtimes {
			if r.floor && measure == "resident" {
				continue
			}
			n, err := get(r)
			if err != nil {
				failed[r.name] = err
				continue
			}
			bytes[r.name] = float64(n)
		}
		for _, r := range runtimes {
			n, ok := bytes[r.name]
			if err := failed[r.name]; err != nil {
				fmt.Printf("| %s | %s | failed: %s | | |\n", measure, r.name, strings.ReplaceAll(err.Error(), "|", `\|`))
			} else if ok {
				peer := func(p string) (float64, bool) { v, ok := bytes[p]; return v, ok }
				fmt.Printf("| %s | %s | %.0f |%s\n", measure, r.name, n/1024, ratio(n, peer))
			}
		}
	}
}
