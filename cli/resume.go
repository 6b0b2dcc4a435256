package cli

import (
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/libruntime"
)

func resumeCommand(r *reporter) *cli.Command {
	return r.simple("resume", "let a paused container go on", (*libruntime.Runtime).Resume)
}
