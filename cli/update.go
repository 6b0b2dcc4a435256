package cli

import (
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/spec"
)

func updateCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "change the limits of a container",
		ArgsUsage: "[flags] ID",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "`FILE` with linux.resources as JSON, or - for standard input; other flags do not count then"},
			&cli.StringFlag{Name: "blkio-weight", Usage: "block I/O weight, 10 to 1000"},
			&cli.StringFlag{Name: "cpu-period", Usage: "CFS period in microseconds"},
			&cli.StringFlag{Name: "cpu-quota", Usage: "CPU time in each period, in microseconds; -1 for no limit"},
			&cli.StringFlag{Name: "cpu-burst", Usage: "CPU time that can be saved up, in microseconds"},
			&cli.StringFlag{Name: "cpu-share", Usage: "CPU shares relative to other containers"},
			&cli.StringFlag{Name: "cpu-rt-period", Usage: "real-time period in microseconds"},
			&cli.StringFlag{Name: "cpu-rt-runtime", Usage: "real-time CPU time in each period, in microseconds"},
			&cli.StringFlag{Name: "cpuset-cpus", Usage: "CPUs to use: 0-3,7"},
			&cli.StringFlag{Name: "cpuset-mems", Usage: "memory nodes to use: 0-1"},
			&cli.StringFlag{Name: "cpu-idle", Usage: "1 to run only when nothing else wants to, 0 not to"},
			&cli.StringFlag{Name: "memory", Usage: "memory limit in bytes, or with the unit k, m, g or t; -1 for none"},
			&cli.StringFlag{Name: "memory-reservation", Usage: "soft memory limit"},
			&cli.StringFlag{Name: "memory-swap", Usage: "limit of memory and swap together; -1 for none"},
			&cli.StringFlag{Name: "pids-limit", Usage: "highest number of processes; -1 for no limit"},
			&cli.StringFlag{Name: "l3-cache-schema", Usage: "Intel RDT: L3 cache schema"},
			&cli.StringFlag{Name: "mem-bw-schema", Usage: "Intel RDT: memory bandwidth schema"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, 1); err != nil {
				return err
			}
			resources, err := resourcesOf(ctx)
			if err != nil {
				return err
			}
			var schemata []string
			for _, name := range []string{"l3-cache-schema", "mem-bw-schema"} {
				if line := ctx.String(name); line != "" {
					schemata = append(schemata, line)
				}
			}
			return rt.Update(ctx.Args().First(), resources, schemata...)
		}),
	}
}

// resourcesOf returns the limits that the flags, or the file or standard input that they name, ask for.
func resourcesOf(ctx *cli.Context) (*specs.LinuxResources, error) {
	if file := ctx.String("resources"); file != "" {
		data, err := readInput(file, "read the resources", "--resources")
		if err != nil {
			return nil, err
		}
		return spec.ParseResources(data)
	}
	n := numbers{ctx: ctx}
	r := &specs.LinuxResources{}
	if v := n.unsigned("blkio-weight", 16); v != nil {
		weight := uint16(*v)
		r.BlockIO = &specs.LinuxBlockIO{Weight: &weight}
	}
	cpu := specs.LinuxCPU{
		Period: n.unsigned("cpu-period", 64), Quota: n.signed("cpu-quota"), Burst: n.unsigned("cpu-burst", 64),
		Shares: n.unsigned("cpu-share", 64), RealtimePeriod: n.unsigned("cpu-rt-period", 64),
		RealtimeRuntime: n.signed("cpu-rt-runtime"), Idle: n.signed("cpu-idle"),
		Cpus: ctx.String("cpuset-cpus"), Mems: ctx.String("cpuset-mems"),
	}
	if cpu != (specs.LinuxCPU{}) {
		r.CPU = &cpu
	}
	memory := specs.LinuxMemory{
		Limit: n.size("memory"), Reservation: n.size("memory-reservation"), Swap: n.size("memory-swap"),
	}
	if memory != (specs.LinuxMemory{}) {
		r.Memory = &memory
	}
	if v := n.signed("pids-limit"); v != nil {
		r.Pids = &specs.LinuxPids{Limit: v}
	}
	return r, n.err
}

// numbers reads flags with numbers. A flag that is not set gives nil; err is the first error.
type numbers struct {
	ctx *cli.Context
	err error
}

func (n *numbers) bad(flag, value, allowed string) {
	if n.err == nil {
		n.err = badValue(flag, value, allowed)
	}
}

func (n *numbers) unsigned(flag string, bits int) *uint64 {
	s := n.ctx.String(flag)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseUint(s, 10, bits)
	if err != nil {
		n.bad(flag, s, "a whole number of at most "+strconv.Itoa(bits)+" bits")
		return nil
	}
	return &v
}

func (n *numbers) signed(flag string) *int64 {
	s := n.ctx.String(flag)
	if s == "" {
		return nil
	}
	v, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n.bad(flag, s, "a whole number")
		return nil
	}
	return &v
}

// size reads a number of bytes: a plain number, one with a binary unit (k, m, g, t, also written kb or
// kib), or -1 for no limit.
func (n *numbers) size(flag string) *int64 {
	s := n.ctx.String(flag)
	if s == "" {
		return nil
	}
	v, ok := parseSize(s)
	if !ok {
		n.bad(flag, s, "a size such as 1048576, 64m or 2g, or -1")
		return nil
	}
	return &v
}

func parseSize(s string) (int64, bool) {
	if s == "-1" {
		return -1, true
	}
	digits := strings.TrimRight(strings.ToLower(s), "kmgtib")
	unit := strings.ToLower(s[len(digits):])
	shift := 0
	if unit != "" && unit != "b" {
		i := strings.IndexByte("kmgt", unit[0])
		if rest := unit[1:]; i < 0 || rest != "" && rest != "b" && rest != "ib" {
			return 0, false
		}
		shift = 10 * (i + 1)
	}
	v, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || v > math.MaxInt64>>shift {
		return 0, false
	}
	return int64(v << shift), true
}
