package libruntime

import (
	"os"

	"github.com/bailey-oci/bailey/libruntime/idmap"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/store"
	"github.com/bailey-oci/bailey/nsexec"
)

// EngineOverlay is an overlay that an engine asks for whose lower layers are to show their files with other owners, as they are
// for a user namespace of the engine's. The upper layer has those owners on disk.
type EngineOverlay struct {
	// Lower are the directories of the lower layers, the uppermost first.
	Lower []string
	// Options are the other ones, the upper layer and its work directory among them, as mount(2) takes them.
	Options []string
	// Attributes are those of the mount (MOUNT_ATTR_*).
	Attributes uint64
	UIDs, GIDs []plan.IDMapping
}

// Mount makes the overlay and returns its mount, attached nowhere. covered is a directory that is not needed for it; see
// inPrivate. A child process is made, and waited for.
func (e *EngineOverlay) Mount(covered string) (fd int, err error) {
	userns, err := nsexec.NewUserNamespace(func(pid int) error { return idmap.Write(pid, e.UIDs, e.GIDs) })
	if err != nil {
		return -1, err
	}
	f := os.NewFile(uintptr(userns), "user namespace")
	defer f.Close()
	o := &overlay{attributes: e.Attributes, options: e.Options, lower: e.Lower}
	return o.remake(f, store.IDs{}, "", covered)
}
