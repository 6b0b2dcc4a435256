package cli

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/sandbox"
	"github.com/bailey-oci/bailey/libruntime/signals"
)

func tryCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "try",
		Usage:     "run a command in a sandbox that sees the machine's programs, changes nothing and leaves nothing",
		ArgsUsage: "[flags] CMD [ARG...]",
		Flags: []cli.Flag{
			&cli.StringSliceFlag{Name: "ro", Usage: "show `DIR` (or a file), too"},
			&cli.StringSliceFlag{Name: "rw", Usage: "share `DIR`: what is written there stays"},
			&cli.StringSliceFlag{Name: "tmp", Usage: "put an empty directory on `DIR`, to be written to"},
			&cli.BoolFlag{Name: "home", Usage: "show your home directory"},
			&cli.StringFlag{Name: "net", Usage: "none, or host for the machine's network", DefaultText: "none"},
			&cli.StringSliceFlag{Name: "cap", Usage: "keep the capability `CAP`"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE`, or pass the variable NAME on"},
			&cli.StringFlag{Name: "cwd", Usage: "working directory", DefaultText: "this one, if it is shown"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`UID[:GID]` in the sandbox", DefaultText: "0"},
			&cli.StringFlag{Name: "hostname", DefaultText: "try", Usage: "name of the machine"},
			&cli.StringFlag{Name: "memory", Usage: "most memory, in bytes or as 512m, 2g", DefaultText: "1g, where it can be limited"},
			&cli.UintFlag{Name: "pids", Usage: "most processes and threads (512 without the flag)"},
			&cli.BoolFlag{Name: "no-seal", Usage: "do without the seal: nested user namespaces work"},
			&cli.BoolFlag{Name: "show", Usage: "print the config.json, and do nothing"},
			&cli.BoolFlag{Name: "plan", Usage: "print what would be done, operation by operation, and do nothing"},
			&cli.BoolFlag{Name: "verbose", Usage: "say what the command is given"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, -1); err != nil {
				return err
			}
			o, err := sandboxOptions(ctx)
			if err != nil {
				return err
			}
			box, err := sandbox.New(o)
			if err != nil {
				return err
			}
			opts := tryOptions(ctx, box)
			switch {
			case ctx.Bool("show"):
				return printIndented(ctx, box.Spec)
			case ctx.Bool("plan"):
				p, err := rt.Plan(&opts.CreateOptions, true)
				if err != nil {
					return err
				}
				return p.WriteText(ctx.App.Writer)
			}
			if ctx.Bool("verbose") {
				for _, note := range box.Notes {
					fmt.Fprintln(r.stderr, "bailey: "+oneLine(note))
				}
			}
			if opts.Signals, err = signals.Catch(); err != nil {
				return err
			}
			status, err := rt.Run(opts)
			if err != nil {
				return err
			}
			return exitError(status)
		}),
	}
}

// sandboxOptions takes the choices about the sandbox from the flags.
func sandboxOptions(ctx *cli.Context) (o sandbox.Options, err error) {
	o = sandbox.Options{
		Args: ctx.Args().Slice(), Terminal: onTerminal(),
		ReadOnly: ctx.StringSlice("ro"), Writable: ctx.StringSlice("rw"), Temporary: ctx.StringSlice("tmp"), Home: ctx.Bool("home"),
		Capabilities: ctx.StringSlice("cap"), Env: ctx.StringSlice("env"), Cwd: ctx.String("cwd"), User: ctx.String("user"),
		Hostname: ctx.String("hostname"), Pids: uint64(ctx.Uint("pids")),
	}
	switch v := ctx.String("net"); v {
	case "", "none":
	case "host":
		o.HostNetwork = true
	default:
		return o, badValue("net", v, "none or host")
	}
	if v := ctx.String("memory"); v != "" {
		var ok bool
		if o.Memory, ok = sandbox.ParseSize(v); !ok {
			return o, badValue("memory", v, "a number of bytes, or one of k, m, g")
		}
	}
	if ctx.IsSet("pids") && (o.Pids == 0 || o.Pids > math.MaxInt32) {
		return o, badValue("pids", strconv.FormatUint(o.Pids, 10), "a number from 1 to 2147483647")
	}
	return o, nil
}

// tryOptions returns the options of the sandbox's run.
func tryOptions(ctx *cli.Context, box *sandbox.Sandbox) *libruntime.RunOptions {
	opts := &libruntime.RunOptions{Mortal: true, CreateOptions: libruntime.CreateOptions{
		ID: "try-" + unique(), Spec: box.Spec, EmptyRoot: true, Foreign: box.Foreign, SpareIDs: true, Seal: libruntime.SealAlways,
	}}
	if box.OwnIDs {
		opts.Userns = "auto"
	}
	if ctx.Bool("no-seal") {
		opts.Seal = libruntime.SealNever
	}
	return opts
}

// unique returns a name that no other sandbox has.
func unique() string {
	var b [5]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// onTerminal reports whether all of the standard streams are a terminal. Where one is not, its reader or writer is somebody
// else, who must not get what belongs to the others, nor line breaks that a terminal has made.
func onTerminal() bool {
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
			return false
		}
	}
	return true
}
