package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// keepsOrder are the commands whose arguments are, from some point on, another program's command line.
var keepsOrder = map[string]bool{"exec": true, "ps": true, "try": true}

// inOrder returns args with the flags that stand behind a command's arguments, as in "kill web --all", in front
// of them: runc takes them there, and the library does not. What stands behind "--" is no flag.
func inOrder(app *cli.App, args []string) []string {
	at := 1
	for at < len(args) && isFlag(args[at]) {
		if args[at] == "--" {
			return args
		}
		at += flagLength(app.Flags, args[at])
	}
	if at >= len(args) || keepsOrder[args[at]] {
		return args
	}
	command := app.Command(args[at])
	if command == nil {
		return args
	}
	at++
	var flags, rest []string
	moved, ended := false, false
	for i := at; i < len(args); {
		if args[i] == "--" {
			ended = true
			rest = append(rest, args[i+1:]...)
			break
		}
		n := 1
		if isFlag(args[i]) {
			n = min(flagLength(command.Flags, args[i]), len(args)-i)
			flags = append(flags, args[i:i+n]...)
			moved = moved || len(rest) > 0
		} else {
			rest = append(rest, args[i])
		}
		i += n
	}
	if !moved && !(ended && len(rest) > 0) {
		return args
	}
	ordered := append(append([]string(nil), args[:at]...), flags...)
	if ended {
		ordered = append(ordered, "--")
	}
	return append(ordered, rest...)
}

// isFlag reports whether an argument is a flag, or the end of the flags.
func isFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// flagLength returns how many arguments a flag takes: 2 where its value is the next one.
func flagLength(flags []cli.Flag, arg string) int {
	name := strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-")
	for _, f := range flags {
		if own, aliases, _ := describe(f); own != name && !slices.Contains(aliases, name) {
			continue
		}
		if _, isBool := f.(*cli.BoolFlag); isBool {
			return 1
		}
		return 2
	}
	return 1 // with its value, or unknown
}
