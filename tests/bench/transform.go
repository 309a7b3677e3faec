package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/delivery/transform"
)

// Transform measures how fast events become what targets get of them.
type Transform struct {
	// Duration is how long to measure each contender.
	Duration time.Duration
}

// Name implements Benchmark.
func (t Transform) Name() string { return "transform" }

// Check implements Benchmark.
func (t Transform) Check() error { return checkDuration(t.Duration) }

// transformedPerCall is how many events a call transforms, so that its milliseconds are microseconds of each.
const transformedPerCall = 1000

// The contenders of Transform make the same of an event, but for the total, which a template cannot sum up.
const (
	nameTemplate = "template"
	nameJSONata  = "JSONata"
	nameByHand   = "by hand"
)

var (
	benchTemplate = transform.Config{
		Inputs:   map[string]string{"id": "$.data.id", "customer": "$.data.customer_id", "sku": "$.data.lines[0].sku"},
		Template: []byte(`{"order":"<id>","text":"<customer> orders <sku>"}`),
	}
	benchJSONata = transform.Config{JSONata: `{'order': data.id, 'text': data.customer_id & ' orders ' & data.lines[0].sku, 'total': $sum(data.lines.(quantity * unit_price_minor))}`}
)

func (t Transform) run(ctx context.Context, env *Env) ([]Result, map[string]float64, error) {
	events := ordersToTransform()
	by := func(name string, c transform.Config) (contender, error) {
		compiled, err := transform.Compile(c)
		return contender{name, func(context.Context, int) (int, error) {
			for _, e := range events {
				if bodies, err := compiled.Apply(e); err != nil || len(bodies) != 1 {
					return 0, fmt.Errorf("%s makes %d bodies of %s: %w", name, len(bodies), e, err)
				}
			}
			return len(events), nil
		}}, err
	}
	template, err := by(nameTemplate, benchTemplate)
	if err != nil {
		return nil, nil, err
	}
	jsonata, err := by(nameJSONata, benchJSONata)
	if err != nil {
		return nil, nil, err
	}
	results, err := compete(ctx, env, pace{1, t.Duration, defaultRounds}, template, jsonata, contender{nameByHand, transformByHand(events)})
	return results, ratios(results, "", nameJSONata, rate), err
}

// transformByHand does what somebody writes in Go.
func transformByHand(events [][]byte) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		for _, e := range events {
			var in struct {
				Data struct {
					ID         string `json:"id"`
					CustomerID string `json:"customer_id"`
					Lines      []struct {
						SKU            string `json:"sku"`
						Quantity       int64  `json:"quantity"`
						UnitPriceMinor int64  `json:"unit_price_minor"`
					} `json:"lines"`
				} `json:"data"`
			}
			if err := json.Unmarshal(e, &in); err != nil {
				return 0, err
			}
			out := struct {
				Order string `json:"order"`
				Text  string `json:"text"`
				Total int64  `json:"total"`
			}{Order: in.Data.ID, Text: in.Data.CustomerID + " orders " + in.Data.Lines[0].SKU}
			for _, l := range in.Data.Lines {
				out.Total += l.Quantity * l.UnitPriceMinor
			}
			if _, err := json.Marshal(out); err != nil {
				return 0, err
			}
		}
		return len(events), nil
	}
}

// ordersToTransform returns orders of two lines as they are delivered.
func ordersToTransform() [][]byte {
	events := make([][]byte, transformedPerCall)
	for i := range events {
		events[i] = fmt.Appendf(nil, `{"position":%d,"stream":"order-%d","category":"order","version":0,"id":"0199aa00-0000-7000-8000-%012x","type":"OrderPlaced",`+
			`"schema_version":1,"content_type":"application/json","recorded_at":"2026-01-02T15:04:05.123456Z","message_id":"7d444840-9dc0-51d1-b245-%012x",`+
			`"data":{"id":"%d","customer_id":"customer-%d","country":"NO","currency":"NOK","lines":[{"sku":"TEA-1","description":"Green tea","quantity":2,"unit_price_minor":4500},`+
			`{"sku":"CUP-1","description":"Cup","quantity":1,"unit_price_minor":9000}]}}`, i+1, i, i, i, i, 17*i)
	}
	return events
}
