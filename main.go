//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// (How many processors its cgroup leaves to bailey does not matter to it, and Go reads two procfs files for that.)

// bailey is a runtime for OCI containers on Linux, used like runc.
package main

import (
	"os"

	"github.com/bailey-oci/bailey/cli"

	// Early, for speed.
	_ "github.com/bailey-oci/bailey/internal/prefault"

	// Its entry point takes the process over before Go starts, where the process is to become a container.
	_ "github.com/bailey-oci/bailey/nsexec"
)

// version is set by the linker (-X main.version=...).
var version = "unknown"

func main() { os.Exit(cli.Main(os.Args, version)) }
