package libruntime

import (
	"errors"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/explain"
	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/nsexec"
)

// machine is where explanations look for facts.
func machine() *explain.Machine { return explain.Here(nsexec.TryNamespaces) }

// explained returns what explains the failures of a plan's operations. slot returns the file that was opened into a slot.
func explained(p *plan.Plan, slot func(plan.Slot) *os.File) func(*nsexec.Failure) (cause, remedy string) {
	return func(f *nsexec.Failure) (string, string) {
		why := machine().Operation(&explain.Failure{Action: f.Op.Action, Plan: p, PID: f.PID, Syscall: f.Syscall, Object: f.Object,
			Errno: f.Errno, Evidence: f.Evidence, Slot: slot})
		return why.Cause, why.Remedy
	}
}

// explainAction adds to the error of an action that bailey itself has failed to do why that is, if it can be found out.
func explainAction(f *fault.Error, a plan.Action) {
	var errno syscall.Errno
	if f.Cause != "" || !errors.As(f.Err, &errno) {
		return
	}
	why := machine().Operation(&explain.Failure{Action: a, Syscall: f.Syscall, Errno: errno})
	f.Cause, f.Remedy = why.Cause, why.Remedy
}

// explainConfig adds to an error of the configuration what only a look at the machine tells.
func explainConfig(err error, s *specs.Spec) error {
	var f *fault.Error
	if errors.As(err, &f) && s.Linux != nil {
		if why := idmap.ExplainOverlap(f.Origin, s); why != (explain.Why{}) {
			f.Cause, f.Remedy = why.Cause, why.Remedy
		}
	}
	return err
}

// explainPath adds to an error about a path which part of it bars the way.
func explainPath(f *fault.Error, path string) {
	var errno syscall.Errno
	if errors.As(f.Err, &errno) {
		why := machine().Unreachable(path, errno)
		f.Cause, f.Remedy = why.Cause, why.Remedy
	}
}
