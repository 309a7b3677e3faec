package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/57528e99/recount/delivery/pattern"
)

// Match measures how fast events find the rules that they match.
type Match struct {
	// Rules are how many rules to measure with.
	Rules []int
	// Duration is how long to measure each contender with each kind of rule.
	Duration time.Duration
}

const maxRules = 1_000_000

// Name implements Benchmark.
func (m Match) Name() string { return "match" }

// Check implements Benchmark.
func (m Match) Check() error {
	if len(m.Rules) == 0 {
		return invalid("there must be a number of rules")
	}
	for _, n := range m.Rules {
		if n < 1 || n > maxRules {
			return invalid("there must be 1 to %d rules, got %d", maxRules, n)
		}
	}
	return checkDuration(m.Duration)
}

// matchedPerCall is how many events a call matches, so that its milliseconds are microseconds of each.
const matchedPerCall = 1000

// ruleKinds are the kinds of rules, each with the text of rule number i. No event matches more than a
// few, but for wildcards, of which there are few.
var ruleKinds = []struct {
	name string
	most int
	text func(i int) string
}{
	{"equal values", maxRules, func(i int) string {
		return fmt.Sprintf(`{"type":["OrderPlaced"],"data":{"customer_id":["customer-%d"],"country":["DE"]}}`, i)
	}},
	{"prefixes", maxRules, func(i int) string {
		return fmt.Sprintf(`{"data":{"customer_id":[{"prefix":"customer-%d"}]}}`, i)
	}},
	{"ranges of numbers", maxRules, func(i int) string {
		return fmt.Sprintf(`{"data":{"total_minor":[{"numeric":[">=",%d,"<",%d]}]}}`, i, i+1)
	}},
	{"wildcards on one field", 128, func(i int) string {
		return fmt.Sprintf(`{"data":{"note":[{"wildcard":"*%c%c*"}]}}`, 'a'+i%26, 'a'+i/3%26)
	}},
}

func (m Match) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	events := ordersToMatch()
	all := make(map[string]float64)
	for _, kind := range ruleKinds {
		var contenders []contender
		for _, n := range m.Rules {
			if n = min(n, kind.most); len(contenders) > 0 && contenders[len(contenders)-1].name == ruleCount(n) {
				continue
			}
			env.say("making %d rules", n)
			c, err := matchingRules(n, kind.text, events)
			if err != nil {
				return nil, nil, err
			}
			contenders = append(contenders, c)
		}
		last := contenders[len(contenders)-1].name
		found, err := compete(ctx, env, pace{1, m.Duration, defaultRounds}, append(contenders, contender{"decode only", decodeOnly(events)})...)
		if err != nil {
			return nil, nil, err
		}
		found, compared := asked(kind.name, found, ratios(found, "", last, rate))
		results = append(results, found...)
		maps.Copy(all, compared)
	}
	return results, all, nil
}

func ruleCount(n int) string { return grouped(float64(n)) + " rules" }

func matchingRules(n int, text func(i int) string, events []pattern.Event) (contender, error) {
	rules := make(map[int]*pattern.Pattern, n)
	for i := range n {
		p, err := pattern.Compile([]byte(text(i)))
		if err != nil {
			return contender{}, fmt.Errorf("rule %s: %w", text(i), err)
		}
		rules[i] = p
	}
	var m pattern.Matcher[int]
	m.AddAll(func(yield func(int, *pattern.Pattern) bool) {
		for i := range n {
			if !yield(i, rules[i]) {
				return
			}
		}
	})
	var ids []int
	return contender{ruleCount(n), func(context.Context, int) (int, error) {
		v := m.Version()
		for i := range events {
			ids = v.Match(&events[i], ids[:0])
		}
		return len(events), nil
	}}, nil
}

// decodeOnly does no more than what a matcher without a scanner of its own begins with.
func decodeOnly(events []pattern.Event) func(context.Context, int) (int, error) {
	return func(context.Context, int) (int, error) {
		for i := range events {
			var v map[string]any
			if err := json.Unmarshal(events[i].Data, &v); err != nil {
				return 0, err
			}
		}
		return len(events), nil
	}
}

// ordersToMatch returns events with some 200 bytes of data each.
func ordersToMatch() []pattern.Event {
	events := make([]pattern.Event, matchedPerCall)
	for i := range events {
		stream := fmt.Sprintf("order-%d", i)
		events[i] = pattern.Event{
			Position: int64(i + 1), Stream: stream, Category: "order", Type: "OrderPlaced", SchemaVersion: 1, RecordedAt: time.Unix(1_767_000_000, 0),
			Data: fmt.Appendf(nil, `{"order_id":%q,"customer_id":"customer-%d","country":"DE","currency":"EUR","total_minor":%d,`+
				`"channel":"web","note":"leave it with the neighbour","placed_at":"2026-01-02T03:04:05Z"}`, stream, 17*i, 31*i),
		}
	}
	return events
}
