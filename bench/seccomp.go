package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
)

// profilePath is Docker's default profile as Debian's golang-github-containers-common carries it.
const profilePath = "/usr/share/containers/seccomp.json"

// profile is the engines' own format: rules with conditions, which the engine resolves before it calls a
// runtime.
type profile struct {
	DefaultAction   string
	DefaultErrnoRet uint
	ArchMap         []struct {
		Architecture     string
		SubArchitectures []string
	}
	Syscalls []struct {
		Names    []string
		Action   string
		ErrnoRet *uint
		Args     []struct {
			Index    uint   `json:"index"`
			Value    uint64 `json:"value"`
			ValueTwo uint64 `json:"valueTwo"`
			Op       string `json:"op"`
		}
		Includes, Excludes struct{ Caps, Arches []string }
	}
}

// loadProfile resolves the profile for the default capabilities: the OCI form is returned, and compiled to
// seccomp.bpf in dir for floor.
func loadProfile(dir string) (object, error) {
	text, err := os.ReadFile(profilePath)
	if err != nil {
		return nil, err
	}
	var p profile
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", profilePath, err)
	}
	native := map[string]string{"amd64": "SCMP_ARCH_X86_64", "arm64": "SCMP_ARCH_AARCH64"}[goruntime.GOARCH]
	var arches []string
	for _, a := range p.ArchMap {
		if a.Architecture == native {
			arches = append([]string{native}, a.SubArchitectures...)
		}
	}
	if arches == nil {
		return nil, fmt.Errorf("%s does not know this architecture", profilePath)
	}

	var rules []object
	plain := fmt.Sprintf("%s %d\n", p.DefaultAction, p.DefaultErrnoRet) // what bench/bpf.c reads
	kept := func(c string) bool { return slices.Contains(capabilities, c) }
	here := func(a string) bool { return a == goruntime.GOARCH }
	for _, s := range p.Syscalls {
		missing := slices.ContainsFunc(s.Includes.Caps, func(c string) bool { return !kept(c) })
		elsewhere := len(s.Includes.Arches) > 0 && !slices.ContainsFunc(s.Includes.Arches, here)
		excluded := slices.ContainsFunc(s.Excludes.Caps, kept) || slices.ContainsFunc(s.Excludes.Arches, here)
		if missing || elsewhere || excluded {
			continue
		}
		rule := object{"names": s.Names, "action": s.Action}
		errno, args := uint(1), ""
		if s.ErrnoRet != nil {
			errno = *s.ErrnoRet
			rule["errnoRet"] = errno
		}
		if len(s.Args) > 0 {
			rule["args"] = s.Args
		}
		for _, a := range s.Args {
			args += fmt.Sprintf(" %d %s %d %d", a.Index, a.Op, a.Value, a.ValueTwo)
		}
		for _, name := range s.Names {
			plain += fmt.Sprintf("%s %d %s%s\n", s.Action, errno, name, args)
		}
		rules = append(rules, rule)
	}

	compile := exec.Command(filepath.Join(dir, "bpf"))
	compile.Stdin = strings.NewReader(plain)
	compile.Stderr = os.Stderr
	filter, err := compile.Output()
	if err != nil {
		return nil, fmt.Errorf("compiling %s: %w", profilePath, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "seccomp.bpf"), filter, 0o644); err != nil {
		return nil, err
	}
	return object{
		"defaultAction":   p.DefaultAction,
		"defaultErrnoRet": p.DefaultErrnoRet,
		"architectures":   arches,
		"syscalls":        rules,
	}, nil
}
