package shim

import (
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/criu"
	"github.com/bailey-oci/bailey/shim/wire"
)

// cgroupModes are the words that containerd has for what is done about cgroups.
var cgroupModes = map[string]criu.CgroupMode{
	"ignore": criu.IgnoreCgroups, "soft": criu.SoftCgroups, "full": criu.FullCgroups, "strict": criu.StrictCgroups,
}

// doCheckpoint dumps the container into images.
func (c *container) doCheckpoint(r *wire.Checkpoint) error {
	var o wire.CheckpointOptions
	if r.Options.TypeURL != "" {
		if err := o.Decode(r.Options.Value); err != nil {
			return invalid("the options of the checkpoint: " + err.Error())
		}
	}
	options := &libruntime.CheckpointOptions{
		ID: c.id, Parent: o.ParentPath, LeaveRunning: !o.Exit, StatusFD: -1,
		ImageOptions: libruntime.ImageOptions{
			Images: r.Path, Work: o.WorkPath, TCPEstablished: o.OpenTCP, ExternalUnixSockets: o.ExternalUnixSockets,
			ShellJob: o.Terminal, FileLocks: o.FileLocks,
		},
	}
	if options.Images == "" {
		options.Images = o.ImagePath
	}
	if options.Work == "" {
		options.Work = c.record.Options.CriuWorkPath
	}
	if o.CgroupsMode != "" {
		mode, ok := cgroupModes[o.CgroupsMode]
		if !ok {
			return invalid("unknown mode of cgroups " + o.CgroupsMode)
		}
		options.Cgroups = mode
	}
	for _, kind := range o.EmptyNamespaces {
		if kind != "network" {
			return invalid("only the network namespace can be left out of a checkpoint, not " + kind)
		}
		options.EmptyNetwork = true
	}
	return c.s.reaper.during(func() error { return c.runtime.Checkpoint(options) })
}

// restore makes the container from images, which takes the place of its start.
func (c *container) restore() error {
	p := c.init
	options := &libruntime.RestoreOptions{
		RunOptions: libruntime.RunOptions{
			CreateOptions: libruntime.CreateOptions{ID: c.id, Bundle: c.bundle, Streams: &p.stdio.child}, Detach: true,
		},
		ImageOptions: libruntime.ImageOptions{Images: c.checkpoint, Work: c.record.Options.CriuWorkPath},
	}
	if p.names.Terminal {
		options.Console = p.stdio.connect
	}
	return c.s.reaper.during(func() error {
		if _, err := c.runtime.Restore(options); err != nil {
			return err
		}
		state, err := c.runtime.State(c.id)
		if err != nil {
			return err
		}
		return c.created(libruntime.Child{PID: state.PID})
	})
}
