package libruntime

import (
	"encoding/json"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// sendListener sends the descriptor of a seccomp listener, with the container process state (config-linux.md, "The
// Container Process State"), to the agent at linux.seccomp.listenerPath. pid is the process that the filter is for.
func sendListener(listener *os.File, s *specs.Spec, rec *store.Record, status store.Status, pid int) error {
	const origin = "/linux/seccomp/listenerPath"
	state, err := json.Marshal(specs.ContainerProcessState{
		Version: rec.Version, Fds: []string{specs.SeccompFdName}, Pid: pid, Metadata: s.Linux.Seccomp.ListenerMetadata,
		State: specState(rec, status, rec.PID),
	})
	if err != nil {
		return fault.Wrap(err, "encode the state for the seccomp agent", origin)
	}
	return sendFile(s.Linux.Seccomp.ListenerPath, origin, string(state), int(listener.Fd()))
}

// handListener does so for a container that was created before.
func (c *container) handListener(listener *os.File) error {
	s, err := c.spec()
	if err != nil {
		return err
	}
	return sendListener(listener, s, c.rec, store.Created, c.rec.PID)
}
