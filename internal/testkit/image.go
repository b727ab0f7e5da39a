package testkit

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
)

// Image is the image that tests run: a busybox, nothing else. Its containers
// sleep, and end at once when they are stopped.
const Image = "kuryr-test/busybox"

const busybox = "/bin/busybox"

// importImage gives the engine Image. There is no registry: the image's root
// is the machine's static busybox (Debian: busybox-static) and links to it.
func (e *Engine) importImage(ctx context.Context) error {
	r, w := io.Pipe()
	go func() { w.CloseWithError(writeRoot(ctx, w)) }()
	// PID 1 ignores signals that it has no handler for: without the trap every
	// stop would take 10 s.
	cmd := e.Command(ctx, "import", "--change", `CMD ["sh","-c","trap exit TERM; sleep 2147483647 & wait"]`, "-", Image)
	cmd.Stdin = r
	_, err := output(cmd)
	// An engine that gave up early must not leave the writer waiting.
	return errors.Join(err, r.Close())
}

func writeRoot(ctx context.Context, w io.Writer) error {
	program, err := os.ReadFile(busybox)
	if err != nil {
		return fmt.Errorf("the image is made of a static busybox: %w", err)
	}
	applets, err := output(exec.CommandContext(ctx, busybox, "--list"))
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	for _, d := range []string{"bin/", "dev/", "etc/", "proc/", "root/", "sys/", "tmp/"} {
		if err := t.WriteHeader(&tar.Header{Name: d, Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			return err
		}
	}
	files := map[string][]byte{
		"bin/busybox": program,
		"etc/passwd":  []byte("root:x:0:0:root:/root:/bin/sh\n"),
		"etc/group":   []byte("root:x:0:\n"),
	}
	for name, content := range files {
		h := &tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(content); err != nil {
			return err
		}
	}
	for _, a := range strings.Fields(applets) {
		if a == "busybox" {
			continue
		}
		h := &tar.Header{Name: "bin/" + a, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
	}
	return t.Close()
}
