package shop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// operate returns the generator of an operation on a projection. Another may be
// running.
func operate(kind string) func(*world) (wire.Call, bool) {
	return func(w *world) (wire.Call, bool) {
		name := pick(w, readModels)
		c := command("/v1/projections/{name}/"+kind, "/v1/projections/"+name+"/"+kind, w.operationBody(kind, name))
		if w.Chance(10) {
			c.Target = strings.Replace(c.Target, name, name+"2", 1)
			return c.Refused(404, "projection-not-found"), true
		}
		c.Wants = []wire.Want{{Status: 202}, wire.Refusal(409, "projection-busy")}
		if kind == "rollback" || kind == "repair" && name != "orders" { // whose keys have one column
			c.Wants = append(c.Wants, wire.Refusal(400, "invalid-operation"))
		}
		c.Done = begun
		return c, true
	}
}

func (w *world) operationBody(kind, projection string) *wire.Object {
	switch kind {
	case "rebuild":
		return wire.Members("workers", int64(1), "throttle", int64(1_000_000), "memory_bytes", int64(1<<20), "verify", true, "keep", int64(1))
	case "repair":
		key := "none"
		if o := w.anOrder(); o != nil && projection == "orders" {
			key = o.ID
		}
		return wire.Members("key", key)
	}
	return nil
}

// begun reads the answer to a request for an operation.
func begun(a wire.Answer) error {
	if a.Status != 202 {
		return nil
	}
	var op struct{ ID, State string }
	if err := json.Unmarshal(a.Body, &op); err != nil {
		return err
	}
	path := "/v1/operations/" + op.ID
	if a.Header.Get("Location") != path || op.State == "" {
		return fmt.Errorf("the Location is %q and the state %q of operation %q", a.Header.Get("Location"), op.State, op.ID)
	}
	return nil
}

// operation returns the generator of a request about an operation.
func operation(method string) func(*world) (wire.Call, bool) {
	return func(w *world) (wire.Call, bool) {
		c := wire.Call{Route: method + " /v1/operations/{id}", Request: wire.Request{Method: method, Target: "/v1/operations/" + uuid.NewString()}}
		if len(w.Operations) == 0 || w.Chance(5) {
			return c.Refused(404, "operation-not-found"), true
		}
		c.Target = pick(w, w.Operations)
		return c.WantOK(), true
	}
}

func readPage(w *world) (wire.Call, bool) {
	code := pick(w, []string{"order-status", "not-found", "internal"})
	return wire.Call{Route: "GET /problems/{code}", Request: wire.Request{Method: "GET", Target: "/problems/" + code}}.WantOK(), true
}

// endOperations cancels the operations that the worker has begun, and follows
// them to their end.
func (w *worker) endOperations(ctx context.Context) error {
	for _, path := range w.Luck.Operations {
		c := wire.Call{Route: "DELETE /v1/operations/{id}", Request: wire.Request{Method: "DELETE", Target: path}, How: []string{"cancelled at the end"}}.WantOK()
		if err := w.Send(ctx, c); err != nil {
			return err
		}
		if err := w.await(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// await follows an operation that was cancelled to its end.
func (w *worker) await(ctx context.Context, path string) error {
	deadline := time.Now().Add(wire.Patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ended := false
		c := wire.Call{Route: "GET /v1/operations/{id}", Request: wire.Request{Method: "GET", Target: path}, How: []string{"awaited"}}.WantOK()
		c.Done = func(a wire.Answer) error {
			var op struct{ State string }
			err := json.Unmarshal(a.Body, &op)
			if ended = op.State != "running"; !ended && time.Now().After(deadline) {
				return fmt.Errorf("it was cancelled %v ago and has not ended", wire.Patience)
			}
			return err
		}
		if err := w.Send(ctx, c); err != nil || ended {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
