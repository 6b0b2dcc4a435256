package wire

// Names of the types of options, as the end of an Any's type URL.
const (
	RuncOptionsType       = "containerd.runc.v1.Options"
	CheckpointOptionsType = "containerd.runc.v1.CheckpointOptions"
	// GenericOptionsType is how options come for a runtime that containerd does not know: as TOML.
	GenericOptionsType = "runtimeoptions.v1.Options"
)

// Options are the options of runc's shim that mean something to bailey. The names of the TOML form are those of
// containerd's config.toml.
type Options struct {
	NoPivotRoot   bool   `toml:"NoPivotRoot" json:"noPivotRoot,omitempty"`
	NoNewKeyring  bool   `toml:"NoNewKeyring" json:"noNewKeyring,omitempty"`
	ShimCgroup    string `toml:"ShimCgroup" json:"shimCgroup,omitempty"`
	IoUID         uint32 `toml:"IoUid" json:"ioUid,omitempty"`
	IoGID         uint32 `toml:"IoGid" json:"ioGid,omitempty"`
	Root          string `toml:"Root" json:"root,omitempty"`
	SystemdCgroup bool   `toml:"SystemdCgroup" json:"systemdCgroup,omitempty"`
	CriuWorkPath  string `toml:"CriuWorkPath" json:"criuWorkPath,omitempty"`
}

// Decode reads them.
func (r *Options) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.NoPivotRoot = f.value != 0
		case 2:
			r.NoNewKeyring = f.value != 0
		case 3:
			r.ShimCgroup = f.text()
		case 4:
			r.IoUID = uint32(f.value)
		case 5:
			r.IoGID = uint32(f.value)
		case 7:
			r.Root = f.text()
		case 9:
			r.SystemdCgroup = f.value != 0
		case 11:
			r.CriuWorkPath = f.text()
		}
		return nil
	})
}

// GenericOptions say where options are to be found as TOML.
type GenericOptions struct {
	Path string
	Body []byte
}

// Decode reads them.
func (r *GenericOptions) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 2:
			r.Path = f.text()
		case 3:
			r.Body = f.bytes
		}
		return nil
	})
}

// CheckpointOptions are the options of a checkpoint.
type CheckpointOptions struct {
	Exit, OpenTCP, ExternalUnixSockets, Terminal, FileLocks bool
	EmptyNamespaces                                         []string
	CgroupsMode, ImagePath, WorkPath, ParentPath            string
}

// Decode reads them.
func (r *CheckpointOptions) Decode(b []byte) error {
	return fields(b, func(f field) error {
		switch f.number {
		case 1:
			r.Exit = f.value != 0
		case 2:
			r.OpenTCP = f.value != 0
		case 3:
			r.ExternalUnixSockets = f.value != 0
		case 4:
			r.Terminal = f.value != 0
		case 5:
			r.FileLocks = f.value != 0
		case 6:
			r.EmptyNamespaces = append(r.EmptyNamespaces, f.text())
		case 7:
			r.CgroupsMode = f.text()
		case 8:
			r.ImagePath = f.text()
		case 9:
			r.WorkPath = f.text()
		case 10:
			r.ParentPath = f.text()
		}
		return nil
	})
}
