package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// words are the values of a flag that has a few, each with what it stands for.
type words[T any] []struct {
	word  string
	value T
}

// of returns what the flag's value stands for.
func (w words[T]) of(ctx *cli.Context, flag string) (value T, err error) {
	given := ctx.String(flag)
	for _, one := range w {
		if one.word == given {
			return one.value, nil
		}
	}
	return value, badValue(flag, given, w.String())
}

// String lists the words as people do: "a, b or c".
func (w words[T]) String() string {
	var b strings.Builder
	for i, one := range w {
		switch {
		case i == 0:
		case i == len(w)-1:
			b.WriteString(" or ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(one.word)
	}
	return b.String()
}
