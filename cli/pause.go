package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func pauseCommand(r *reporter) *cli.Command {
	return r.simple("pause", "freeze all processes of a container", (*libruntime.Runtime).Pause)
}
