package docker

import (
	"fmt"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	keys := make([]string, maxKeys+1)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"k%d":0`, i)
	}
	for _, x := range []struct{ name, body, want string }{
		{"Docker's", `{"NetworkID":"a","Options":{"x":"1","X":"2","g":{"x":[{"x":1},{"x":1}]}}}`, ""},
		{"as deep as may be", strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth), ""},
		{"deeper", strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1), "the request is nested deeper than 32 levels"},
		{"as many values as may be", "[" + strings.Repeat("0,", maxValues-2) + "0]", ""},
		{"more", "[" + strings.Repeat("0,", maxValues-1) + "0]", "the request has more than 1048576 values"},
		{"more, and empty", "[" + strings.Repeat("{},", maxValues-1) + "{}]", "the request has more than 1048576 values"},
		{"as many keys as may be", "{" + strings.Join(keys[:maxKeys], ",") + "}", ""},
		{"more", "{" + strings.Join(keys, ",") + "}", "the request has an object of more than 1000 keys"},
		{"a key twice", `{"NetworkID":"a","NetworkID":"b"}`, `the request has "NetworkID" twice`},
		{"in another case", `{"NetworkID":"a","networkid":"b"}`, `the request has "networkid" twice`},
		{"in another alphabet", `{"K":"a","` + "\u212a" + `":"b"}`, `the request has "` + "\u212a" + `" twice`},
		{"escaped", `{"Network\u0049D":"a","NetworkID":"b"}`, `the request has "NetworkID" twice`},
		{"of an option", `{"Options":{"x":"1","x":"2"}}`, `the request has "x" twice`},
		{"in a list", `[{"x":"1"},{"x":"1","x":"2"}]`, `the request has "x" twice`},
		{"a long one", `{"` + strings.Repeat("x", 100) + `":0,"` + strings.Repeat("x", 100) + `":0}`, `the request has "` + strings.Repeat("x", 40) + `" twice`},
		{"not UTF-8", "{\"a\xff\":1}", "the request is not UTF-8"},
		{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", "the request is not UTF-8"},
		{"a quote in a string", `{"a":"\"","a\"":"","b":"\\"}`, ""},
		// What is no JSON is the decoder's.
		{"half a string", `{"a`, ""}, {"half an escape", `{"a\`, ""}, {"closed too often", `}]`, ""}, {"binary", "\x00\x01", ""},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := ""
			if err := scan([]byte(x.body)); err != nil {
				got = err.Error()
			}
			if got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
		})
	}
}

func BenchmarkScan(b *testing.B) {
	body := []byte(`{"NetworkID":"4aa1af9a5359","EndpointID":"250bdf5ab099","Interface":{"Address":"10.0.0.2/24","AddressIPv6":"","MacAddress":"02:42:0a:00:00:02"},"Options":{"com.docker.network.endpoint.exposedports":[{"Proto":6,"Port":80}],"com.docker.network.portmap":[{"Proto":6,"IP":"","Port":80,"HostIP":"","HostPort":8080,"HostPortEnd":8080}]}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if err := scan(body); err != nil {
			b.Fatal(err)
		}
	}
}
