package sagas_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/sagas"
)

// TestInstancesThatAreTooLong fail before they have more events than an instance may, and undo what they have done.
func TestInstancesThatAreTooLong(t *testing.T) {
	t.Parallel()
	type paid struct{ ID string }
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := sagas.Define("order", 1, func(s steps) {
		s.Call("pay", call).UndoCall(call)
		sagas.Receive(s, "paid", func(e paid) string { return e.ID }, nil)
		s.Each("boxes", func(d orderData) int { return len(d.Lines) }, func(s steps, _ int) { s.Call("ship", call); s.Call("note", call) }, sagas.Items{})
	})
	message := func() sagas.Message { return sagas.Message{ID: uuid.New(), Type: "other", Data: json.RawMessage("{}")} }
	at := func(events int64, status sagas.StepStatus, data string) sagas.Instance {
		i := sagas.Instance{Saga: "order", Version: 1, ID: "1", Status: sagas.Running, Events: events, Steps: []sagas.Step{
			{Name: "pay", Status: sagas.Done, Outcome: sagas.Done, Number: 1, Key: 1, Ended: 2}, {Name: "paid", Status: status, Number: 3, Key: 3},
		}}
		if err := json.Unmarshal([]byte(data), &i.Data); err != nil {
			t.Fatal(err)
		}
		return i
	}
	waiting := sagas.Instance{Saga: "order", ID: "1", Status: sagas.Waiting, Events: sagas.MaxEvents}
	lines := func(n int) string { return `{"Lines":["a"` + strings.Repeat(`,"a"`, n-1) + `]}` }
	for name, one := range map[string]struct {
		of   sagas.Instance
		in   sagas.Input
		want string
	}{
		"a message below":        {at(sagas.MaxEvents-2, sagas.Open, `{}`), sagas.Tell{ID: "1", Message: message()}, "Received"},
		"the last message":       {at(sagas.MaxEvents-1, sagas.Open, `{}`), sagas.Tell{ID: "1", Message: message()}, "Received StepDropped too-long CompensationScheduled"},
		"a message above":        {at(sagas.MaxEvents, sagas.Open, `{}`), sagas.Tell{ID: "1", Message: message()}, ""},
		"what it waits for":      {at(sagas.MaxEvents, sagas.Open, `{}`), sagas.Complete{Step: "paid", Number: 3}, "StepCompleted too-long CompensationScheduled"},
		"one that ends":          {at(sagas.MaxEvents-2, sagas.Open, `{}`), sagas.Complete{Step: "paid", Number: 3}, "StepCompleted StepCompleted Ended"},
		"as many items":          {at(9000, sagas.Open, lines(249)), sagas.Complete{Step: "paid", Number: 3}, "StepCompleted StepCompleted 249"},
		"too many items":         {at(9000, sagas.Open, lines(250)), sagas.Complete{Step: "paid", Number: 3}, "StepCompleted StepScheduled StepFailed too-long CompensationScheduled"},
		"one that has not begun": {waiting, sagas.Tell{ID: "1", Message: message()}, "keeps 10000 messages already"},
	} {
		events, err := s.Decide(one.of, one.in, now)
		var all []string
		scheduled := 0
		for _, e := range events {
			switch e := e.(type) {
			case sagas.CompensationBegan:
				all = append(all, e.Code)
			case sagas.StepScheduled:
				if scheduled++; scheduled == 1 && e.Step == "boxes" {
					all = append(all, "StepScheduled")
				}
			default:
				all = append(all, strings.TrimPrefix(fmt.Sprintf("%T", e), "sagas."))
			}
		}
		if scheduled > 1 {
			all = append(all, fmt.Sprint(scheduled))
		}
		got := strings.Join(all, " ")
		if err != nil {
			got = err.Error()
		}
		if got != one.want && (err == nil || !strings.Contains(got, one.want)) {
			t.Errorf("%s leads to %q, want %q", name, got, one.want)
		}
	}
}
