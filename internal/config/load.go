package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"kuryr/internal/observe"
)

// maxFile is far more than any configuration needs, in bytes.
const maxFile = 1 << 20

// Load reads every source and returns the Config, and a Report of what came
// from where.
//
// Its error joins (errors.Join) one *Error for each thing that is wrong; it is
// an fs.ErrNotExist or fs.ErrPermission when the file can't be read. The
// Config and Report then hold what was right.
func Load(s Sources) (Config, Report, error) {
	l := &loader{sources: s, options: Options(), legacies: legacies(), refused: map[string]bool{}}
	l.fail(l.readFile())
	for _, o := range l.options {
		l.set(o)
	}
	l.crossCheck()
	l.ignore()
	l.warnUnknown()
	l.warnReadable()
	return l.config, l.report, errors.Join(l.errs...)
}

// loader is the state of one Load.
type loader struct {
	sources  Sources
	options  []Option
	legacies []legacy
	entries  []entry     // of the file
	mode     fs.FileMode // of the file

	config  Config
	report  Report
	errs    []error
	refused map[string]bool // options whose value was not stored, by key
}

// key is an option's name in references and in loader's maps.
func key(section, name string) string { return section + "." + name }

func (l *loader) fail(err error) {
	if err != nil {
		l.errs = append(l.errs, err)
	}
}

// refuse records a fault of an option.
func (l *loader) refuse(section, name string, o Origin, f *fault) {
	l.fail(f.refuse(o.at(section, name), o))
}

func (l *loader) readFile() error {
	path := l.sources.File
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) && !l.sources.FileGiven {
		return nil
	}
	var data []byte
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		return fileError(path, "not a regular file", nil)
	case info.Size() > maxFile:
		return fileError(path, fmt.Sprintf("larger than %d bytes", maxFile), nil)
	default:
		data, err = os.ReadFile(path)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fileError(path, "no such file", err)
	case errors.Is(err, fs.ErrPermission):
		return fileError(path, "permission denied", err)
	case err != nil:
		return fileError(path, "", err)
	}
	l.report.File, l.mode = path, info.Mode()
	l.entries, err = parseINI(data)
	if se := (*syntaxError)(nil); errors.As(err, &se) {
		return &Error{Op: "read", Subject: fmt.Sprintf("%s:%d", path, se.line), Why: se.why, Hint: se.hint, Err: err}
	}
	return err
}

func fileError(path, why string, cause error) error {
	return &Error{Op: "read", Subject: path, Why: why, Err: cause}
}

// set gives one option its value.
func (l *loader) set(o Option) {
	field := o.field(&l.config)
	text, origin, f := l.effective(o, []string{key(o.Section, o.Name)})
	if f == nil {
		f = store(field, o.check, text)
	}
	shown := show(field)
	if f != nil {
		l.refuse(l.sectionOf(o), o.Name, origin, f)
		l.refused[key(o.Section, o.Name)] = true
		if shown = redactURL(text); o.Secret() {
			shown = observe.Hidden
		}
	}
	l.report.Settings = append(l.report.Settings, Setting{Section: o.Section, Option: o.Name, Value: shown, Origin: origin})
}

// effective finds the text of an option: flag, environment, file, default.
// Only the file's values are expanded. Path is how references led here, itself included.
func (l *loader) effective(o Option, path []string) (string, Origin, *fault) {
	if v, ok := l.sources.Flags[o.Flag]; ok && o.Flag != "" {
		return v, Origin{Kind: FromFlag, Name: o.Flag}, nil
	}
	for _, name := range append(o.Envs(), o.EnvName()) {
		if v, ok := l.getenv(name); ok {
			return v, Origin{Kind: FromEnv, Name: name}, nil
		}
	}
	if e, ok := l.lookup(l.sectionOf(o), append([]string{o.Name}, o.Aliases...)...); ok {
		v, f := l.expand(e, path)
		if f != nil && o.Secret() { // what it refers to may be a part of it
			f = invalid("it refers to no option").withHint("write $$ for a dollar sign")
		}
		return v, l.origin(e), f
	}
	v, f := l.defaultOf(o)
	return v, Origin{Kind: FromDefault}, f
}

// sectionOf is where the file has an option.
func (l *loader) sectionOf(o Option) string {
	if o.moved && l.config.AuthSection != "" {
		return l.config.AuthSection
	}
	return o.Section
}

// getenv reads a variable. An empty one counts as unset: containers are
// often started with all their variables, set or not.
func (l *loader) getenv(name string) (string, bool) {
	if l.sources.LookupEnv == nil || name == "" {
		return "", false
	}
	v, ok := l.sources.LookupEnv(name)
	return v, ok && v != ""
}

func (l *loader) defaultOf(o Option) (string, *fault) {
	if o.Name != "host" {
		return o.Default, nil
	}
	hostname := l.sources.Hostname
	if hostname == nil {
		hostname = os.Hostname
	}
	name, err := hostname()
	if err != nil {
		return "", invalid("this machine's name is unknown: %v", err).withHint("set host, or use --host")
	}
	return name, nil
}

// lookup finds the last assignment under the first of names that has one.
func (l *loader) lookup(section string, names ...string) (entry, bool) {
	for _, name := range names {
		for _, e := range slices.Backward(l.entries) {
			if canonical(e.key) == name && sameSection(e.section, section) {
				return e, true
			}
		}
	}
	return entry{}, false
}

