package libruntime

import (
	"reflect"
	"testing"
)

func TestParseNetDev(t *testing.T) {
	got, err := parseNetDev(`Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     900       9    0    0    0     0          0         0      900       9    0    0    0     0       0          0
  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
verylongname0:18446744073709551615       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
`)
	want := []NetworkInterface{
		{Name: "eth0", RxBytes: 1, RxPackets: 2, RxErrors: 3, RxDropped: 4, TxBytes: 9, TxPackets: 10, TxErrors: 11, TxDropped: 12},
		{Name: "verylongname0", RxBytes: 1<<64 - 1},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := parseNetDev("eth0: 1 2 3 4 5 6 7 8 9 10 11 x 13 14 15 16\n"); err == nil {
		t.Errorf("nonsense was accepted: %+v", got)
	}
}
