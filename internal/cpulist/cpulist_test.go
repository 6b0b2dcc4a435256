package cpulist

import (
	"slices"
	"testing"
)

func TestEach(t *testing.T) {
	var got []uint64
	err := Each("0-2, 7,5-5\n", 8, func(n uint64) { got = append(got, n) })
	if want := []uint64{0, 1, 2, 7, 5}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, list := range []string{"", "x", "3-1", "1-", "-1", "8", "0,", "1--2", "0x1", "0-18446744073709551615"} {
		if Each(list, 8, func(uint64) {}) == nil {
			t.Errorf("%q was accepted", list)
		}
	}
}
