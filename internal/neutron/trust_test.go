package neutron_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/neutron"
)

// authority is a certificate authority.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{t: t, cert: cert, key: key}
}

// issue returns a certificate for 127.0.0.1, good until a time, with its key.
func (a *authority) issue(until time.Time) (certPEM, keyPEM []byte) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(2), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until}, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pair(until time.Time) *tls.Certificate {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.issue(until))
	if err != nil {
		a.t.Fatal(err)
	}
	return &pair
}

// tlsLab is a lab over TLS.
type tlsLab struct {
	*lab
	dir    string
	server *httptest.Server
	cert   atomic.Pointer[tls.Certificate]
}

func newTLSLab(t *testing.T, clients *authority) *tlsLab {
	t.Helper()
	l := &tlsLab{lab: newLab(t), dir: t.TempDir()}
	l.server = httptest.NewUnstartedServer(l)
	l.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	conf := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return l.cert.Load(), nil }}
	if clients != nil {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
		conf.ClientCAs.AddCert(clients.cert)
	}
	l.server.TLS = conf
	l.server.StartTLS()
	l.server.TLS.Certificates = nil // httptest's own
	t.Cleanup(l.server.Close)
	return l
}

func (l *tlsLab) write(name string, data []byte) string {
	l.t.Helper()
	path := filepath.Join(l.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		l.t.Fatal(err)
	}
	return path
}

// over returns an unchecked client over TLS.
func (l *tlsLab) over(c neutron.Cloud) (*neutron.Client, error) {
	if c.AuthURL == "" {
		c.AuthURL = l.server.URL
	}
	c.Username, c.Password, c.ProjectName = "kuryr", secret, "service"
	return neutron.New(neutron.Options{Cloud: func() (neutron.Cloud, error) { return c, nil }, Log: slog.New(slog.NewTextHandler(l.t.Output(), nil))})
}

func (l *tlsLab) check(c neutron.Cloud) error {
	client, err := l.over(c)
	if err != nil {
		return err
	}
	return client.Check(l.t.Context(), testHost)
}

func TestTLS(t *testing.T) {
	ours := newAuthority(t)
	l := newTLSLab(t, nil)
	l.cert.Store(ours.pair(time.Now().Add(time.Hour)))
	ca, port := l.write("ca.pem", ours.pem()), l.server.URL[strings.LastIndex(l.server.URL, ":"):]
	plain := httptest.NewServer(l)
	defer plain.Close()
	closing := "https://" + closingListener(t)
	k := "cannot authenticate with Keystone at " + l.server.URL + "/v3: it cannot be reached: "
	for name, tt := range map[string]struct {
		cloud neutron.Cloud
		kind  courier.Kind
		want  string // the start of the error; "": there is none
		hint  string
	}{
		"the right authority": {cloud: neutron.Cloud{CAFile: ca}},
		"no check":            {cloud: neutron.Cloud{Insecure: true}},
		"unknown authority":   {kind: courier.Invalid, want: k + "its certificate is of an unknown authority", hint: "cafile"},
		"another authority": {cloud: neutron.Cloud{CAFile: l.write("other.pem", newAuthority(t).pem())}, kind: courier.Invalid,
			want: k + "its certificate is of an unknown authority", hint: "cafile"},
		"another name": {cloud: neutron.Cloud{CAFile: ca, AuthURL: "https://localhost" + port}, kind: courier.Invalid,
			want: "cannot authenticate with Keystone at https://localhost" + port + "/v3: it cannot be reached: its certificate is not for localhost", hint: "name"},
		"no file": {cloud: neutron.Cloud{CAFile: l.dir + "/none.pem"}, kind: courier.Invalid,
			want: "cannot read " + l.dir + "/none.pem: no such file or directory", hint: "PEM"},
		"no certificate": {cloud: neutron.Cloud{CAFile: l.write("empty.pem", []byte(secret))}, kind: courier.Invalid,
			want: "cannot read " + l.dir + "/empty.pem: there is no certificate in it", hint: "PEM"},
		"half a pair": {cloud: neutron.Cloud{CertFile: ca}, kind: courier.Invalid,
			want: "cannot read " + ca + ": a certificate and its key go together", hint: "keyfile"},
		"TLS where there is none": {cloud: neutron.Cloud{AuthURL: "https" + strings.TrimPrefix(plain.URL, "http")}, kind: courier.Invalid,
			want: "cannot authenticate with Keystone at https" + strings.TrimPrefix(plain.URL, "http") + "/v3: it cannot be reached: it does not speak TLS", hint: "http://"},
		"closed at once": {cloud: neutron.Cloud{AuthURL: closing}, kind: courier.Unavailable,
			want: "cannot authenticate with Keystone at " + closing + "/v3: it cannot be reached: it closes the connection", hint: "http://"},
		"no TLS where there is": {cloud: neutron.Cloud{AuthURL: "http" + strings.TrimPrefix(l.server.URL, "https")}, kind: courier.Invalid,
			want: "cannot authenticate with Keystone at http" + strings.TrimPrefix(l.server.URL, "https") + "/v3: it answers 400 Bad Request, not as Keystone does", hint: "https://"},
		"nobody there": {cloud: neutron.Cloud{AuthURL: "http://127.0.0.1:9"}, kind: courier.Unavailable,
			want: "cannot authenticate with Keystone at http://127.0.0.1:9/v3: it cannot be reached: dial tcp 127.0.0.1:9: connect: connection refused", hint: "Keystone answers"},
	} {
		t.Run(name, func(t *testing.T) {
			err := l.check(tt.cloud)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || err.Error() != tt.want || courier.KindOf(err) != tt.kind || !strings.Contains(courier.HintOf(err), tt.hint) {
				t.Errorf("%v (%v, hint %q), want %s (%v)", err, courier.KindOf(err), courier.HintOf(err), tt.want, tt.kind)
			}
			neverShown(t, err)
		})
	}
	t.Run("a certificate of the past", func(t *testing.T) {
		l.cert.Store(ours.pair(time.Now().Add(-time.Hour)))
		err := l.check(neutron.Cloud{CAFile: ca})
		if err == nil || !strings.HasPrefix(err.Error(), k+"its certificate is not valid by this host's clock, 20") || courier.KindOf(err) != courier.Unavailable {
			t.Errorf("%v (%v)", err, courier.KindOf(err))
		}
	})
}

