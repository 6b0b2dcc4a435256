package libruntime

import (
	"errors"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
	"github.com/bailey-oci/bailey/libruntime/policy"
)

var errOverlap = errors.New("the policy does not allow IDs that somebody else has")

// checkOverlap compares the ID mappings that config.json brings with what is known of the machine, if the policy asks for that.
// Those of a namespace that is joined are the affair of whoever has made it, and those that bailey makes up overlap with
// nothing, or, for an ordinary user who shares one range with all of one's containers, on purpose.
func (rt *Runtime) checkOverlap(b *bundle, id string) error {
	asked := b.decision.Overlap
	if asked.Value != policy.OverlapRefuse && asked.Value != policy.OverlapReport || b.ownIDs || !ownUserNamespace(b.spec) {
		return nil
	}
	conflicts, err := rt.conflicts(b.spec, id)
	if err != nil {
		return err
	}
	for _, c := range firstOfKind(conflicts) {
		text := c.String()
		if c.more > 0 {
			text += ", and " + strconv.Itoa(c.more) + " more like that"
		}
		// IDs that had a container which is gone are a matter of files that it may have left, not of this moment.
		if asked.Value == policy.OverlapRefuse && c.Kind != ledger.WithResting {
			return &fault.Error{Step: "map the container's IDs", Origin: c.Origin, Err: errOverlap,
				Cause:  strings.TrimPrefix(text, c.Origin+": ") + `; overlap = "refuse" by ` + asked.Why(),
				Remedy: "have the engine use IDs of nobody else's (bailey ids list says who has which), or none, and start the container with --userns auto"}
		}
		rt.warn("config.json " + text)
	}
	return nil
}

func (rt *Runtime) conflicts(s *specs.Spec, id string) ([]ledger.Conflict, error) {
	l, root, err := rt.ledger(ledger.Options{})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Conflicts(s.Linux.UIDMappings, s.Linux.GIDMappings, ledger.Against{ID: id, StateRoot: root, Live: true})
}

// conflict is a conflict that stands for more of its kind.
type conflict struct {
	ledger.Conflict
	more int
}

// firstOfKind returns the first conflict of each kind for each line of the mappings: a container has many processes.
func firstOfKind(list []ledger.Conflict) []conflict {
	type kind struct {
		ledger.ConflictKind
		origin string
	}
	at := make(map[kind]int)
	var first []conflict
	for _, c := range list {
		k := kind{c.Kind, c.Origin}
		if i, ok := at[k]; ok {
			first[i].more++
			continue
		}
		at[k] = len(first)
		first = append(first, conflict{Conflict: c})
	}
	return first
}
