// bailey is a runtime for OCI containers on Linux, used like runc.
package main

import (
	"os"

	"github.com/bailey-oci/bailey/cli"

	// Its entry point takes the process over before Go starts, where the process is to become a container.
	_ "github.com/bailey-oci/bailey/nsexec"
)

// version is set by the linker (-X main.version=...).
var version = "unknown"

func main() { os.Exit(cli.Main(os.Args, version)) }