// closingListener returns the address of a server that hangs up, as uWSGI does
// on TLS.
func closingListener(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test has ended
			}
			c.Read(make([]byte, 1<<14)) // with what came unread the end would be a reset
			c.Close()
		}
	}()
	return l.Addr().String()
}

// TestAuthorityIsReplaced gives Neutron a certificate of another authority
// while a client works.
func TestAuthorityIsReplaced(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	l := newTLSLab(t, nil)
	l.cert.Store(first.pair(time.Now().Add(time.Hour)))
	c, err := l.over(neutron.Cloud{CAFile: l.write("ca.pem", first.pem())})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Check(t.Context(), testHost); err != nil {
		t.Fatal(err)
	}
	l.cert.Store(second.pair(time.Now().Add(time.Hour)))
	l.server.CloseClientConnections()
	create := func() error {
		_, err := c.CreateNetwork(t.Context(), courier.NetworkSpec{Name: "n", Mark: courier.Mark{Host: testHost, Intent: "i"}})
		return err
	}
	if err := c.Ping(t.Context()); courier.KindOf(err) != courier.Invalid || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("before the file is replaced: %v", err)
	}
	l.write("ca.pem", second.pem())
	if err := create(); err != nil {
		t.Error(err)
	}
	if n := l.asked.Load(); n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestClientCertificate(t *testing.T) {
	ours := newAuthority(t)
	l := newTLSLab(t, ours)
	l.cert.Store(ours.pair(time.Now().Add(time.Hour)))
	cert, key := ours.issue(time.Now().Add(time.Hour))
	cloud := neutron.Cloud{CAFile: l.write("ca.pem", ours.pem())}
	err := l.check(cloud)
	if err == nil || !strings.Contains(err.Error(), "it refuses the TLS connection: ") || courier.KindOf(err) != courier.Invalid || !strings.Contains(courier.HintOf(err), "certfile") {
		t.Errorf("without one: %v (hint %q)", err, courier.HintOf(err))
	}
	cloud.CertFile, cloud.KeyFile = l.write("cert.pem", cert), l.write("key.pem", key)
	if err := l.check(cloud); err != nil {
		t.Error(err)
	}
	cloud.KeyFile = cloud.CertFile
	if err := l.check(cloud); courier.KindOf(err) != courier.Invalid {
		t.Errorf("a certificate in the place of a key: %v", err)
	}
}
