package courier

import (
	"context"
	"time"
)

// ExpireAt does now what expiry would do at the given time.
func (c *Courier) ExpireAt(now time.Time) {
	for _, e := range c.expired(now) {
		c.removeLater(context.Background(), e)
	}
}
