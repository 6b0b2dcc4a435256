package cli

import (
	"io"
	"os"
	"strconv"
	"syscall"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/spec"
)

func mountsCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "mounts",
		Usage:     "add mounts to a container, or remove them",
		ArgsUsage: "add|remove ID FILE",
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 3, 3); err != nil {
				return err
			}
			do := rt.AddMounts
			switch how := ctx.Args().First(); how {
			case "add":
			case "remove":
				do = rt.RemoveMounts
			default:
				return &fault.Error{Step: "read the command line: " + strconv.Quote(how) + " is neither add nor remove",
					Remedy: "bailey mounts add|remove ID FILE"}
			}
			data, err := readInput(ctx.Args().Get(2), "read the mounts", "FILE")
			if err != nil {
				return err
			}
			mounts, err := spec.ParseMounts(data)
			if err != nil {
				return err
			}
			return do(ctx.Args().Get(1), mounts)
		}),
	}
}

// readInput reads the file, or standard input for "-", for a step that origin, a flag or an argument, is about.
func readInput(file, step, origin string) ([]byte, error) {
	f := os.Stdin
	if file != "-" {
		var err error
		// O_NONBLOCK: a FIFO that nobody writes to is empty, instead of kept waiting for.
		if f, err = os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0); err != nil {
			return nil, fault.Wrap(err, step, origin)
		}
		defer f.Close()
	}
	data, err := io.ReadAll(io.LimitReader(f, spec.MaxSize+1))
	if err != nil {
		return nil, fault.Wrap(err, step, origin)
	}
	return data, nil
}
