package main

import (
	"slices"
	"strings"
	"testing"
)

func TestChoose(t *testing.T) {
	everything := slices.Concat(sections, onLab)
	tests := []struct {
		name, list string
		lab        bool
		want       []string
		err        string // part of it; "": none
	}{
		{"nothing", "", false, sections, ""},
		{"nothing, with a lab", "", true, everything, ""},
		{"some", "run,docker", false, []string{"run", "docker"}, ""},
		{"of the lab only", "cloud-run", true, []string{"cloud-run"}, ""},
		{"of a lab that is not there", "run,cloud-run", false, nil, "make openstack-up"},
		{"what there is not", "runs", true, nil, `no section "runs"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := choose(tt.list, tt.lab)
			switch {
			case tt.err == "" && err != nil, tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("error %v, want %q", err, tt.err)
			case !slices.Equal(got, tt.want):
				t.Errorf("sections %v, want %v", got, tt.want)
			}
		})
	}
}
