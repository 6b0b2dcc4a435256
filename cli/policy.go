package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"github.com/bailey-oci/bailey/internal/fault"
	"github.com/bailey-oci/bailey/libruntime/policy"
	"github.com/bailey-oci/bailey/spec"
)

func policyCommand(*reporter) *cli.Command {
	return &cli.Command{
		Name:      "policy",
		Usage:     "check a policy file, and show what it decides for a container",
		ArgsUsage: "check [flags] FILE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "show the decision for the container of this bundle"},
			&cli.StringSliceFlag{Name: "annotation", Usage: "show it for a container with the annotation `NAME=VALUE` (repeatable)"},
			&cli.StringSliceFlag{Name: "engine", Usage: "show it for a container of this engine (repeatable)"},
			&cli.StringFlag{Name: "user", Usage: "show it for a call by this user, a name or number"},
			&cli.StringFlag{Name: "userns", Usage: "show it for a call with this --userns"},
			&cli.StringFlag{Name: "seal", Usage: "show it for a call with this --seal"},
			formatFlag("table"),
		},
		Action: func(ctx *cli.Context) error {
			if err := arguments(ctx, 2, 2); err != nil {
				return err
			}
			if what := ctx.Args().First(); what != "check" {
				return &fault.Error{Step: "read the command line: " + strconv.Quote(what) + " is not check",
					Remedy: "bailey policy check [flags] FILE"}
			}
			asJSON, err := format(ctx, "table")
			if err != nil {
				return err
			}
			return checkPolicy(ctx, ctx.Args().Get(1), asJSON)
		},
	}
}

// policyCheck is what policy check prints as JSON.
type policyCheck struct {
	File     string             `json:"file"`
	Problems policy.ParseErrors `json:"problems"`
	// Decision is there if a container was described, and its policy has no problems.
	Decision []policy.Row `json:"decision,omitempty"`
}

// checkPolicy prints what is wrong with a policy or, where the flags describe a container, what it decides.
func checkPolicy(ctx *cli.Context, file string, asJSON bool) error {
	data, err := readInput(file, "read the policy", "FILE")
	if err != nil {
		return err
	}
	p, err := policy.Parse(file, data)
	check := policyCheck{File: file, Problems: policy.ParseErrors{}}
	if errors.As(err, &check.Problems) {
		if err := printCheck(ctx, &check, asJSON); err != nil {
			return err
		}
		return fault.New("the policy has "+plural(len(check.Problems), "problem"), "FILE")
	}
	if err != nil {
		return err
	}
	if file == policy.System {
		// Where it is in force, who can write to it matters, too.
		if _, err := policy.Load(policy.Paths{System: file}); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc([]string{"bundle", "annotation", "engine", "user", "userns", "seal"}, ctx.IsSet) {
		return printCheck(ctx, &check, asJSON)
	}
	s, facts, err := describedContainer(ctx)
	if err != nil {
		return err
	}
	d, err := p.Decide(facts, policy.Asked{Userns: ctx.String("userns"), Seal: ctx.String("seal")})
	if err != nil {
		return err
	}
	check.Decision = d.Rows()
	if err := printCheck(ctx, &check, asJSON); err != nil || s == nil {
		return err
	}
	// What the policy refuses is not in the table.
	return policy.Apply(s, &d)
}

// describedContainer returns the container that the flags describe. Its configuration is nil if there is no bundle.
func describedContainer(ctx *cli.Context) (*specs.Spec, policy.Facts, error) {
	facts := policy.Facts{Annotations: make(map[string]string), Engines: ctx.StringSlice("engine")}
	for _, e := range facts.Engines {
		if known := policy.Engines(); !slices.Contains(known, e) {
			return nil, facts, badValue("engine", e, "one of "+strings.Join(known, ", "))
		}
	}
	if u := ctx.String("user"); u != "" {
		facts.User = policy.FindUser(u)
	}
	var s *specs.Spec
	if ctx.IsSet("bundle") {
		bundle, err := filepath.Abs(ctx.String("bundle"))
		if err != nil {
			return nil, facts, fault.Wrap(err, "find the bundle", "--bundle")
		}
		if s, err = spec.Load(filepath.Join(bundle, "config.json")); err != nil {
			return nil, facts, err
		}
		if err := spec.Validate(s); err != nil {
			return nil, facts, err
		}
		facts.Bundle, facts.Rootfs = bundle, s.Root.Path
		if !filepath.IsAbs(facts.Rootfs) {
			facts.Rootfs = bundle + "/" + facts.Rootfs
		}
		maps.Copy(facts.Annotations, s.Annotations)
	}
	for _, a := range ctx.StringSlice("annotation") {
		key, value, ok := strings.Cut(a, "=")
		if !ok || key == "" {
			return nil, facts, badValue("annotation", a, "NAME=VALUE")
		}
		facts.Annotations[key] = value
	}
	return s, facts, nil
}

// printCheck prints the problems, or else the decision, or else that there is nothing to say.
func printCheck(ctx *cli.Context, check *policyCheck, asJSON bool) error {
	switch {
	case asJSON:
		return json.NewEncoder(ctx.App.Writer).Encode(check)
	case len(check.Problems) > 0:
		for _, p := range check.Problems {
			fmt.Fprintln(ctx.App.Writer, p)
		}
	case check.Decision == nil:
		fmt.Fprintln(ctx.App.Writer, oneLine(check.File)+": no problems")
	default:
		w := tabwriter.NewWriter(ctx.App.Writer, 0, 1, 3, ' ', 0)
		fmt.Fprintln(w, "SETTING\tVALUE\tDECIDED BY")
		for _, r := range check.Decision {
			fmt.Fprintf(w, "%s\t%s\t%s\n", r.Setting, r.Value, r.Why())
		}
		return w.Flush()
	}
	return nil
}

// plural returns a number of things in words.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return strconv.Itoa(n) + " " + thing + "s"
}
