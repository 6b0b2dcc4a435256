package cli

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/spec"
)

// Host IDs that spec --hardened gives the container of root: those that the tools of most distributions give
// the first ordinary user, which root may use without being granted them.
const hardenedID, hardenedSize = 100000, 65536

func specCommand(*reporter) *cli.Command {
	return &cli.Command{
		Name:      "spec",
		Usage:     "write a config.json to start from",
		ArgsUsage: "[--bundle DIR] [--hardened] [--rootless]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "directory to write it to", DefaultText: "working directory"},
			&cli.BoolFlag{Name: "rootless", Usage: "for an ordinary user without subordinate IDs"},
			&cli.BoolFlag{Name: "hardened", Usage: "with the least that an ordinary program needs"},
		},
		Action: func(ctx *cli.Context) error {
			if err := arguments(ctx, 0, 0); err != nil {
				return err
			}
			s, err := example(ctx.Bool("rootless"), ctx.Bool("hardened"))
			if err != nil {
				return err
			}
			return writeConfig(filepath.Join(ctx.String("bundle"), "config.json"), s)
		},
	}
}

// example returns the configuration that the flags ask for.
func example(rootless, hardened bool) (*specs.Spec, error) {
	uid, gid := uint32(os.Geteuid()), uint32(os.Getegid())
	switch {
	case rootless && hardened:
		return nil, &fault.Error{Step: "choose a configuration", Origin: "--rootless --hardened",
			Remedy: "give one of the two; --hardened by an ordinary user is rootless anyway"}
	case hardened && uid == 0:
		return spec.ExampleHardened(hardenedID, hardenedID, hardenedSize), nil
	case hardened:
		return spec.ExampleHardened(uid, gid, 1), nil
	case rootless:
		return spec.ExampleRootless(uid, gid), nil
	}
	return spec.Example(), nil
}

// writeConfig writes a new file; an existing one is never touched.
func writeConfig(path string, s *specs.Spec) error {
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return fault.Wrap(err, "encode the configuration", "")
	}
	//nolint:forbidigo // the caller names it, and O_EXCL follows no link
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil {
		_, err = f.Write(append(data, '\n'))
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}
	if os.IsExist(err) {
		return &fault.Error{Step: "write " + path, Origin: "--bundle", Err: os.ErrExist,
			Remedy: "remove the file first, or name another directory"}
	}
	if err != nil {
		return fault.Wrap(err, "write the configuration", "--bundle")
	}
	return nil
}
