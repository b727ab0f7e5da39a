package courier

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
)

// A journal has an identity, which every intent starts with. So it can be told
// of each mark whether this journal made it: what has this host's mark, this
// journal's identity and no record is garbage, and provably so. What has
// another identity was made by a journal that was lost, or by another Kuryr
// that is called like this host: nobody here knows what for.

// kindIdentity is the entry that keeps it; there is one.
const (
	kindIdentity = "identity"
	identityID   = "journal"
)

type identityRecord struct {
	Identity string `json:"identity"`
}

const identityBytes = 4 // the first group of a UUID

// ensureIdentity gives the journal an identity, unless Start has read one. A
// journal of a version that knew none gets its own: its records stay theirs.
func (c *Courier) ensureIdentity(ctx context.Context) error {
	if c.identity != "" {
		return nil
	}
	var b [identityBytes]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	r := identityRecord{Identity: hex.EncodeToString(b[:])}
	data, err := json.Marshal(r)
	if err != nil {
		return &Error{Kind: Internal, Op: "give the journal an identity", Err: err}
	}
	if err := c.journal(ctx, durable, []Entry{{Kind: kindIdentity, ID: identityID, Data: data}}); err != nil {
		return err
	}
	c.identity = r.Identity
	return nil
}

// loadIdentity reads the entry.
func (c *Courier) loadIdentity(data []byte) error {
	var r identityRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return err
	}
	if b, err := hex.DecodeString(r.Identity); err != nil || len(b) != identityBytes {
		return fmt.Errorf("%.20q is not the identity of a journal", r.Identity)
	}
	c.identity = r.Identity
	return nil
}

// newIntent returns a UUID that starts with the journal's identity; the rest
// is random (RFC 9562, version 8: a layout of one's own).
func (c *Courier) newIntent() string {
	var b [12]byte
	rand.Read(b[:])
	b[2] = b[2]&0x0f | 0x80
	b[4] = b[4]&0x3f | 0x80
	return fmt.Sprintf("%s-%x-%x-%x-%x", c.identity, b[0:2], b[2:4], b[4:6], b[6:12])
}

// intent is that of m, without what says that it was for all.
func (m Mark) intent() string { return strings.TrimPrefix(m.Intent, commonPrefix) }

// madeBy tells whether the journal of that identity made what carries m.
func (m Mark) madeBy(identity string) bool {
	of, ok := m.identity()
	return ok && identity != "" && of == identity
}

// identity returns the first group of m's intent, if that is a UUID.
func (m Mark) identity() (string, bool) {
	intent := m.intent()
	groups := strings.Split(intent, "-")
	if len(intent) != 36 || len(groups) != 5 || len(groups[0]) != 2*identityBytes {
		return "", false
	}
	if _, err := hex.DecodeString(strings.Join(groups, "")); err != nil {
		return "", false
	}
	return groups[0], true
}
