package courier_test

import (
	"encoding/json"
	"slices"
	"testing"

	"kuryr/internal/courier"
)

func TestPortSet(t *testing.T) {
	tcp := func(first, last uint16) courier.PortRange {
		return courier.PortRange{Protocol: courier.TCP, First: first, Last: last}
	}
	udp := func(first, last uint16) courier.PortRange {
		return courier.PortRange{Protocol: courier.UDP, First: first, Last: last}
	}
	for _, tt := range []struct {
		ranges []courier.PortRange
		want   string
	}{
		{nil, ""},
		{[]courier.PortRange{tcp(80, 80)}, "tcp/80"},
		{[]courier.PortRange{tcp(443, 443), tcp(80, 80), tcp(80, 80)}, "tcp/80,443"},
		{[]courier.PortRange{tcp(82, 82), tcp(80, 80), tcp(81, 81)}, "tcp/80-82"},
		{[]courier.PortRange{tcp(80, 90), tcp(82, 84), tcp(91, 95), tcp(97, 97)}, "tcp/80-95,97"},
		{[]courier.PortRange{udp(53, 53), tcp(53, 53), {Protocol: courier.SCTP, First: 53, Last: 54}}, "tcp/53 udp/53 sctp/53-54"},
		{[]courier.PortRange{tcp(65535, 65535), tcp(1, 65534)}, "tcp/1-65535"},
		{[]courier.PortRange{tcp(65535, 65535), udp(0, 0)}, "tcp/65535 udp/0"},
	} {
		set := courier.NewPortSet(tt.ranges...)
		if got := set.String(); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.ranges, got, tt.want)
		}
		slices.Reverse(tt.ranges)
		if again := courier.NewPortSet(tt.ranges...); !slices.Equal(again, set) {
			t.Errorf("%v in another order: %v, want %v", tt.ranges, again, set)
		}
		data, err := json.Marshal(set)
		var back courier.PortSet
		if err != nil || json.Unmarshal(data, &back) != nil || !slices.Equal(back, set) {
			t.Errorf("%v came back from %s as %v (%v)", set, data, back, err)
		}
	}
	if json.Unmarshal([]byte(`[{"protocol":"icmp"}]`), new(courier.PortSet)) == nil {
		t.Error("a protocol without ports is accepted")
	}
}
