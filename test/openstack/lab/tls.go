package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"time"

	"kuryr/test/openstack/cloud"
)

// proxyCommand is what this program is called with to serve TLS: a daemon of
// the lab, not a command for people.
const proxyCommand = "tls-proxy"

// tlsProxy makes the certificates, and starts the proxy that ends TLS for
// Keystone and Neutron.
func (l *lab) tlsProxy(ctx context.Context) error {
	if err := l.once("certificates", l.certificates); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := l.start(daemon{name: proxyCommand, machine: cloud.Controller, args: []string{self, proxyCommand, "--dir", l.Dir}}); err != nil {
		return err
	}
	return l.ready(ctx, proxyCommand, func(ctx context.Context) error {
		c, err := l.Machine(cloud.Controller).Dial(ctx, "tcp", address(cloud.SecureNetworkURL))
		if err != nil {
			return err
		}
		return c.Close()
	})
}

// serveTLS is the proxy: it runs until it is killed.
func serveTLS(ctx context.Context, dir string) error {
	l := lab{&cloud.Lab{Dir: dir}}
	failed := make(chan error, 2)
	for _, p := range [][2]string{{cloud.SecureAuthURL, cloud.AuthURL}, {cloud.SecureNetworkURL, cloud.NetworkURL}} {
		target := &url.URL{Scheme: "http", Host: address(p[1])}
		server := &http.Server{
			Addr: address(p[0]),
			Handler: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(target)
				r.Out.Host = r.In.Host
				r.SetXForwarded() // the services put the scheme into the links of their answers
			}},
			ReadHeaderTimeout: time.Minute,
			ErrorLog:          log.Default(),
		}
		go func() { failed <- server.ListenAndServeTLS(l.path("tls", "server.pem"), l.path("tls", "server.key")) }()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

// address is where the service of a URL listens.
func address(service string) string {
	u, err := url.Parse(service)
	if err != nil {
		panic(err) // it is a constant
	}
	return u.Host
}

// certificates makes an authority, and a certificate for the controller.
func (l *lab) certificates() error {
	ca := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "The lab's certificate authority"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().AddDate(1, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject:      pkix.Name{CommonName: cloud.ControllerAddress},
		NotBefore:    ca.NotBefore,
		NotAfter:     ca.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses:  []net.IP{net.ParseIP(cloud.ControllerAddress)},
	}
	serverKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	serverDER, err := x509.CreateCertificate(rand.Reader, server, ca, &serverKey.PublicKey, caKey)
	if err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		return err
	}
	err = errors.Join(
		writePEM(l.CA(), "CERTIFICATE", caDER),
		writePEM(l.path("tls", "server.pem"), "CERTIFICATE", serverDER),
		writePEM(l.path("tls", "server.key"), "EC PRIVATE KEY", keyDER))
	if err != nil {
		return err
	}
	_, err = tls.LoadX509KeyPair(l.path("tls", "server.pem"), l.path("tls", "server.key"))
	return err
}

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
