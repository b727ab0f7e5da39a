package binding

import (
	"context"
	"sync"

	"kuryr/internal/courier"
)

// keyLock is one lock for each key that is in use.
type keyLock struct {
	mu    sync.Mutex
	holds map[string]*hold // guarded by mu
}

// hold is the lock of one key: its holder has put something into slot.
type hold struct {
	slot  chan struct{}
	users int // holder and waiters; guarded by keyLock.mu
}

// lock waits for the key, as long as the context lasts.
func (k *keyLock) lock(ctx context.Context, key string) (unlock func(), err error) {
	k.mu.Lock()
	if k.holds == nil {
		k.holds = map[string]*hold{}
	}
	h, ok := k.holds[key]
	if !ok {
		h = &hold{slot: make(chan struct{}, 1)}
		k.holds[key] = h
	}
	h.users++
	k.mu.Unlock()

	select {
	case h.slot <- struct{}{}:
		return func() { <-h.slot; k.leave(key, h) }, nil
	case <-ctx.Done():
		k.leave(key, h)
		return nil, &courier.Error{Kind: courier.Unavailable, Op: "lock", Subject: key,
			Public: "others are busy with it", Err: ctx.Err()}
	}
}

func (k *keyLock) leave(key string, h *hold) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(k.holds, key)
	}
}
