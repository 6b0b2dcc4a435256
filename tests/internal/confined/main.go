// Command confined runs a container with choices of the library's for which the command line has no flags.
//
//	confined -root DIR -bundle DIR [-seal MODE] [-limit user=0,net=2] [-securebits noroot,...] [-detach] ID
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/plan"
	"github.com/bailey-oci/bailey/libruntime/store"
)

var kinds = map[string]plan.Namespace{"user": plan.UserNS, "mnt": plan.MountNS, "pid": plan.PIDNS, "net": plan.NetworkNS,
	"ipc": plan.IPCNS, "uts": plan.UTSNS, "cgroup": plan.CgroupNS, "time": plan.TimeNS}

func main() {
	status, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "confined:", err)
		if f := (*fault.Error)(nil); errors.As(err, &f) && f.Cause != "" {
			fmt.Fprintln(os.Stderr, "  cause:", f.Cause)
		}
		os.Exit(1)
	}
	os.Exit(status)
}

func run() (int, error) {
	root := flag.String("root", "", "state directory")
	bundle := flag.String("bundle", "", "directory of the bundle")
	seal := flag.String("seal", "", "auto, always or never")
	limit := flag.String("limit", "", "limits of namespaces: user=0,net=2")
	bits := flag.String("securebits", "", "noroot,...")
	detach := flag.Bool("detach", false, "do not wait")
	flag.Parse()

	opts := libruntime.RunOptions{Detach: *detach, NoSubreaper: true}
	opts.ID, opts.Bundle = flag.Arg(0), *bundle
	var err error
	if opts.Seal, err = libruntime.ParseSeal(*seal); err != nil {
		return 0, err
	}
	if *bits != "" {
		if opts.Securebits, err = plan.ParseSecurebits(strings.Split(*bits, ",")); err != nil {
			return 0, err
		}
	}
	if *limit != "" {
		opts.NamespaceLimits = make(map[plan.Namespace]uint32)
		for _, l := range strings.Split(*limit, ",") {
			kind, most, _ := strings.Cut(l, "=")
			n, err := strconv.ParseUint(most, 10, 32)
			if err != nil || kinds[kind] == 0 {
				return 0, fmt.Errorf("%q is no limit", l)
			}
			opts.NamespaceLimits[kinds[kind]] = uint32(n)
		}
	}
	rt := libruntime.Runtime{Root: store.Root(*root), Warn: func(m string) { fmt.Fprintln(os.Stderr, "warning:", m) }}
	return rt.Run(&opts)
}
