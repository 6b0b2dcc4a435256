package cli

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime"
	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
	"github.com/bailey-oci/bailey/libruntime/idmap/ledger/picture"
)

// idsOptions are those of the ledger that ids opens; tests have another one.
var idsOptions ledger.Options

// idsVerbs are what ids does, with the flags that go with each and the number of its arguments.
var idsVerbs = map[string]struct {
	flags     []string
	arguments int
	do        func(*cli.Context, *libruntime.Runtime, *ledger.Ledger) error
}{
	"list":    {[]string{"account", "format"}, 0, idsList},
	"picture": {[]string{"account", "svg"}, 0, idsPicture},
	"setup":   {[]string{"account", "size"}, 0, idsSetup},
	"release": {nil, 1, idsRelease},
	"check":   {[]string{"account", "format", "repair"}, 0, idsCheck},
}

const idsUsage = "list | picture | setup | release ID | check"

func idsCommand(r *reporter) *cli.Command {
	return &cli.Command{
		Name:      "ids",
		Usage:     "show, set up and check the IDs that containers have to themselves",
		ArgsUsage: idsUsage,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "account", Usage: "whose ranges of /etc/subuid and /etc/subgid it is about", DefaultText: "bailey, or the user's own"},
			formatFlag("table"),
			&cli.StringFlag{Name: "svg", Usage: "picture: write it to `FILE` as an image"},
			&cli.UintFlag{Name: "size", Usage: "setup: how many IDs the account is to have"},
			&cli.BoolFlag{Name: "repair", Usage: "check: repair what can be"},
		},
		Action: r.with(func(ctx *cli.Context, rt *libruntime.Runtime) error {
			if err := arguments(ctx, 1, -1); err != nil {
				return err
			}
			name := ctx.Args().First()
			verb, ok := idsVerbs[name]
			if !ok {
				return &fault.Error{Step: "read the command line: " + strconv.Quote(name) + " is nothing that ids does", Remedy: "bailey ids " + idsUsage}
			}
			if err := arguments(ctx, 1+verb.arguments, 1+verb.arguments); err != nil {
				return err
			}
			for _, flag := range ctx.LocalFlagNames() {
				if len(flag) > 1 && !slices.Contains(verb.flags, flag) {
					return &fault.Error{Step: "read the command line: ids " + name + " has no such flag", Origin: "--" + flag}
				}
			}
			o := idsOptions
			if account := ctx.String("account"); account != "" {
				o.Account = account
			}
			l, err := ledger.Open(o)
			if err != nil {
				return err
			}
			defer l.Close()
			return verb.do(ctx, rt, l)
		}),
	}
}

// idsHolder is ledger.Holder as JSON has it.
type idsHolder struct {
	State string     `json:"state"`
	ID    string     `json:"id"`
	Root  string     `json:"root,omitempty"`
	UID   uint32     `json:"uid"`
	GID   uint32     `json:"gid"`
	Size  uint32     `json:"size"`
	Since time.Time  `json:"since"`
	Until *time.Time `json:"until,omitempty"`
}

func idsList(ctx *cli.Context, _ *libruntime.Runtime, l *ledger.Ledger) error {
	asJSON, err := format(ctx, "table")
	if err != nil {
		return err
	}
	holders, err := l.Holders()
	if err != nil {
		return err
	}
	list := make([]idsHolder, 0, len(holders))
	for _, h := range holders {
		e := idsHolder{h.State.String(), h.ID, h.StateRoot, h.UID, h.GID, h.Size, h.Since, nil}
		if !h.Until.IsZero() {
			e.Until = &h.Until
		}
		list = append(list, e)
	}
	if asJSON {
		return printIndented(ctx, list)
	}
	w := tabwriter.NewWriter(ctx.App.Writer, 6, 1, 3, ' ', 0)
	fmt.Fprintln(w, "UIDS\tGIDS\tSIZE\tSTATE\tID\tROOT\tSINCE\tUNTIL")
	for _, h := range list {
		until := "-"
		if h.Until != nil {
			until = h.Until.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%d-%d\t%d-%d\t%d\t%s\t%s\t%s\t%s\t%s\n", h.UID, h.UID+h.Size-1, h.GID, h.GID+h.Size-1, h.Size,
			h.State, oneLine(h.ID), oneLine(h.Root), h.Since.Format(time.RFC3339), until)
	}
	return w.Flush()
}

func idsPicture(ctx *cli.Context, _ *libruntime.Runtime, l *ledger.Ledger) error {
	s, err := l.Snapshot()
	if err != nil {
		return err
	}
	file := ctx.String("svg")
	if file == "" {
		return picture.Text(ctx.App.Writer, s, isTerminal(ctx.App.Writer))
	}
	//nolint:forbidigo // the caller names it
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return fault.Wrap(err, "write the picture", "--svg")
	}
	err = picture.SVG(f, s)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fault.Wrap(err, "write the picture", "--svg")
	}
	return nil
}

// isTerminal reports whether what is written comes before people's eyes in colour.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

func idsSetup(ctx *cli.Context, _ *libruntime.Runtime, l *ledger.Ledger) error {
	size := ctx.Uint("size")
	if ctx.IsSet("size") && (size == 0 || size > math.MaxUint32) {
		return badValue("size", strconv.FormatUint(uint64(size), 10), "a number from 1 to 4294967295")
	}
	return l.Setup(uint64(size), func(what string) { fmt.Fprintln(ctx.App.Writer, oneLine(what)) })
}

func idsRelease(ctx *cli.Context, rt *libruntime.Runtime, l *ledger.Ledger) error {
	root, err := filepath.Abs(string(rt.Root))
	if err != nil {
		return fault.Wrap(err, "find the state directory", "--root")
	}
	return l.Abandon(ctx.Args().Get(1), root)
}

func idsCheck(ctx *cli.Context, _ *libruntime.Runtime, l *ledger.Ledger) error {
	asJSON, err := format(ctx, "table")
	if err != nil {
		return err
	}
	problems, err := l.Check(ctx.Bool("repair"))
	if err != nil {
		return err
	}
	left := slices.ContainsFunc(problems, func(p ledger.Problem) bool { return !p.Repaired })
	if asJSON {
		if problems == nil {
			problems = []ledger.Problem{}
		}
		err = printIndented(ctx, problems)
	} else {
		_, err = io.WriteString(ctx.App.Writer, problemText(problems))
	}
	if err == nil && left {
		return exitError(1)
	}
	return err
}

// problemText returns the problems for people.
func problemText(problems []ledger.Problem) string {
	if len(problems) == 0 {
		return "no problems\n"
	}
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s: %s\n", p.Kind, oneLine(p.Where), oneLine(p.What))
		switch {
		case p.Repaired:
			b.WriteString("  repaired\n")
		case p.Remedy != "":
			b.WriteString("  try: " + oneLine(p.Remedy) + "\n")
		}
	}
	return b.String()
}
