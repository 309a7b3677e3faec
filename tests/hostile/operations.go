package hostile

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/uuid"
)

// operate returns the generator of an operation on a projection. Another may be
// running.
func operate(kind string) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		name := pick(w, readModels)
		c := command("/v1/projections/{name}/"+kind, "/v1/projections/"+name+"/"+kind, w.operationBody(kind, name))
		if w.chance(10) {
			c.target = strings.Replace(c.target, name, name+"2", 1)
			return c.refused(404, "projection-not-found"), true
		}
		c.wants = []want{{status: 202}, {409, "projection-busy"}}
		if kind == "rollback" || kind == "repair" && name != "orders" { // whose keys have one column
			c.wants = append(c.wants, want{400, "invalid-operation"})
		}
		c.done = begun
		return c, true
	}
}

func (w *world) operationBody(kind, projection string) *object {
	switch kind {
	case "rebuild":
		return members("workers", int64(1), "throttle", int64(1_000_000), "memory_bytes", int64(1<<20), "verify", true, "keep", int64(1))
	case "repair":
		key := "none"
		if o := w.anOrder(); o != nil && projection == "orders" {
			key = o.ID
		}
		return members("key", key)
	}
	return nil
}

// begun reads the answer to a request for an operation.
func begun(a answer) error {
	if a.status != 202 {
		return nil
	}
	var op struct{ ID, State string }
	if err := json.Unmarshal(a.body, &op); err != nil {
		return err
	}
	path := "/v1/operations/" + op.ID
	if a.header.Get("Location") != path || op.State == "" {
		return fmt.Errorf("the Location is %q and the state %q of operation %q", a.header.Get("Location"), op.State, op.ID)
	}
	return nil
}

// operation returns the generator of a request about an operation.
func operation(method string) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		c := call{route: method + " /v1/operations/{id}", request: request{method: method, target: "/v1/operations/" + uuid.NewString()}}
		if len(w.operations) == 0 || w.chance(5) {
			return c.refused(404, "operation-not-found"), true
		}
		c.target = pick(w, w.operations)
		return c.wantOK(), true
	}
}

// plain returns the generator of a GET without variables.
func plain(path string) func(*world) (call, bool) {
	return func(*world) (call, bool) {
		return call{route: "GET " + path, request: request{method: "GET", target: path}}.wantOK(), true
	}
}

func readPage(w *world) (call, bool) {
	code := pick(w, []string{"order-status", "not-found", "internal"})
	return call{route: "GET /problems/{code}", request: request{method: "GET", target: "/problems/" + code}}.wantOK(), true
}
