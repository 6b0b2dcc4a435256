package shim

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/shim/wire"
)

// usualRoot is below which the state directories are, one for each namespace, where the options name no other.
const usualRoot = "/run/containerd/bailey"

// record is what is kept in the bundle for who comes after a shim that was killed.
type record struct {
	Options wire.Options `json:"options"`
	// Exit is how the container's init has ended.
	Exit *exitRecord `json:"exit,omitempty"`
}

type exitRecord struct {
	PID    int       `json:"pid"`
	Status int       `json:"status"`
	At     time.Time `json:"at"`
}

func recordPath(bundle string) string { return filepath.Join(bundle, "bailey-shim.json") }

func (r *record) write(bundle string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	path := recordPath(bundle)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// readRecord returns an empty record where there is none.
func readRecord(bundle string) (*record, error) {
	r := new(record)
	data, err := os.ReadFile(recordPath(bundle))
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(data, r)
}

// runtimeFor returns the runtime for containers of a namespace with these options.
func runtimeFor(namespace string, o *wire.Options, warn func(string)) *libruntime.Runtime {
	root := usualRoot
	if o.Root != "" {
		root = o.Root
	}
	return &libruntime.Runtime{
		Root: store.Root(filepath.Join(root, namespace)), CgroupsSystemd: o.SystemdCgroup,
		Policies: policy.DefaultPaths(), Warn: warn,
	}
}
