package auth

import (
	"net/http"
	"sync"
	"time"

	"github.com/57528e99/recount/security"
)

// maxBuckets bounds the principals whose requests are counted at once; full buckets are forgotten beyond.
const maxBuckets = 4096

// limiter has a bucket for each principal, from which each request takes one. It gets perSecond a second, and holds as many.
type limiter struct {
	perSecond float64

	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	left float64
	at   time.Time
}

// Limited returns what finds out who sends a request as authenticate does, and refuses with *security.Limited what a principal sends beyond so many
// a second, or as many at once.
func Limited(authenticate func(*http.Request) (security.Principal, error), perSecond int) func(*http.Request) (security.Principal, error) {
	l := &limiter{perSecond: float64(perSecond), buckets: make(map[string]*bucket)}
	return func(r *http.Request) (security.Principal, error) {
		p, err := authenticate(r)
		if err == nil {
			err = l.take(p.Name, time.Now())
		}
		return p, err
	}
}

func (l *limiter) take(name string, now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[name]
	if b == nil {
		if len(l.buckets) >= maxBuckets {
			l.forget(now)
		}
		b = &bucket{l.perSecond, now}
		l.buckets[name] = b
	}
	b.left, b.at = l.leftIn(b, now), now
	if b.left < 1 {
		return &security.Limited{After: time.Duration((1 - b.left) / l.perSecond * float64(time.Second))}
	}
	b.left--
	return nil
}

func (l *limiter) leftIn(b *bucket, now time.Time) float64 {
	return min(l.perSecond, b.left+now.Sub(b.at).Seconds()*l.perSecond)
}

// forget removes what is as good as new.
func (l *limiter) forget(now time.Time) {
	for name, b := range l.buckets {
		if l.leftIn(b, now) >= l.perSecond {
			delete(l.buckets, name)
		}
	}
}
