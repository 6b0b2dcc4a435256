package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
)

func psCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "ps",
		Usage:     "list the processes of a container",
		ArgsUsage: "[--format json] ID [ps options, default: -ef]",
		Flags:     []cli.Flag{formatFlag("table")},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, -1); err != nil {
				return err
			}
			asJSON, err := format(ctx, "table")
			if err != nil {
				return err
			}
			pids, err := rt.Ps(ctx.Args().First())
			if err != nil {
				return err
			}
			if asJSON {
				if pids == nil {
					pids = []int{}
				}
				return json.NewEncoder(ctx.App.Writer).Encode(pids)
			}
			options := ctx.Args().Tail()
			if len(options) == 0 {
				options = []string{"-ef"}
			}
			table, err := processTable(options)
			if err != nil {
				return err
			}
			table, err = pick(table, pids)
			if err == nil {
				_, err = ctx.App.Writer.Write(table)
			}
			return err
		}),
	}
}

// processTable returns what ps(1) prints of all processes.
func processTable(options []string) ([]byte, error) {
	var stderr bytes.Buffer
	cmd := exec.Command("ps", options...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if text := strings.TrimSpace(stderr.String()); text != "" {
			err = errors.New(text)
		}
		return nil, fault.Wrap(err, "run ps "+strings.Join(options, " "), "command line")
	}
	return out, nil
}

// pick returns the heading and the lines about the processes in pids, by the column PID.
func pick(table []byte, pids []int) ([]byte, error) {
	lines := bytes.SplitAfter(table, []byte("\n"))
	column := slices.Index(strings.Fields(string(lines[0])), "PID")
	if column < 0 {
		return nil, &fault.Error{Step: "find the column PID in what ps prints", Origin: "command line",
			Remedy: "give ps options that print it"}
	}
	out := bytes.Clone(lines[0])
	for _, line := range lines[1:] {
		fields := strings.Fields(string(line))
		if len(fields) <= column {
			continue
		}
		if pid, err := strconv.ParseUint(fields[column], 10, 31); err == nil && slices.Contains(pids, int(pid)) {
			out = append(out, line...)
		}
	}
	return out, nil
}
