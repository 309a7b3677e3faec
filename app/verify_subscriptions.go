package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/57528e99/recount/delivery"
)

// verifySubscriptions looks whether the subscriptions that the App declares have handed over each event that they had time for.
func (s *Service) verifySubscriptions(ctx context.Context, now time.Time, o VerifyOptions) (v Verified, err error) {
	v = Verified{Name: "subscriptions", Holds: "each event is handed over to each subscription that it matches", Findings: []Unsettled{}}
	var declared []string
	for _, d := range s.App.Subscriptions() {
		name := d.Name
		if d.Handler != nil && name == "" {
			name = d.Handler.Name()
		}
		declared = append(declared, name)
	}
	statuses, err := s.Subscriptions.List(ctx)
	if err != nil {
		return v, err
	}
	missing, err := s.Subscriptions.Missing(ctx, s.App.Subscriptions()...)
	if err != nil {
		return v, err
	}
	var open []Unsettled
	for _, name := range missing {
		open = append(open, Unsettled{Subject: "subscription " + name, What: "existence", Expected: "it is there, as a running process declares it", Found: "deleted", Positions: []int64{}})
	}
	var delivered, dead, unread int64
	for _, status := range statuses {
		if !slices.Contains(declared, status.Name) {
			continue // somebody else's: its dead letters are for the doctor
		}
		for _, p := range status.Partitions {
			delivered += p.Delivered
		}
		dead += status.Dead
		of := Unsettled{Subject: "subscription " + status.Name, What: "progress"}
		switch {
		case status.Failure != nil:
			of.Expected, of.Found, of.Positions = "events are handed over", "stopped: "+status.Failure.Error, []int64{status.Failure.Position}
			open = append(open, of)
		case status.LagSeconds != nil && status.LagEvents != nil && *status.LagSeconds > 0:
			of.Since = now.Add(-time.Duration(*status.LagSeconds * float64(time.Second)))
			of.Expected, of.Found = "the end of the log", fmt.Sprintf("%d events before it", *status.LagEvents)
			open = append(open, of)
		}
		letters, err := s.deadLetters(ctx, status, o.Limit)
		if err != nil {
			return v, err
		}
		open, unread = append(open, letters...), unread+status.Dead-int64(len(letters))
	}
	v.Counts = []InvariantCount{{"delivered", delivered}, {"dead", dead}}
	v.judge(open, now, o)
	v.Wrong += max(unread, 0)
	return v, nil
}

func (s *Service) deadLetters(ctx context.Context, status delivery.Status, limit int) (all []Unsettled, err error) {
	if status.Dead == 0 {
		return nil, nil
	}
	letters, _, err := s.Subscriptions.Dead(ctx, status.Name, delivery.DeadQuery{Limit: min(limit, 1000)})
	for _, l := range letters {
		all = append(all, Unsettled{
			Subject: "subscription " + status.Name, What: l.Type + " of " + l.Stream, Expected: "handed over",
			Found: "dead: " + l.Error, Positions: []int64{l.Position},
		})
	}
	return all, err
}
