package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
)

// Project measures how far read models are behind their log.
type Project struct {
	// Rate is how many events a second are appended while one fold with a row per stream follows, and
	// ShopRate how many orders are placed while all read models of the shop follow.
	Rate, ShopRate int
	// Duration is how long each of them takes.
	Duration time.Duration
	// Events is how long the log is that a fold catches up with. 0 leaves that out.
	Events int
}

const maxRate = 1_000_000

// Name implements Benchmark.
func (p Project) Name() string { return "project" }

// Check implements Benchmark.
func (p Project) Check() error {
	if p.Rate < 1 || p.Rate > maxRate || p.ShopRate < 1 || p.ShopRate > maxRate {
		return invalid("rates must be 1 to %d events a second, got %d and %d", maxRate, p.Rate, p.ShopRate)
	}
	return errors.Join(checkDuration(p.Duration), checkEvents(p.Events))
}

// The contenders of Project.
const (
	nameLiveFold  = "live fold"
	nameLiveShop  = "live shop"
	nameElsewhere = "elsewhere"
	nameCatchUp   = "catch up"
	nameLoop      = "loop"
)

// elsewhereRate is how many events a second are appended while another process reads them.
const elsewhereRate = 1000

func (p Project) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	lives := []live{
		{name: nameLiveFold, rate: p.Rate, newCodec: newNoteCodec, follow: projecting([]projections.Projection{newNotes()}), value: note},
		{name: nameLiveShop, rate: p.ShopRate, newCodec: shop.App().Codec, follow: projecting(shop.App().Projections()), value: placedOrder},
		{name: nameElsewhere, rate: elsewhereRate, newCodec: newNoteCodec, follow: readingElsewhere, value: note},
	}
	for _, l := range lives {
		env.say("%s at %d events a second", l.name, l.rate)
		err := env.with(ctx, appenders, func(s *scratch) error {
			r, err := l.measure(ctx, s, p.Duration)
			results = append(results, r)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	caught, err := p.catchUp(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	results = append(results, caught...)
	found := ratios(caught, "", nameCatchUp, rate)
	for _, l := range lives {
		for _, r := range results {
			if r.Name == l.name {
				found[fmt.Sprintf("%s/wanted@%d", l.name, r.Callers)] = r.EventsPerSecond / float64(l.rate)
			}
		}
	}
	return results, found, nil
}
