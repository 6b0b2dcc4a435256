package ledger

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bailey-oci/bailey/internal/fault"
)

// ErrExhausted is what the error wraps for an account without room for another container.
var ErrExhausted = errors.New("the account has no range of that size left")

// ErrNoRanges is what the error wraps for an account that has no IDs to hand out at all.
var ErrNoRanges = errors.New("the account has no subordinate IDs")

// mostNames is how many containers an error names.
const mostNames = 4

// noRanges returns the error for an account without lines, or whose lines are of no use.
func (l *Ledger) noRanges(a *accounts) error {
	f := &fault.Error{Step: "allocate IDs for a container", Object: "account " + l.o.Account, Err: ErrNoRanges}
	var missing []string
	for _, s := range []side{a.users, a.groups} {
		if len(s.own) == 0 {
			missing = append(missing, s.file)
		}
	}
	setup := "bailey ids setup"
	if l.o.Account != DefaultAccount {
		setup += " --account " + l.o.Account
	}
	f.Remedy = "as root: " + setup
	if len(missing) > 0 {
		f.Cause = "there is no line for it in " + strings.Join(missing, " and ")
		return f
	}
	f.Cause = fmt.Sprintf("none of its ranges (%s) is its alone and exists here", spans(a.users.own))
	f.Remedy = "bailey ids check says with whom they are shared; " + f.Remedy
	return f
}

// exhausted returns the error for an account without room. It says who has what.
func (t *table) exhausted(a *accounts, size uint64) error {
	f := &fault.Error{Step: "allocate " + fmt.Sprint(size) + " IDs for a container", Object: "account " + t.l.o.Account, Err: ErrExhausted}
	holders, err := t.holders()
	if err != nil {
		return err
	}
	slices.SortStableFunc(holders, func(a, b Holder) int { return a.Until.Compare(b.Until) })
	total := uint64(0)
	for _, s := range a.users.usable {
		total += s.size()
	}
	used := map[State]uint64{}
	var sum [4]count
	for _, h := range holders {
		used[h.State] += uint64(h.Size)
		sum[h.State].add(h)
	}
	cause := fmt.Sprintf("it has %d IDs (%s)", total, spans(a.users.usable))
	cause += fmt.Sprintf("; %d ranges with %d IDs are held%s", sum[Held].n, used[Held], sum[Held].names("by"))
	if c := sum[Resting]; c.n > 0 {
		cause += fmt.Sprintf("; %d with %d IDs rest, the first until %s%s", c.n, used[Resting], c.first.Until.Format("15:04:05"), c.names("after"))
	}
	if c := sum[Foreign]; c.n > 0 {
		cause += fmt.Sprintf("; %d with %d IDs are in use by others%s", c.n, used[Foreign], c.names("by"))
	}
	if free := total - min(total, used[Held]+used[Resting]+used[Foreign]); free >= size {
		cause += fmt.Sprintf("; %d are free, but not so many together", free)
	}
	f.Cause = cause
	f.Remedy = t.remedy(a, size)
	return f
}

// remedy names a line that would help.
func (t *table) remedy(a *accounts, size uint64) string {
	first, _, ok := t.l.block(a, nil, max(size, 16*unit), false)
	if !ok {
		return "delete containers, or ask for fewer IDs for each"
	}
	return fmt.Sprintf("delete containers, or add the line \"%s:%d:%d\" to %s and %s (bailey ids setup --size %[3]d does that)",
		t.l.o.Account, first, max(size, 16*unit), a.users.file, a.groups.file)
}

// count is how many ranges there are of one State, and the first of whose they are.
type count struct {
	n     int
	first Holder
	ids   []string
}

func (c *count) add(h Holder) {
	if c.n++; c.n == 1 {
		c.first = h
	}
	if len(c.ids) < mostNames {
		c.ids = append(c.ids, h.ID)
	}
}

// names returns " by A, B and 7 more".
func (c *count) names(by string) string {
	if c.n == 0 {
		return ""
	}
	s := " " + by + " " + strings.Join(c.ids, ", ")
	if more := c.n - len(c.ids); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// spans returns up to three of a list in words.
func spans(list []span) string {
	var words []string
	for _, s := range list[:min(len(list), 3)] {
		words = append(words, s.String())
	}
	if len(list) > 3 {
		words = append(words, fmt.Sprintf("%d more", len(list)-3))
	}
	return strings.Join(words, ", ")
}

func sortHolders(list []Holder) {
	slices.SortFunc(list, func(a, b Holder) int { return cmp.Or(cmp.Compare(a.UID, b.UID), cmp.Compare(a.GID, b.GID)) })
}
