package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime/seccomp"
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
	fmt.Fprintf(w, "libseccomp: %s\n", seccomp.LibraryVersion())
}
