package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func featuresCommand(*reporter) *cli.Command {
	return &cli.Command{
		Name:  "features",
		Usage: "print what this runtime can do as JSON",
		Action: func(ctx *cli.Context) error {
			if err := arguments(ctx, 0, 0); err != nil {
				return err
			}
			return printIndented(ctx, libruntime.Features())
		},
	}
}
