package picture

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bailey-oci/bailey/libruntime/idmap/ledger"
)

// snapshot is a machine with everything that can be drawn.
func snapshot() *ledger.Snapshot {
	grant := func(first, size uint32, account string, own bool) ledger.Grant {
		return ledger.Grant{IDs: ledger.IDs{First: first, Size: size}, Account: account, Own: own}
	}
	s := &ledger.Snapshot{
		Account: "bailey",
		Grants: []ledger.Grant{
			grant(100000, 65536, "alice", false), grant(165536, 65536, "<b>\x1b", false), grant(300000, 65536, "bailey", true),
			grant(1879048192, 1024*65536, "bailey", true),
		},
		Shared: []ledger.IDs{{First: 1879048192 + 40*65536, Size: 1}},
	}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	hold := func(state ledger.State, id string, first, size uint32) {
		h := ledger.Holder{Range: ledger.Range{UID: first, GID: first, Size: size}, State: state, ID: id, StateRoot: "/run/bailey", Since: at}
		if state == ledger.Resting {
			h.Until = at.Add(10 * time.Minute)
		}
		s.Holders = append(s.Holders, h)
	}
	hold(ledger.Held, "tiny", 300000, 1024)
	hold(ledger.Held, "small", 301024, 8192)
	base := uint32(1879048192)
	for i := range uint32(20) {
		hold(ledger.Held, fmt.Sprintf("web-%d", i), base+i*65536, 65536)
	}
	hold(ledger.Resting, "job", base+20*65536, 65536)
	hold(ledger.Resting, "job2", base+22*65536, 65536*3)
	hold(ledger.Held, "database<&>", base+60*65536, 65536*40)
	hold(ledger.Held, "half", base+120*65536, 1024)
	hold(ledger.Foreign, "process 7 (thief)", base+300*65536, 65536)
	return s
}

func TestText(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, snapshot(), false); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + b.String())
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a control character")
	}
	for _, want := range []string{
		"account bailey: 67174400 user IDs, 93.6% free; 24 ranges held, 2 resting, 1 in use by others\n",
		"all IDs    B···························B",
		"1879048192-1946157055, one cell is 65536 IDs\n",
		"1879048192 " + strings.Repeat("█", 20) + "▒·▒▒▒···············x···················████ web-0 web-1 +19\n",
		"1883242496 " + strings.Repeat("█", 36) + strings.Repeat("·", 20) + "▄·······",
		"(9 more like this)\n",
		"300000-365535, one cell is 1024 IDs\n300000     █████████·",
		"▒ resting\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	for line := range strings.Lines(b.String()) {
		if cells, _, ok := strings.Cut(line, " web"); ok && len([]rune(cells)) > 79 {
			t.Errorf("too wide: %q", line)
		}
	}
	var colour strings.Builder
	if err := Text(&colour, snapshot(), true); err != nil || !strings.Contains(colour.String(), "\x1b[36m█\x1b[0m\x1b[34m█\x1b[0m") {
		t.Errorf("%v: neighbours have the same colour", err)
	}
}

func TestNothingToDraw(t *testing.T) {
	var b strings.Builder
	if err := Text(&b, &ledger.Snapshot{Account: "bailey"}, false); err != nil || !strings.Contains(b.String(), "0 user IDs") {
		t.Error(err, b.String())
	}
	if err := SVG(&b, &ledger.Snapshot{}); err != nil {
		t.Error(err)
	}
}

// The whole of what there can be.
func TestManyRanges(t *testing.T) {
	s := &ledger.Snapshot{Account: "a", Grants: []ledger.Grant{{IDs: ledger.IDs{First: 1, Size: 1<<32 - 2}, Account: "a", Own: true}}}
	for i := range uint32(10000) {
		s.Holders = append(s.Holders, ledger.Holder{State: ledger.Held, ID: fmt.Sprint(i), Range: ledger.Range{UID: i*400000 + 1, Size: 65536}})
	}
	var b strings.Builder
	if err := Text(&b, s, false); err != nil || strings.Count(b.String(), "\n") > 40 {
		t.Errorf("%v: %s", err, b.String())
	}
}

func TestSVG(t *testing.T) {
	var b strings.Builder
	if err := SVG(&b, snapshot()); err != nil {
		t.Fatal(err)
	}
	if file := os.Getenv("LEDGER_TEST_SVG"); file != "" {
		os.WriteFile(file, []byte(b.String()), 0o644) // to be looked at
	}
	titles := map[string]bool{}
	d := xml.NewDecoder(strings.NewReader(b.String()))
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && e.Name.Local == "title" {
			var text string
			if err := d.DecodeElement(&text, &e); err != nil {
				t.Fatal(err)
			}
			titles[text] = true
		}
	}
	for _, want := range []string{
		"1882980352-1885601791: database<&> (/run/bailey)", "alice: 100000-165535 (65536)",
		"1880358912-1880424447: rests until 12:10:00; was job (/run/bailey)", "1898708992-1898774527: process 7 (thief)",
	} {
		if !titles[want] {
			t.Errorf("no title %q", want)
		}
	}
}
