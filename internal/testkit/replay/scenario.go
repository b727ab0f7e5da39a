// Package replay sends what Docker engines were recorded to say to a network
// plugin to a driver under test, call by call, and checks each answer against
// the rules of libnetwork's remote driver protocol.
//
// A driver chooses for itself what the recorder chose when it was recorded:
// the PoolIDs, subnets and addresses of later calls are replaced by those that
// the driver gave. It owns the recordings and knows the protocol; it knows
// nothing of Kuryr.
package replay

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed testdata
var recorded embed.FS

// Recordings holds VERSION/SCENARIO.json for dockerd 20.10.24 and 29.7.2.
//
// Beside what the recorder wrote, each RequestPool has a PoolID of its own;
// what a scenario takes for granted is written, not recorded, as its first
// step; and calls to a plugin that had asked for replay after a restart are
// left out. An "injected_rules" tells what the recorder was made to do.
func Recordings() fs.FS {
	sub, err := fs.Sub(recorded, "testdata")
	if err != nil {
		panic(err) // the name above is valid
	}
	return sub
}

// Names lists the scenarios in fsys, such as "20.10/01-network-create-plain".
func Names(fsys fs.FS) ([]string, error) {
	files, err := fs.Glob(fsys, "*/*.json")
	if err != nil {
		return nil, err
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".json")
	}
	return files, nil
}

// Scenario is a recorded conversation.
type Scenario struct {
	Name        string `json:"scenario"`
	Description string
	Docker      string // the engine's version
	Steps       []Step
}

// Step is a command that a user gave, or something done to the daemon, and the
// calls that it made Docker send.
type Step struct {
	Cmd   string
	Calls []Call
}

// Call is one recorded request and its answer.
type Call struct {
	Method   string          // "NetworkDriver.Join"
	Request  json.RawMessage // nil: the body was empty
	Response json.RawMessage // nil: no JSON, or none at all
	Status   int             // zero: 200
	// Note says how the recorder was made to misbehave, as in "injected" or
	// "injected: connection closed before doing anything"; "": it was not.
	Note string
}

// Load reads a scenario by its name.
func Load(fsys fs.FS, name string) (*Scenario, error) {
	data, err := fs.ReadFile(fsys, name+".json")
	if err != nil {
		return nil, err
	}
	var s Scenario
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if s.Name != path.Base(name) {
		return nil, fmt.Errorf("%s: holds scenario %q", name, s.Name)
	}
	return &s, nil
}

// Failed reports whether Docker saw the call fail when it was recorded: by an
// error, an unreadable answer, or none.
func (c Call) Failed() bool {
	switch c.Note {
	case "injected: connection closed before doing anything",
		"injected: work done, connection closed without an answer",
		"injected: process exits before answering",
		"injected: never answered":
		return true
	}
	if c.Response == nil || c.Status != 0 {
		return true
	}
	var a struct{ Err, Error string }
	err := json.Unmarshal(c.Response, &a)
	return err != nil || a.Err != "" || a.Error != ""
}

// Emptied reports whether the call came without the body that its method
// needs, as Docker's own repetitions do.
func (c Call) Emptied() bool { return c.Request == nil && !bare(c.Method) }

// bare reports whether a method has no request body.
func bare(method string) bool {
	switch method {
	case "Plugin.Activate", "NetworkDriver.GetCapabilities", "IpamDriver.GetCapabilities", "IpamDriver.GetDefaultAddressSpaces":
		return true
	}
	return false
}

// removal reports whether a method takes something away. Docker sends each
// only once, whatever comes of it.
func removal(method string) bool {
	switch method {
	case "NetworkDriver.DeleteNetwork", "NetworkDriver.FreeNetwork", "NetworkDriver.DeleteEndpoint", "NetworkDriver.Leave",
		"NetworkDriver.RevokeExternalConnectivity", "IpamDriver.ReleasePool", "IpamDriver.ReleaseAddress":
		return true
	}
	return false
}
