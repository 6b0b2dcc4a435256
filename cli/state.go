package cli

import (
	"encoding/json"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func stateCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "state",
		Usage:     "print the state of a container as JSON",
		ArgsUsage: "ID",
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			state, err := rt.State(ctx.Args().First())
			if err != nil {
				return err
			}
			return printIndented(ctx, state)
		}),
	}
}

// printIndented prints v as JSON for people.
func printIndented(ctx *cli.Context, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		_, err = ctx.App.Writer.Write(append(b, '\n'))
	}
	return err
}
