// Package faults is a fault lab: it stands before an API and makes chosen
// requests slow, fail, or lose their answers, so that clients can be tried on
// what real networks and overloaded servers do to them.
//
// A Plan, read from a JSON file, is a list of rules. The first rule that takes a
// request decides what becomes of it:
//
//	{
//	  "seed": 7,
//	  "rules": [
//	    {"method": "POST", "path": "/v2.0/ports", "skip": 2, "count": 1, "do": "lose"},
//	    {"path": "/v2.0/networks/*", "delay": "250ms", "probability": 0.1},
//	    {"method": "DELETE", "path": "/v2.0/**", "do": "answer", "status": 503, "retry_after": 2}
//	  ]
//	}
//
// With one seed and one order of requests the same requests fail in every run.
// The package knows no API but the form of Neutron's errors, and is for tests:
// nothing puts it before an API unless a file of rules was named.
package faults
