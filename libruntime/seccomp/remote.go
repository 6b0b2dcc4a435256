package seccomp

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
)

// libseccomp is C, and a Go program with C in it takes half a millisecond longer to start, every time, for what is
// needed once per profile. So it is in a program of its own, cmd/bailey-seccomp, which bailey carries with it and
// executes on a miss of the cache: built without cgo, this package asks that program; built with cgo, it does what
// that program does.

// answer is what the program says, as JSON.
type answer struct {
	Program       *Program
	Architectures []string
	Error         *refusal
}

// refusal is a fault.Error in transit.
type refusal struct{ Step, Origin, Object, Err, Cause, Remedy string }

func refused(err error) *refusal {
	var f *fault.Error
	if !errors.As(err, &f) {
		return &refusal{Step: err.Error()}
	}
	r := &refusal{f.Step, f.Origin, f.Object, "", f.Cause, f.Remedy}
	if f.Err != nil {
		r.Err = f.Err.Error()
	}
	return r
}

// Serve answers one request of another bailey's: a profile as JSON, or nothing for what libseccomp can do.
func Serve(request []byte) ([]byte, error) {
	var a answer
	if len(request) == 0 {
		a.Architectures = Architectures()
		return json.Marshal(&a)
	}
	var cfg specs.LinuxSeccomp
	err := json.Unmarshal(request, &cfg)
	if err == nil {
		a.Program, err = Compile(&cfg)
	}
	if err != nil {
		a.Error = refused(err)
	}
	return json.Marshal(&a)
}
