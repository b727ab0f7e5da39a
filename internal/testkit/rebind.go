package testkit

import (
	"bytes"
	"encoding/json"
)

// Rebind rewrites an answer of the embedded Neutron's: the ports that it binds
// to a Linux bridge are bound with another vif_type, and those vif_details. What
// is not JSON, such as no body, stays as it is.
func Rebind(answer []byte, vifType string, details map[string]any) []byte {
	var body any
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	if d.Decode(&body) != nil {
		return answer
	}
	rebindIn(body, vifType, details)
	text, err := json.Marshal(body)
	if err != nil {
		return answer // details that are no JSON are in no answer
	}
	return text
}

func rebindIn(v any, vifType string, details map[string]any) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			rebindIn(e, vifType, details)
		}
	case map[string]any:
		if v["binding:vif_type"] == "bridge" {
			v["binding:vif_type"], v["binding:vif_details"] = vifType, details
		}
		for _, e := range v {
			rebindIn(e, vifType, details)
		}
	}
}
