//go:build race

package dataplane_test

// raceDetector is on: everything takes several times as long.
const raceDetector = true
