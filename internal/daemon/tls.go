package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"sync"
	"time"

	"kuryr/internal/courier"
	"kuryr/internal/observe"
)

// TLSFiles are the PEM files of a TLS server. The zero value is none: no TLS.
type TLSFiles struct {
	Cert, Key string // the server's own; both or none
	// ClientCA holds the authorities whose clients are let in; "": clients need
	// no certificate.
	ClientCA string
}

// config returns what a listener needs, nil without files.
func (f TLSFiles) config(log *slog.Logger) (*tls.Config, error) {
	if f == (TLSFiles{}) {
		return nil, nil
	}
	own := &certificate{files: f, log: log}
	if err := own.load(); err != nil {
		return nil, err
	}
	c := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return own.current(), nil },
	}
	if f.ClientCA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(f.ClientCA)
	if err != nil {
		return nil, &courier.Error{Kind: courier.Invalid, Op: "read", Subject: f.ClientCA, Public: cause(err), Err: err}
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, &courier.Error{Kind: courier.Invalid, Op: "read", Subject: f.ClientCA, Public: "there is no certificate in it",
			Hint: "it must hold the clients' authorities as PEM"}
	}
	return c, nil
}

// certificate is the server's own. It is read again when its file has
// changed, so that a renewed one needs no restart.
type certificate struct {
	files TLSFiles
	log   *slog.Logger

	mu   sync.Mutex // guards what follows
	pair *tls.Certificate
	mod  time.Time // of the certificate's file, when it was tried last
}

func (c *certificate) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	st, err := os.Stat(c.files.Cert)
	if err == nil && st.ModTime().Equal(c.mod) {
		return c.pair
	}
	if err == nil {
		err = c.load()
	}
	if err != nil {
		c.log.Warn("the certificate could not be read again; the last one is used", observe.Path, c.files.Cert, observe.Err, err)
	}
	return c.pair
}

// load reads the files.
func (c *certificate) load() error {
	st, err := os.Stat(c.files.Cert)
	if err != nil {
		return &courier.Error{Kind: courier.Invalid, Op: "read", Subject: c.files.Cert, Public: cause(err), Err: err}
	}
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return &courier.Error{Kind: courier.Invalid, Op: "use", Subject: c.files.Cert + " with " + c.files.Key, Err: err,
			Hint: "they must be a certificate and its key as PEM"}
	}
	c.pair, c.mod = &pair, st.ModTime()
	return nil
}
