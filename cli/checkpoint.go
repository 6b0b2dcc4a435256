package cli

import (
	"net"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/criu"
)

func checkpointCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "checkpoint",
		Usage:     "dump a container into files, with CRIU",
		ArgsUsage: "[flags] ID",
		Flags: append(imageFlags(),
			&cli.StringFlag{Name: "parent-path", Usage: "directory of an earlier pre-dump, relative to the images"},
			&cli.BoolFlag{Name: "leave-running", Usage: "let the container run on"},
			&cli.BoolFlag{Name: "pre-dump", Usage: "dump only the memory, and let the container run on"},
			&cli.BoolFlag{Name: "tcp-skip-in-flight", Usage: "leave out connections that are not accepted yet"},
			&cli.BoolFlag{Name: "link-remap", Usage: "allow unlinked files that have other names"},
			&cli.StringFlag{Name: "page-server", Usage: "`ADDRESS:PORT` of a server that memory is sent to"},
			&cli.StringFlag{Name: "status-fd", Usage: "descriptor that is written to when lazy pages can be fetched"},
		),
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			opts := &libruntime.CheckpointOptions{
				ID: ctx.Args().First(), Parent: ctx.String("parent-path"),
				LeaveRunning: ctx.Bool("leave-running"), PreDump: ctx.Bool("pre-dump"),
				TCPSkipInFlight: ctx.Bool("tcp-skip-in-flight"), LinkRemap: ctx.Bool("link-remap"),
				StatusFD: -1,
			}
			var err error
			if opts.ImageOptions, err = imageOptions(ctx); err != nil {
				return err
			}
			if v := ctx.String("page-server"); v != "" {
				if opts.PageServer, err = pageServer(v); err != nil {
					return err
				}
			}
			if v := ctx.String("status-fd"); v != "" {
				fd, err := strconv.ParseUint(v, 10, 31)
				if err != nil {
					return badValue("status-fd", v, "a descriptor")
				}
				opts.StatusFD = int(fd)
			}
			return rt.Checkpoint(opts)
		}),
	}
}

// imageFlags are those that checkpoint and restore have in common.
func imageFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-path", Usage: "directory of the images", Value: "checkpoint"},
		&cli.StringFlag{Name: "work-path", Usage: "directory of CRIU's log", DefaultText: "that of the images"},
		&cli.BoolFlag{Name: "tcp-established", Usage: "allow established TCP connections"},
		&cli.BoolFlag{Name: "ext-unix-sk", Usage: "allow Unix sockets connected to processes outside"},
		&cli.BoolFlag{Name: "shell-job", Usage: "allow a session and terminal of the caller's"},
		&cli.BoolFlag{Name: "file-locks", Usage: "allow locks on files"},
		&cli.BoolFlag{Name: "lazy-pages", Usage: "leave memory to be fetched when it is touched"},
		&cli.BoolFlag{Name: "auto-dedup", Usage: "drop memory from earlier images that later ones replace"},
		&cli.StringFlag{Name: "manage-cgroups-mode", Usage: cgroupModes.String() + ": which cgroups' settings are restored", Value: "soft"},
		&cli.StringSliceFlag{Name: "empty-ns", Usage: "leave out what is in a namespace: network"},
	}
}

// cgroupModes say which cgroups' settings are restored.
var cgroupModes = words[criu.CgroupMode]{{"soft", criu.SoftCgroups}, {"full", criu.FullCgroups}, {"strict", criu.StrictCgroups}, {"ignore", criu.IgnoreCgroups}}

func imageOptions(ctx *cli.Context) (libruntime.ImageOptions, error) {
	opts := libruntime.ImageOptions{
		Images: ctx.String("image-path"), Work: ctx.String("work-path"),
		TCPEstablished: ctx.Bool("tcp-established"), ExternalUnixSockets: ctx.Bool("ext-unix-sk"), ShellJob: ctx.Bool("shell-job"),
		FileLocks: ctx.Bool("file-locks"), LazyPages: ctx.Bool("lazy-pages"), AutoDedup: ctx.Bool("auto-dedup"),
	}
	var err error
	if opts.Cgroups, err = cgroupModes.of(ctx, "manage-cgroups-mode"); err != nil {
		return opts, err
	}
	for _, v := range ctx.StringSlice("empty-ns") {
		if v != "network" {
			return opts, badValue("empty-ns", v, "network")
		}
		opts.EmptyNetwork = true
	}
	return opts, nil
}

func pageServer(v string) (*criu.PageServer, error) {
	host, service, err := net.SplitHostPort(v)
	port, portErr := strconv.ParseUint(service, 10, 16)
	if err != nil || portErr != nil || host == "" || port == 0 {
		return nil, badValue("page-server", v, "ADDRESS:PORT")
	}
	return &criu.PageServer{Address: host, Port: uint16(port)}, nil
}
