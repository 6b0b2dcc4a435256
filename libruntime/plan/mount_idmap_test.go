package plan

import (
	"reflect"
	"testing"
)

func TestParseIDMap(t *testing.T) {
	// The first is the example of crun's manual.
	uids := []IDMapping{{0, 0, 1}, {1, 2, 1000}}
	gids := []IDMapping{{0, 100000, 65536}}
	for value, want := range map[string]mountMap{
		"uids=@1-3-10;gids=0-100-10": {[]IDMapping{{1, 4, 10}}, []IDMapping{{0, 100, 10}}},
		"gids=@5-0-65536;uids=0-1-10#10-11-4294967285": {[]IDMapping{{0, 1, 10}, {10, 11, 4294967285}},
			[]IDMapping{{5, 100000, 65536}}},
	} {
		got, err := parseIDMap(value, uids, gids, false)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v, %v", value, got, err)
		}
	}
	// In a user namespace that the configuration knows nothing of, the IDs on the host are meant as those inside.
	want := mountMap{[]IDMapping{{1, 4, 10}}, []IDMapping{{0, 100, 10}}}
	if got, err := parseIDMap("uids=1-3-10;gids=@0-100-10", uids, []IDMapping{{0, 0, 1000}}, true); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("inside: %v, %v", got, err)
	}
	for _, value := range []string{
		"", "uids", "uids=", "uids=0-0-1", "gids=0-0-1", "uids=0-0-1;gids=", "uids=0-0-1;gids=0-0-1;", "uids=0-0-1;gids=0-0-1;uids=1-1-1",
		"uids=0-0;gids=0-0-1", "uids=0-0-1-1;gids=0-0-1", "uids=0--1-1;gids=0-0-1", "uids=0-0-4294967296;gids=0-0-1",
		"uids=0-0-0;gids=0-0-1", "uids=@0-0-2;gids=0-0-1", "uids=@0-1001-1;gids=0-0-1", "uids=0-0-1;pids=0-0-1", "uids=0-0-1,gids=0-0-1",
	} {
		if got, err := parseIDMap(value, uids, gids, false); err == nil {
			t.Errorf("%q: %v", value, got)
		}
	}
}
