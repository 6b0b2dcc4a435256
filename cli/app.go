package cli

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/libruntime/store"
)

// commands makes the commands by name. Each is made only where it is named: building the flags of all of
// them would take longer than the work of most.
var commands = map[string]func(*reporter) *cli.Command{
	"checkpoint": checkpointCommand,
	"create":     createCommand,
	"delete":     deleteCommand,
	"events":     eventsCommand,
	"exec":       execCommand,
	"features":   featuresCommand,
	"ids":        idsCommand,
	"kill":       killCommand,
	"list":       listCommand,
	"mounts":     mountsCommand,
	"pause":      pauseCommand,
	"plan":       planCommand,
	"policy":     policyCommand,
	"ps":         psCommand,
	"restore":    restoreCommand,
	"resume":     resumeCommand,
	"run":        runCommand,
	"spec":       specCommand,
	"start":      startCommand,
	"state":      stateCommand,
	"try":        tryCommand,
	"update":     updateCommand,
}

// exitError is the exit status of a payload on its way to the end of the program.
type exitError int

func (e exitError) Error() string { return "exit status " + strconv.Itoa(int(e)) }

// Main runs the command line args, whose first element is the program's name, and returns the exit status:
// that of the payload for run and exec, otherwise 0, or 1 after an error, which has been reported.
func Main(args []string, version string) int { return run(args, version, os.Stdout, os.Stderr) }

// run is Main with the streams given.
func run(args []string, version string, stdout, stderr io.Writer) int {
	r := &reporter{stderr: stderr}
	switch {
	case len(args) == 1:
		args = append(args, "--help")
	case args[1] == "help": // as in "help run"
		args = append(append(slices.Clone(args[:1]), args[2:]...), "--help")
	}
	app := newApp(args, version, r)
	app.Writer, app.ErrWriter = stdout, stderr
	err := app.Run(inOrder(app, args))
	var status exitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	r.failed(err)
	return 1
}

func newApp(args []string, version string, r *reporter) *cli.App {
	app := &cli.App{
		Name:                      "bailey",
		Usage:                     "a runtime for OCI containers that says what it does and why it fails",
		Version:                   version,
		Flags:                     needed(globalFlags(), args),
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // a comma is part of a value
		OnUsageError:              usageError,
		ExitErrHandler:            func(*cli.Context, error) {},
		Before:                    r.configure,
		Action:                    noCommand,
	}
	cli.VersionPrinter = printVersion
	for _, a := range args[min(1, len(args)):] {
		// A container may have the name of a command.
		if build, ok := commands[a]; ok && app.Command(a) == nil {
			app.Commands = append(app.Commands, finish(build(r), args))
		}
	}
	if len(app.Commands) == 0 {
		for _, name := range slices.Sorted(maps.Keys(commands)) {
			app.Commands = append(app.Commands, finish(commands[name](r), args))
		}
	}
	return app
}

// finish gives a command what all of them have.
func finish(c *cli.Command, args []string) *cli.Command {
	c.Flags = needed(c.Flags, args)
	action := c.Action
	c.Action = func(ctx *cli.Context) error { return named(ctx, action(ctx)) }
	c.OnUsageError = usageError
	c.HideHelpCommand = true
	return c
}

// named adds the command and the container to an error: "create web: ...".
func named(ctx *cli.Context, err error) error {
	var status exitError
	if err == nil || errors.As(err, &status) {
		return err
	}
	context := ctx.Command.Name
	if id := ctx.Args().First(); id != "" && store.CheckID(id) == nil {
		context += " " + id
	}
	return fmt.Errorf("%s: %w", context, err)
}

// usageError reports a flag that is wrong, instead of printing the help over it.
func usageError(ctx *cli.Context, err error, _ bool) error {
	context := ""
	help := "bailey --help"
	if c := ctx.Command; c != nil && c.Name != "" && c.Name != "bailey" {
		context, help = c.Name+": ", "bailey "+c.Name+" --help"
	}
	return fmt.Errorf("%s%w", context, &fault.Error{Step: "read the command line", Err: err, Remedy: help})
}

// noCommand is what is done where no command is named, or none that exists.
func noCommand(ctx *cli.Context) error {
	if !ctx.Args().Present() {
		return cli.ShowAppHelp(ctx)
	}
	return &fault.Error{Step: "unknown command " + strconv.Quote(ctx.Args().First()), Remedy: "bailey --help"}
}

// arguments refuses a number of arguments other than least to most; most < 0 is any number.
func arguments(ctx *cli.Context, least, most int) error {
	n := ctx.NArg()
	var what string
	switch {
	case n < least:
		what = "an argument is missing"
	case most >= 0 && n > most:
		what = "one argument too many: " + strconv.Quote(ctx.Args().Get(most))
	default:
		return nil
	}
	return &fault.Error{Step: "read the command line: " + what, Remedy: strings.TrimSpace("bailey " + ctx.Command.Name + " " + ctx.Command.ArgsUsage)}
}

func globalFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "root", Usage: "directory of the containers' state", DefaultText: "/run/bailey"},
		&cli.StringFlag{Name: "log", Usage: "file to write the log to"},
		&cli.StringFlag{Name: "log-format", Usage: logFormats.String(), Value: "text"},
		&cli.StringFlag{Name: "log-level", Usage: logLevels.String(), Value: "warning"},
		&cli.BoolFlag{Name: "debug", Usage: "log everything (--log-level debug)"},
		&cli.StringFlag{Name: "cgroup-manager", Usage: "cgroupfs, systemd or disabled", Value: "cgroupfs"},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "use the systemd cgroup driver (--cgroup-manager systemd)"},
		&cli.StringFlag{Name: "rootless", Usage: "true, false or auto: do without what takes privileges", Value: "auto"},
	}
}

// runtime returns the library's runtime with the choices of the global flags.
func (r *reporter) runtime(ctx *cli.Context) (*libruntime.Runtime, error) {
	rt := &libruntime.Runtime{Root: store.Root(ctx.String("root")), Warn: r.warn, NotifySocket: os.Getenv("NOTIFY_SOCKET"), Policies: policy.DefaultPaths()}
	if rt.Root == "" {
		rt.Root = store.DefaultRoot()
	}
	switch v := ctx.String("rootless"); v {
	case "auto":
	default:
		b, err := strconv.ParseBool(v)
		if err != nil {
			return nil, badValue("rootless", v, "true, false or auto")
		}
		rt.Rootless = &b
	}
	switch v := ctx.String("cgroup-manager"); v {
	case "cgroupfs":
	case "systemd":
		rt.CgroupsSystemd = true
	case "disabled":
		rt.CgroupsDisabled = true
	default:
		return nil, badValue("cgroup-manager", v, "cgroupfs, systemd or disabled")
	}
	if ctx.Bool("systemd-cgroup") {
		rt.CgroupsSystemd = true
	}
	return rt, nil
}

// with makes a command's action of a function that uses the runtime.
func (r *reporter) with(do func(*cli.Context, *libruntime.Runtime) error) cli.ActionFunc {
	return func(ctx *cli.Context) error {
		rt, err := r.runtime(ctx)
		if err != nil {
			return err
		}
		return do(ctx, rt)
	}
}

// badValue returns the error for a flag's value that is none of those allowed.
func badValue(flag, value, allowed string) error {
	return &fault.Error{Step: "read the command line: " + strconv.Quote(value) + " is not " + allowed, Origin: "--" + flag}
}
