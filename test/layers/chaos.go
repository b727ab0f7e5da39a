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
	limit, err := chaosLimit()
	if err != nil {
		return result{}, err
	}
	return goTest(ctx, "-timeout="+limit.String(), "-parallel=4", "./test/chaos")
}

// chaosLimit is the longest that test/chaos may take: what takes too long in it
// fails by itself, long before.
func chaosLimit() (time.Duration, error) {
	rounds := chaosRounds
	if text := os.Getenv("ROUNDS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			return 0, fmt.Errorf("ROUNDS=%s is no number of rounds", text)
		}
		rounds = n
	}
	return 30*time.Minute + time.Duration(rounds)*time.Minute, nil
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
	return goTest(ctx, "-timeout=55m", fmt.Sprintf("-parallel=%d", len(lab.Hosts)), "-tags=openstack", "-run=^TestCrashPoints$", "./test/chaos")
}
