package cli

import (
	"maps"
	"slices"

	"github.com/urfave/cli/v2"
)

// Command is what a manual says of a command.
type Command struct {
	// Name is "" for the program itself, whose flags come before the command.
	Name, Usage, Arguments string
	Flags                  []Flag
}

// Flag is a flag of a command.
type Flag struct {
	Name    string
	Aliases []string
	Usage   string
	// Value is a word for the value, "" for a flag that takes none; Default what it is without the flag.
	Value, Default string
}

// Manual describes the program and its commands, in this order, as they are.
func Manual() []Command {
	list := []Command{{Usage: newApp(nil, "", &reporter{}).Usage, Arguments: "COMMAND [flags] [arguments]", Flags: flags(globalFlags())}}
	for _, name := range slices.Sorted(maps.Keys(commands)) {
		c := commands[name](&reporter{})
		list = append(list, Command{Name: name, Usage: c.Usage, Arguments: c.ArgsUsage, Flags: flags(c.Flags)})
	}
	return list
}

func flags(all []cli.Flag) []Flag {
	var list []Flag
	for _, f := range all {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		d := Flag{}
		d.Name, d.Aliases, _ = describe(f)
		if g, ok := f.(cli.DocGenerationFlag); ok {
			d.Value, d.Usage = "VALUE", g.GetUsage()
			if !g.TakesValue() {
				d.Value = ""
			}
		}
		switch f := f.(type) {
		case *cli.StringFlag:
			d.Default = f.Value
			if f.DefaultText != "" {
				d.Default = f.DefaultText
			}
		case *cli.UintFlag:
			d.Value = "N"
		}
		list = append(list, d)
	}
	return list
}
