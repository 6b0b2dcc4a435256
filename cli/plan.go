package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func planCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "print what create would do, operation by operation, and do nothing",
		ArgsUsage: "[flags] [ID]",
		Flags: append(bundleFlags(),
			// -f is the configuration here, as with create.
			&cli.StringFlag{Name: "format", Usage: "text or json", Value: "text"},
			&cli.BoolFlag{Name: "run", Usage: "print what run would do"},
		),
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 0, 1); err != nil {
				return err
			}
			asJSON, err := format(ctx, "text")
			if err != nil {
				return err
			}
			opts := createOptions(ctx)
			if opts.ID == "" {
				opts.ID = "ID"
			}
			p, err := rt.Plan(&opts, ctx.Bool("run"))
			if err != nil {
				return err
			}
			if asJSON {
				return p.WriteJSON(ctx.App.Writer)
			}
			return p.WriteText(ctx.App.Writer)
		}),
	}
}
