package neutron_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

// The same handler gives the same answer in process as over TCP.
func TestInProcessIsAsOverTCP(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", strings.Join([]string{r.Method, r.RequestURI, r.URL.String(), r.Host, strconv.Quote(string(body))}, " | "))
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-Late", "dropped")
		if err != nil || r.RemoteAddr == "" {
			io.WriteString(w, "bad request")
		}
		io.WriteString(w, "some ")
		io.WriteString(w, "text")
	})
	s := httptest.NewServer(h)
	defer s.Close()
	do := func(rt http.RoundTripper, body io.Reader) string {
		req, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/v2.0/a%2Fb?x=1", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.Status + "\n" + resp.Header.Get("X-Seen") + "\n" + resp.Header.Get("X-Late") + "\n" + string(b)
	}
	for _, body := range []string{"", "hello"} {
		tcp, in := do(http.DefaultTransport, strings.NewReader(body)), do(neutron.InProcess(h), strings.NewReader(body))
		if in != tcp {
			t.Errorf("in process:\n%s\nover TCP:\n%s", in, tcp)
		}
	}
	if in, tcp := do(neutron.InProcess(h), nil), do(http.DefaultTransport, nil); in != tcp {
		t.Errorf("in process:\n%s\nover TCP:\n%s", in, tcp)
	}
}

func TestInProcessHonoursTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finished := false
		c := client(t, func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Minute) // goes on after its client has left
			if r.Context().Err() == nil {
				t.Error("the handler is not told that its client has left")
			}
			io.WriteString(w, "too late")
			finished = true
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		err := c.DeletePort(ctx, portID)
		if courier.KindOf(err) != courier.Unavailable || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !finished {
			t.Error("the handler did not go on")
		}
	})
}

func TestInProcessPanicIsNoAnswer(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { panic("at the disco") })
	err := c.DeletePort(t.Context(), portID)
	if courier.KindOf(err) != courier.Unavailable ||
		err.Error() != "cannot delete port "+string(portID)+": Neutron cannot be reached: the server panicked: at the disco" {
		t.Error(err)
	}
}

func TestInProcessAnswerIsBounded(t *testing.T) {
	chunk := strings.Repeat("x", 1<<20)
	c := client(t, func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
		t.Error("a GiB was accepted")
	})
	if err := c.Ping(t.Context()); courier.KindOf(err) != courier.Unavailable || !strings.Contains(err.Error(), "larger than 64 MiB") {
		t.Error(err)
	}
}
