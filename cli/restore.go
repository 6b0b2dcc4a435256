package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/signals"
)

func restoreCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "restore",
		Usage:     "make a container of what checkpoint has dumped, and wait for it",
		ArgsUsage: "[flags] ID",
		Flags: append(append(imageFlags(), runFlags()...),
			&cli.StringFlag{Name: "lsm-profile", Usage: "`TYPE:NAME` of the AppArmor profile or SELinux label that takes the dumped one's place"},
			&cli.StringFlag{Name: "lsm-mount-context", Usage: "SELinux label that takes the place of that of the dumped mounts"},
		),
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			opts := &libruntime.RestoreOptions{
				RunOptions: runOptions(ctx),
				LSMProfile: ctx.String("lsm-profile"), LSMMountContext: ctx.String("lsm-mount-context"),
			}
			var err error
			if opts.ImageOptions, err = imageOptions(ctx); err != nil {
				return err
			}
			if opts.Signals, err = signals.Catch(); err != nil {
				return err
			}
			status, err := rt.Restore(opts)
			if err != nil {
				return err
			}
			return exitError(status)
		}),
	}
}
