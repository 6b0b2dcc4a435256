package cli

import (
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/signals"
	"github.com/bailey-oci/bailey/spec"
)

func execCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "exec",
		Usage:     "execute a process in a container",
		ArgsUsage: "[flags] ID COMMAND [ARGUMENT...] | --process FILE ID",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "console-socket", Usage: "Unix socket that is sent the terminal"},
			&cli.StringFlag{Name: "pidfd-socket", Usage: "Unix socket that is sent a pidfd of the process"},
			&cli.StringFlag{Name: "cwd", Usage: "working directory in the container"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "add `NAME=VALUE` to the environment"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give it a terminal"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`UID[:GID]` to run as"},
			&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "add the group `GID`"},
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "`FILE` with the process as JSON"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return when it has been executed"},
			&cli.StringFlag{Name: "pid-file", Usage: "file to write the process ID to"},
			&cli.StringFlag{Name: "process-label", Usage: "SELinux label"},
			&cli.StringFlag{Name: "apparmor", Usage: "AppArmor profile"},
			&cli.BoolFlag{Name: "no-new-privs", Usage: "it cannot gain privileges by executing other programs"},
			&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add a capability"},
			&cli.UintFlag{Name: "preserve-fds", Usage: "pass on `N` more descriptors than the standard streams", Action: inherited},
			&cli.StringSliceFlag{Name: "cgroup", Usage: "sub-cgroup `PATH` to run in; CONTROLLER:PATH for one hierarchy"},
			&cli.BoolFlag{Name: "ignore-paused", Usage: "allow it in a paused container, where it waits"},
			&cli.BoolFlag{Name: "no-subreaper", Hidden: true},
		},
		Action: r.with(execute),
	}
}

func execute(ctx *cli.Context, rt *libruntime.Runtime) error {
	opts := &libruntime.ExecOptions{
		ConsoleSocket: ctx.String("console-socket"),
		PidfdSocket:   ctx.String("pidfd-socket"),
		PIDFile:       ctx.String("pid-file"),
		PreserveFDs:   uint32(ctx.Uint("preserve-fds")),
		Detach:        ctx.Bool("detach"),
		Cgroups:       ctx.StringSlice("cgroup"),
		IgnorePaused:  ctx.Bool("ignore-paused"),
		NoSubreaper:   ctx.Bool("no-subreaper"),
	}
	if file := ctx.String("process"); file != "" {
		if err := arguments(ctx, 1, 1); err != nil {
			return err
		}
		var err error
		if opts.Process, err = spec.LoadProcess(file); err != nil {
			return err
		}
	} else {
		if err := arguments(ctx, 2, -1); err != nil {
			return err
		}
		opts.Change = func(p *specs.Process) error { return change(ctx, p) }
	}
	var err error
	if opts.Signals, err = signals.Catch(); err != nil {
		return err
	}
	status, err := rt.Exec(ctx.Args().First(), opts)
	if err != nil {
		return err
	}
	return exitError(status)
}

// change turns the container's own process into the one that the flags describe.
func change(ctx *cli.Context, p *specs.Process) error {
	p.Args = ctx.Args().Tail()
	p.Terminal = ctx.Bool("tty")
	if ctx.IsSet("cwd") {
		p.Cwd = ctx.String("cwd")
	}
	if ctx.IsSet("apparmor") {
		p.ApparmorProfile = ctx.String("apparmor")
	}
	if ctx.IsSet("process-label") {
		p.SelinuxLabel = ctx.String("process-label")
	}
	if ctx.IsSet("no-new-privs") {
		p.NoNewPrivileges = ctx.Bool("no-new-privs")
	}
	p.Env = append(p.Env, ctx.StringSlice("env")...)
	if caps := ctx.StringSlice("cap"); len(caps) > 0 {
		if p.Capabilities == nil {
			p.Capabilities = new(specs.LinuxCapabilities)
		}
		c := p.Capabilities
		c.Bounding = append(c.Bounding, caps...)
		c.Permitted = append(c.Permitted, caps...)
		c.Effective = append(c.Effective, caps...)
	}
	if ctx.IsSet("user") {
		uid, gid, hasGID := strings.Cut(ctx.String("user"), ":")
		var err error
		if p.User.UID, err = parseID("user", uid); err != nil {
			return err
		}
		if hasGID {
			if p.User.GID, err = parseID("user", gid); err != nil {
				return err
			}
		}
	}
	for _, g := range ctx.StringSlice("additional-gids") {
		gid, err := parseID("additional-gids", g)
		if err != nil {
			return err
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, gid)
	}
	return nil
}

// parseID returns a user or group ID. The highest number means "none" to the kernel.
func parseID(flag, s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == math.MaxUint32 {
		return 0, &fault.Error{Step: "read the command line: " + strconv.Quote(s) + " is not a numeric ID", Origin: "--" + flag,
			Remedy: "give numbers; names belong to the container's image, which bailey does not look into"}
	}
	return uint32(n), nil
}
