package ledger

import (
	"errors"
	"fmt"

	"github.com/bailey-oci/bailey/internal/fault"
)

// ErrInUse is what the error wraps for a range whose container may still be there.
var ErrInUse = errors.New("the container is still there")

// Abandon is Release for a container that is gone in a way that nobody noticed: by hand, with its state directory. It
// fails if the container has a state directory or is being made, if a process has its IDs, or if it holds none.
func (l *Ledger) Abandon(id, stateRoot string) error {
	f := &fault.Error{Step: "release the IDs of " + id}
	t, err := l.open(toRelease)
	if err != nil {
		return err
	}
	defer t.close()
	k := key{root: stateRoot, id: id}
	held, err := t.find(k)
	if err != nil {
		return err
	}
	if len(held) == 0 {
		f.Err = errors.New("it holds none")
		f.Remedy = "bailey ids list says who does"
		return f
	}
	live, err := l.live()
	if err != nil {
		return err
	}
	for _, i := range held {
		s := t.slot(i)
		f.Err = ErrInUse
		if l.made(k) {
			f.Cause = "its state directory " + stateRoot + "/" + id + " exists"
			f.Remedy = "bailey --root " + stateRoot + " delete --force " + id
			return f
		}
		if t.creating(s) {
			p, _ := s.creator()
			f.Cause = fmt.Sprintf("process %d, which makes it, has not ended, or is in another PID namespace", p.PID)
			return f
		}
		for _, p := range live {
			if s.users().hits(p.users) || s.groups().hits(p.groups) {
				f.Cause = fmt.Sprintf("process %d (%s) has its IDs", p.PID, p.Command)
				f.Remedy = "end the process first"
				return f
			}
		}
		if err := t.rest(i); err != nil {
			return err
		}
	}
	return nil
}
