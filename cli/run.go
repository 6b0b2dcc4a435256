package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/signals"
)

func runCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "make a container, start it and wait for it",
		ArgsUsage: "[flags] ID",
		Flags:     runFlags(),
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			opts := runOptions(ctx)
			var err error
			if opts.Signals, err = signals.Catch(); err != nil {
				return err
			}
			status, err := rt.Run(&opts)
			if err != nil {
				return err
			}
			return exitError(status)
		}),
	}
}

func runFlags() []cli.Flag {
	return append(createFlags(),
		&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return when the payload has been started"},
		&cli.BoolFlag{Name: "keep", Usage: "do not delete the container when it has stopped"},
		&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt the container's orphans"},
	)
}

// runOptions takes the options of run from the flags that are there.
func runOptions(ctx *cli.Context) libruntime.RunOptions {
	return libruntime.RunOptions{
		CreateOptions: createOptions(ctx),
		Detach:        ctx.Bool("detach"),
		Keep:          ctx.Bool("keep"),
		NoSubreaper:   ctx.Bool("no-subreaper"),
	}
}
