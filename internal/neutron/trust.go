package neutron

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"

	"kuryr/internal/courier"
)

// trust is the way to a cloud's services: connections of its own, with the
// authorities and the client certificate of files. The files are read again
// at each authentication, and when a handshake fails, so that an authority or
// a certificate can be replaced without a restart.
type trust struct {
	mu   sync.Mutex // guards what follows
	from tlsFiles
	seen [sha256.Size]byte // of what was read
	next *http.Transport
}

// tlsFiles are what a cloud's settings say of TLS.
type tlsFiles struct {
	ca, cert, key string
	insecure      bool
}

func (c Cloud) tlsFiles() tlsFiles {
	return tlsFiles{ca: c.CAFile, cert: c.CertFile, key: c.KeyFile, insecure: c.Insecure}
}

// RoundTrip implements http.RoundTripper. No server has seen a request whose
// handshake failed, so it may be sent again.
func (t *trust) RoundTrip(req *http.Request) (*http.Response, error) {
	t.mu.Lock()
	if t.next == nil { // no files: the system's authorities
		t.next = newTransport()
	}
	next, from := t.next, t.from
	t.mu.Unlock()
	resp, err := next.RoundTrip(req)
	if err == nil || !handshakeFailed(err) {
		return resp, err
	}
	changed, rerr := t.use(from)
	again := replay(req)
	if rerr != nil || !changed || again == nil {
		return nil, err
	}
	t.mu.Lock()
	next = t.next
	t.mu.Unlock()
	return next.RoundTrip(again)
}

// replay returns a request to send once more; nil: its body is gone.
func replay(req *http.Request) *http.Request {
	again := req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return again
	}
	if req.GetBody == nil {
		return nil
	}
	var err error
	if again.Body, err = req.GetBody(); err != nil {
		return nil
	}
	return again
}

// use reads the files, and reports whether they say something new. With an
// error everything stays as it was.
func (t *trust) use(from tlsFiles) (changed bool, err error) {
	conf, seen, err := from.read()
	if err != nil {
		return false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.next != nil && t.from == from && t.seen == seen {
		return false, nil
	}
	if t.next != nil {
		t.next.CloseIdleConnections()
	}
	t.from, t.seen, t.next = from, seen, newTransport()
	t.next.TLSClientConfig = conf
	return true, nil
}

func (f tlsFiles) read() (*tls.Config, [sha256.Size]byte, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure} // as the operator asked
	refuse := func(file, why, hint string) (*tls.Config, [sha256.Size]byte, error) {
		return nil, [sha256.Size]byte{}, &courier.Error{Kind: courier.Invalid, Op: "read", Subject: file, Public: why, Hint: hint}
	}
	var all [][]byte
	for _, path := range []string{f.ca, f.cert, f.key} {
		var data []byte
		if path != "" {
			var err error
			if data, err = os.ReadFile(path); err != nil {
				return refuse(path, cause(err), "cafile, certfile and keyfile name PEM files")
			}
		}
		all = append(all, data)
	}
	if f.ca != "" {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(all[0]) {
			return refuse(f.ca, "there is no certificate in it", "cafile holds the authorities of Keystone's and Neutron's certificates as PEM")
		}
	}
	if (f.cert == "") != (f.key == "") {
		return refuse(f.cert+f.key, "a certificate and its key go together", "set both certfile and keyfile")
	}
	if f.cert != "" {
		pair, err := tls.X509KeyPair(all[1], all[2])
		if err != nil {
			return refuse(f.cert+" with "+f.key, line(err.Error()), "they must be a certificate and its key as PEM")
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, sha256.Sum256(bytes.Join(all, []byte{0})), nil
}

// handshakeFailed reports whether TLS was not agreed upon: this side did not
// trust the other, or the other sent an alert.
func handshakeFailed(err error) bool {
	var unverified *tls.CertificateVerificationError
	return errors.As(err, &unverified) || refusedUs(err)
}

// refusedUs reports whether the other side ended the handshake. Go has no type
// for its alert.
func refusedUs(err error) bool { return strings.Contains(err.Error(), "remote error: tls: ") }
