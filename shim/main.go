package shim

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/sirupsen/logrus"
)

// runtimeName is what containerd calls this runtime; the binary's name follows from it.
const runtimeName = "io.containerd.bailey.v2"

// call is what a command line asks for.
type call struct {
	namespace, id, address, bundle, socket string
	debug, info, version                   bool
	action                                 string
}

func parse(args []string, stderr io.Writer) (*call, error) {
	c := new(call)
	f := flag.NewFlagSet("containerd-shim-bailey-v2", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&c.namespace, "namespace", "", "containerd's namespace that the container is in")
	f.StringVar(&c.id, "id", "", "the container's ID")
	f.StringVar(&c.address, "address", "", "containerd's own address")
	f.StringVar(&c.bundle, "bundle", "", "the bundle's directory, if it is not the working directory")
	f.StringVar(&c.socket, "socket", "", "the path of the socket to serve, if it is not inherited")
	f.BoolVar(&c.debug, "debug", false, "say more")
	f.BoolVar(&c.info, "info", false, "read options on standard input, and say what the runtime can do")
	f.BoolVar(&c.version, "v", false, "print the version")
	f.BoolVar(&c.version, "version", false, "print the version")
	f.String("publish-binary", "", "without a meaning here: events go to $TTRPC_ADDRESS")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	c.action = f.Arg(0)
	if c.bundle == "" {
		dir, err := os.Getwd()
		if err != nil && !c.info && !c.version {
			return nil, err
		}
		c.bundle = dir
	}
	if !c.info && !c.version && (c.namespace == "" || c.id == "") {
		return nil, errors.New("-namespace and -id are needed; this program is started by containerd")
	}
	return c, nil
}

// Main does what the command line asks for and returns the exit status.
func Main(args []string, version string) int {
	c, err := parse(args[1:], os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
	case c.version:
		fmt.Println(args[0], version)
	case c.info:
		err = c.printInfo(os.Stdin, os.Stdout, version)
	case c.action == "start":
		err = c.start(os.Stdin, os.Stdout)
	case c.action == "delete":
		err = c.delete(os.Stdout)
	case c.action == "":
		err = c.serve(version)
	default:
		err = fmt.Errorf("unknown action %q", c.action)
	}
	if err != nil {
		if c != nil && c.action == "" {
			logrus.Error(err) // standard error is containerd's log by then
		}
		fmt.Fprintln(os.Stderr, runtimeName+": "+err.Error())
		return 1
	}
	return 0
}
