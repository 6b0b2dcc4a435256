package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/seccomp/libseccomp-golang"
	"github.com/urfave/cli/v2"
)

// printVersion prints what runc prints, line by line, because programs read it.
func printVersion(ctx *cli.Context) {
	w := ctx.App.Writer
	fmt.Fprintf(w, "bailey version %s\n", ctx.App.Version)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				fmt.Fprintf(w, "commit: %s\n", s.Value)
			}
		}
	}
	fmt.Fprintf(w, "spec: %s\n", specs.Version)
	fmt.Fprintf(w, "go: %s\n", runtime.Version())
	major, minor, micro := seccomp.GetLibraryVersion()
	fmt.Fprintf(w, "libseccomp: %d.%d.%d\n", major, minor, micro)
}
