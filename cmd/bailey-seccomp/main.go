// Bailey-seccomp compiles a seccomp profile with libseccomp: from JSON on its standard input to JSON on its standard
// output (package seccomp, Serve). bailey carries it inside and executes it where its cache has no such profile; it
// is not for use by hand.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/bailey-oci/bailey/libruntime/seccomp"
)

func main() {
	request, err := io.ReadAll(os.Stdin)
	if err == nil {
		request, err = seccomp.Serve(request)
	}
	if err == nil {
		_, err = os.Stdout.Write(request)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bailey-seccomp:", err)
		os.Exit(1)
	}
}
