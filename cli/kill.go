package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func killCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "kill",
		Usage:     "send a signal (default: TERM) to a container's init",
		ArgsUsage: "[--all] ID [SIGNAL]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "send it to all processes of the container"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 2); err != nil {
				return err
			}
			name := "TERM"
			if ctx.NArg() == 2 {
				name = ctx.Args().Get(1)
			}
			sig, err := libruntime.ParseSignal(name)
			if err != nil {
				return err
			}
			return rt.Kill(ctx.Args().First(), sig, ctx.Bool("all"))
		}),
	}
}
