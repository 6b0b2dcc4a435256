package containerd

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	apievents "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/api/types"
	"github.com/containerd/containerd/v2/core/containers"
	"github.com/containerd/containerd/v2/pkg/oci"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/runtime-spec/specs-go"
	"google.golang.org/protobuf/proto"

	"github.com/bailey-oci/bailey/integration/internal/engine"
)

// memoryLimit limits memory, and swap with it.
func memoryLimit(limit int64) oci.SpecOpts {
	return func(_ context.Context, _ oci.Client, _ *containers.Container, s *oci.Spec) error {
		s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit, Swap: &limit}
		return nil
	}
}

// shimCommand returns a call of the shim's program.
func shimCommand(args ...string) *exec.Cmd {
	return exec.Command(os.Getenv("BAILEY_BIN")+"/containerd-shim-bailey-v2", args...)
}

func decodeInfo(t testing.TB, b []byte) *types.RuntimeInfo {
	t.Helper()
	info := new(types.RuntimeInfo)
	must(t, proto.Unmarshal(b, info))
	return info
}

// told are events in short: the last part of the topic, and for an exit the process.
type told struct {
	mu   sync.Mutex
	list []string
}

func (o *told) get() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string(nil), o.list...)
}

// events subscribes to what is told of tasks.
func (d *daemon) events() *told {
	o := new(told)
	messages, errs := d.client.Subscribe(d.ctx, `topic~="/tasks/"`)
	go func() {
		for {
			select {
			case m := <-messages:
				word := strings.TrimPrefix(m.Topic, "/tasks/")
				if v, err := typeurl.UnmarshalAny(m.Event); err == nil {
					if exit, ok := v.(*apievents.TaskExit); ok {
						word += " " + exit.ID
					}
				}
				o.mu.Lock()
				o.list = append(o.list, word)
				o.mu.Unlock()
			case <-errs:
				return
			}
		}
	}()
	return o
}

// wantAll waits for all that is told of a container up to its end. containerd 2.4's own shim ends itself before its last events
// have gone, and they are lost now and then.
func (o *told) wantAll(t testing.TB, d *daemon, id string, words ...string) {
	t.Helper()
	if d.own() {
		words = append(words, "exit "+id, "delete")
	}
	o.want(t, words...)
}

// want waits for exactly these events in this order; that memory is lacking may be told more than once. How the container ends
// may be missing in words.
func (o *told) want(t testing.TB, words ...string) {
	t.Helper()
	want := strings.Join(words, ", ")
	engine.Eventually(t, "the events are "+want, func() error {
		got := o.get()
		var once []string
		for i, w := range got {
			if w != "oom" || i == 0 || got[i-1] != "oom" {
				once = append(once, w)
			}
		}
		if s := strings.Join(once[:min(len(once), len(words))], ", "); s != want {
			return fmt.Errorf("they are %s", s)
		}
		return nil
	})
}
