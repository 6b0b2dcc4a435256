package cli

import (
	"math"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/signals"
)

func createCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "make a container that waits for start",
		ArgsUsage: "[flags] ID",
		Flags:     createFlags(),
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			opts := createOptions(ctx)
			var err error
			if opts.Signals, err = signals.Catch(); err != nil {
				return err
			}
			_, err = rt.Create(&opts)
			return err
		}),
	}
}

// bundleFlags are those of every command that reads a bundle.
func bundleFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory of the bundle", DefaultText: "working directory"},
		&cli.StringFlag{Name: "config", Aliases: []string{"f"}, Usage: "configuration file", DefaultText: "config.json of the bundle"},
		&cli.StringFlag{Name: "userns", Usage: "give the container a user namespace with IDs of its own (auto, or auto:size=N), or none but as configured (config)",
			DefaultText: "what the policy says, or config"},
		&cli.StringFlag{Name: "seal", Usage: "lock masks and read-only paths in namespaces inside of the container's: auto, always, never", DefaultText: "what the policy says, or never",
			Action: func(_ *cli.Context, word string) error { _, err := libruntime.ParseSeal(word); return err }},
		&cli.BoolFlag{Name: "no-pivot", Usage: "enter the root without pivot_root, for a root on a ramdisk"},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring"},
		&cli.UintFlag{Name: "preserve-fds", Usage: "pass on `N` more descriptors than the standard streams and $LISTEN_FDS", Action: inherited},
	}
}

func createFlags() []cli.Flag {
	return append(bundleFlags(),
		&cli.StringFlag{Name: "console-socket", Usage: "Unix socket that is sent the terminal"},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "Unix socket that is sent a pidfd of the container's init"},
		&cli.StringFlag{Name: "pid-file", Usage: "file to write the process ID to"},
	)
}

// createOptions takes the options of create from the flags that are there.
func createOptions(ctx *cli.Context) libruntime.CreateOptions {
	return libruntime.CreateOptions{
		ID:            ctx.Args().First(),
		Bundle:        ctx.String("bundle"),
		Config:        ctx.String("config"),
		ConsoleSocket: ctx.String("console-socket"),
		PidfdSocket:   ctx.String("pidfd-socket"),
		PIDFile:       ctx.String("pid-file"),
		Seal:          libruntime.Seal(ctx.String("seal")),
		Userns:        ctx.String("userns"),
		NoPivot:       ctx.Bool("no-pivot"),
		NoNewKeyring:  ctx.Bool("no-new-keyring"),
		PreserveFDs:   uint32(ctx.Uint("preserve-fds")),
		ListenFDs:     listenFDs(),
	}
}

// listenFDs returns how many sockets a service manager has given to this process (sd_listen_fds(3)).
func listenFDs() uint32 {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, err := strconv.ParseUint(os.Getenv("LISTEN_FDS"), 10, 16)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// inherited refuses a number of descriptors that would be another one in the 32 bits that it is kept in.
func inherited(_ *cli.Context, n uint) error {
	if n > math.MaxUint32 {
		return badValue("preserve-fds", strconv.FormatUint(uint64(n), 10), "a number of descriptors")
	}
	return nil
}
