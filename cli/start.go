package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func startCommand(r *reporter) *cli.Command {
	return r.simple("start", "let the payload of a created container go", (*libruntime.Runtime).Start)
}

// simple makes a command that takes an ID and nothing else.
func (r *reporter) simple(name, usage string, do func(*libruntime.Runtime, string) error) *cli.Command {
	return &cli.Command{
		Name:      name,
		Usage:     usage,
		ArgsUsage: "ID",
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			return do(rt, ctx.Args().First())
		}),
	}
}
