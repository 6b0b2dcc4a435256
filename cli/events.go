package cli

import (
	"encoding/json"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func eventsCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "events",
		Usage:     "print a container's resource figures and when it runs out of memory, as JSON",
		ArgsUsage: "[flags] ID",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "interval", Usage: "`TIME` between two prints of the figures: 500ms, 5s, 1m", Value: "5s"},
			&cli.BoolFlag{Name: "stats", Usage: "print the figures once"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			interval, err := time.ParseDuration(ctx.String("interval"))
			if err != nil || interval <= 0 {
				return badValue("interval", ctx.String("interval"), "a time above zero such as 500ms, 5s or 1m")
			}
			id := ctx.Args().First()
			out := json.NewEncoder(ctx.App.Writer)
			emit := func(e *libruntime.Event) error { return out.Encode(e) }
			if !ctx.Bool("stats") {
				return rt.Events(id, interval, emit)
			}
			s, err := rt.Stats(id)
			if err != nil {
				return err
			}
			return emit(&libruntime.Event{Type: "stats", ID: id, Data: s})
		}),
	}
}
