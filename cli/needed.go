package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// needed returns the flags that args may mean and those with a default. The library takes some ten
// microseconds for each flag that it is told of, for most of which a command line has no use; one that is not
// there is as good as one that is not set.
func needed(flags []cli.Flag, args []string) []cli.Flag {
	named := make(map[string]bool, 8)
	for _, a := range args {
		if word, ok := strings.CutPrefix(a, "-"); ok {
			name, _, _ := strings.Cut(strings.TrimPrefix(word, "-"), "=")
			named[name] = true
		}
	}
	if named["help"] || named["h"] || named["generate-bash-completion"] {
		return flags
	}
	return slices.DeleteFunc(flags, func(f cli.Flag) bool {
		name, aliases, value := describe(f)
		return name != "" && !value && !named[name] && !slices.ContainsFunc(aliases, func(a string) bool { return named[a] })
	})
}

// describe returns what a flag is called and whether it has a default. Its own method for the names parses
// them with a regular expression.
func describe(f cli.Flag) (name string, aliases []string, value bool) {
	switch f := f.(type) {
	case *cli.BoolFlag:
		return f.Name, f.Aliases, f.Value
	case *cli.StringFlag:
		return f.Name, f.Aliases, f.Value != ""
	case *cli.StringSliceFlag:
		return f.Name, f.Aliases, f.Value != nil
	case *cli.UintFlag:
		return f.Name, f.Aliases, f.Value != 0
	}
	return "", nil, true
}
