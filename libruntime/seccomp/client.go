//go:build !cgo

package seccomp

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/internal/memfd"
)

// Compile compiles a profile. System calls that libseccomp does not know are left out and, unless they
// were to be allowed, reported as warnings; everything else that cannot be done is an error with the field
// it is about.
func Compile(cfg *specs.LinuxSeccomp) (*Program, error) {
	if cfg == nil {
		return nil, fault.New("compile the seccomp profile: there is none", origin)
	}
	request, err := json.Marshal(cfg)
	if err != nil {
		return nil, fault.Wrap(err, "compile the seccomp profile", origin)
	}
	a, err := ask(request)
	switch {
	case err != nil:
		return nil, fault.Wrap(err, "compile the seccomp profile", origin)
	case a.Error != nil:
		return nil, a.Error.fault()
	case a.Program == nil:
		return nil, fault.New("compile the seccomp profile: no program came", origin)
	}
	return a.Program, Check(a.Program.Filter)
}

// Architectures returns the names that config.json can use, for the features command.
func Architectures() []string {
	a, err := ask(nil)
	if err != nil {
		return nil
	}
	return a.Architectures
}

// LibraryVersion returns libseccomp's version, "2.5.4".
func LibraryVersion() string {
	version, _, _ := strings.Cut(imageVersion, " ")
	return version
}

// compilerVersion returns what a compiled program depends on besides this package: libseccomp's version, and the
// checksum of the program that it is in.
func compilerVersion() string { return imageVersion }

func ask(request []byte) (*answer, error) {
	program, err := memfd.Program("bailey-seccomp", image)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	cmd := exec.Command("/proc/self/fd/" + strconv.Itoa(int(program.Fd())))
	cmd.Env = []string{"GOMAXPROCS=1"}
	cmd.Stdin, cmd.Stderr = bytes.NewReader(request), os.Stderr
	reply, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	var a answer
	return &a, json.Unmarshal(reply, &a)
}

func (r *refusal) fault() error {
	f := &fault.Error{Step: r.Step, Origin: r.Origin, Object: r.Object, Cause: r.Cause, Remedy: r.Remedy}
	if r.Err != "" {
		f.Err = errors.New(r.Err)
	}
	return f
}
