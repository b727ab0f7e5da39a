package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"kuryr/test/openstack/cloud"
)

// chaosRounds is how many rounds of random kills there are where ROUNDS does
// not say.
const chaosRounds = 20

// chaos runs test/chaos. ROUNDS and SEED of the environment are its tests'.
func chaos(ctx context.Context) (result, error) {
	rounds := chaosRounds
	if text := os.Getenv("ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return result{}, fmt.Errorf("ROUNDS=%s is no number of rounds", text)
		}
		rounds = n
	}
	// What takes too long fails by itself, long before.
	limit := 30*time.Minute + time.Duration(rounds)*time.Minute
	return goTest(ctx, "-timeout="+limit.String(), "-parallel=4", "./test/chaos")
}

// chaosOpenstack runs the crash points of test/chaos on the lab that is up, on
// all its compute hosts at once.
func chaosOpenstack(ctx context.Context) (result, error) {
	lab, err := cloud.Open(cloud.DefaultDir)
	if err != nil {
		return result{}, err
	}
	if err := os.Setenv(cloud.Variable, lab.Dir); err != nil {
		return result{}, err
	}
	return goTest(ctx, "-timeout=40m", fmt.Sprintf("-parallel=%d", len(lab.Hosts)), "-tags=openstack", "-run=^TestCrashPoints$", "./test/chaos")
}
