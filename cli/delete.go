package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func deleteCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "remove a container that has stopped",
		ArgsUsage: "[--force] ID",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "remove it whatever its state, killing it if it runs"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			return rt.Delete(ctx.Args().First(), ctx.Bool("force"))
		}),
	}
}