func (l *loader) origin(e entry) Origin {
	return Origin{Kind: FromFile, File: l.report.File, Line: e.line}
}

// expand substitutes the references in an entry's value.
func (l *loader) expand(e entry, path []string) (string, *fault) {
	return expand(e.value, func(ref string) (string, *fault) { return l.resolve(e.section, ref, path) })
}

// resolve returns the value that a reference in a section stands for: of that
// section or, when it has no such option, of DEFAULT.
func (l *loader) resolve(section, ref string, path []string) (string, *fault) {
	sections, name := []string{section, defaultSection}, ref
	if s, n, dotted := strings.Cut(ref, "."); dotted {
		sections, name = []string{s}, n
	}
	for _, s := range sections {
		if i := slices.IndexFunc(l.options, func(o Option) bool { return sameSection(o.Section, s) && o.Name == name }); i >= 0 {
			o := l.options[i]
			if o.Secret() {
				return "", invalid("$%s refers to a secret", ref)
			}
			if slices.Contains(path, key(o.Section, o.Name)) {
				return "", invalid("$%s refers to itself", ref)
			}
			v, _, f := l.effective(o, append(slices.Clip(path), key(o.Section, o.Name)))
			return v, f
		}
		if old, ok := findLegacy(l.legacies, s, name); ok {
			return l.resolveLegacy(old, ref, path)
		}
	}
	return "", invalid("$%s refers to no option", ref).withHint("write $$ for a dollar sign")
}

func (l *loader) resolveLegacy(old legacy, ref string, path []string) (string, *fault) {
	e, ok := l.lookup(old.section, old.name)
	switch {
	case old.secret:
		return "", invalid("$%s refers to a secret", ref)
	case !ok:
		return "", invalid("$%s refers to an option that has no meaning here, and is not set", ref)
	case slices.Contains(path, key(old.section, old.name)):
		return "", invalid("$%s refers to itself", ref)
	}
	return l.expand(e, append(slices.Clip(path), key(old.section, old.name)))
}

// crossCheck checks what no option's own check can.
func (l *loader) crossCheck() {
	c := &l.config
	l.checkCloud()
	if !c.Cloud.Real() && c.PortForwardingIP != "" && !l.refused["neutron.auth_type"] {
		l.refuseSet("neutron", "port_forwarding_ip", invalid("the embedded Neutron has no floating IPs").withHint("leave it out"))
	}
	l.crossCheckTLS()
	if c.DockerSocket != "" && c.DockerSocket == c.AdminSocket {
		l.refuseSet(defaultSection, "admin_socket", invalid("%q is the docker_socket already", c.AdminSocket))
	}
}

// crossCheckTLS checks how the engine's TCP address goes with TLS. As in the
// Python Kuryr, enable_ssl decides, whatever the URL's scheme.
func (l *loader) crossCheckTLS() {
	c := &l.config
	scheme, address, _ := strings.Cut(strings.TrimSuffix(c.KuryrURI, "/"), "://")
	switch {
	case l.refused["DEFAULT.enable_ssl"] || l.refused["DEFAULT.kuryr_uri"]:
	case c.EnableSSL && c.KuryrURI == "":
		l.refuseSet(defaultSection, "enable_ssl", invalid("it needs kuryr_uri").
			withHint("set kuryr_uri, for instance to https://0.0.0.0:23750, or leave enable_ssl out to use the Unix socket"))
	case c.EnableSSL && c.SSLCAFile == "" && !l.refused["DEFAULT.ssl_ca_file"]:
		l.refuseSet(defaultSection, "enable_ssl", invalid("it needs ssl_ca_file, or anybody could connect").
			withHint("set ssl_ca_file to the authorities (PEM) of Docker's certificate"))
	case c.EnableSSL && (c.SSLCertFile == "" || c.SSLKeyFile == ""):
		l.refuseSet(defaultSection, "enable_ssl", invalid("it needs ssl_cert_file and ssl_key_file"))
	case c.EnableSSL:
		c.KuryrURI = "https://" + address
	case strings.EqualFold(scheme, "https"):
		l.refuseSet(defaultSection, "kuryr_uri", invalid("https:// needs enable_ssl = true").
			withHint("set it with ssl_cert_file, ssl_key_file and ssl_ca_file, or use http:// on a loopback address"))
	case c.KuryrURI != "":
		if f := loopback(address); f != nil {
			l.refuseSet(defaultSection, "kuryr_uri", f.withHint("use 127.0.0.1, ::1 or localhost, or enable_ssl"))
		}
	}
}

// refuseSet records a fault of an option that was reported already.
func (l *loader) refuseSet(section, name string, f *fault) {
	i := slices.IndexFunc(l.report.Settings, func(s Setting) bool { return s.Section == section && s.Option == name })
	l.refuse(section, name, l.report.Settings[i].Origin, f)
}

// canonical is an option's name with underscores: oslo.config takes hyphens too.
func canonical(name string) string { return strings.ReplaceAll(name, "-", "_") }

// sameSection compares section names as oslo.config does.
func sameSection(a, b string) bool {
	if a == defaultSection || b == defaultSection {
		return a == b
	}
	return strings.EqualFold(a, b)
}
