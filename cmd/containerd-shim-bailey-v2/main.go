//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0

// (How many processors its cgroup leaves does not matter to a shim, and Go reads two procfs files for that.)

// containerd-shim-bailey-v2 is how containerd runs containers with bailey: runtime io.containerd.bailey.v2.
package main

import (
	"os"

	"github.com/bailey-oci/bailey/shim"
)

// version is set by the linker (-X main.version=...).
var version = "unknown"

func main() { os.Exit(shim.Main(os.Args, version)) }
