package cli

import (
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func listCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the containers of the state directory",
		Flags: []cli.Flag{
			formatFlag("table"),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print the IDs only"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 0, 0); err != nil {
				return err
			}
			asJSON, err := format(ctx, "table")
			if err != nil {
				return err
			}
			states, err := rt.List()
			if err != nil {
				return err
			}
			switch {
			case ctx.Bool("quiet"):
				for _, s := range states {
					fmt.Fprintln(ctx.App.Writer, s.ID)
				}
				return nil
			case asJSON:
				return json.NewEncoder(ctx.App.Writer).Encode(states)
			}
			w := tabwriter.NewWriter(ctx.App.Writer, 12, 1, 3, ' ', 0)
			fmt.Fprintln(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER")
			for _, s := range states {
				fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.PID, s.Status, s.Bundle,
					s.Created.Format(time.RFC3339Nano), s.Owner)
			}
			return w.Flush()
		}),
	}
}

// formatFlag is the choice between JSON and the text that a command prints by default.
func formatFlag(text string) cli.Flag {
	return &cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: text + " or json", Value: text}
}

// format reports whether formatFlag asks for JSON.
func format(ctx *cli.Context, text string) (asJSON bool, err error) {
	switch v := ctx.String("format"); v {
	case text:
		return false, nil
	case "json":
		return true, nil
	default:
		return false, badValue("format", v, text+" or json")
	}
}
