package shop

import (
	"encoding/json"
	"fmt"

	"github.com/57528e99/recount/tests/hostile/wire"
)

var readModels = []string{"orders", "stock_levels", "customer_history", "sales_by_country", "sales_by_sku"}

// unread is a projection that no answer waits for: only that may be paused.
const unread = "snapshots_stock"

// steer returns the generator of a request to pause or resume a projection.
func steer(what string) func(*world) (wire.Call, bool) {
	return func(w *world) (wire.Call, bool) {
		if w.Chance(10) {
			return command("/v1/projections/{name}/"+what, "/v1/projections/"+unread+"2/"+what, nil).Refused(404, "projection-not-found"), true
		}
		return w.steered(what), true
	}
}

func (w *world) steered(what string) wire.Call {
	c := command("/v1/projections/{name}/"+what, "/v1/projections/"+unread+"/"+what, nil).WantOK()
	c.Done = func(a wire.Answer) error {
		want := struct {
			Name   string `json:"name"`
			Paused bool   `json:"paused"`
		}{unread, what == "pause"}
		return wire.Same(a.Body, want)
	}
	return c
}

// skip asks to leave an event out of a projection that has not stopped: none may be.
func (w *world) skip() (wire.Call, bool) {
	body := wire.Members("position", 1+w.Rng.Int64N(1000), "reason", "nobody wants it")
	return command("/v1/projections/{name}/skip", "/v1/projections/"+pick(w, readModels)+"/skip", body).Refused(409, "projection-not-failed"), true
}

func (w *world) readProjections() (wire.Call, bool) {
	c := w.read("/v1/projections", "/v1/projections", nil).WantOK()
	c.Done = func(a wire.Answer) error {
		var page struct {
			Items []struct{ Projection, State string }
		}
		if err := json.Unmarshal(a.Body, &page); err != nil {
			return err
		}
		if len(page.Items) == 0 {
			return fmt.Errorf("there are no projections in %s", wire.Cut(a.Body))
		}
		for _, p := range page.Items {
			if p.State == "failed" || p.State == "" {
				return fmt.Errorf("projection %q is %q in %s", p.Projection, p.State, wire.Cut(a.Body))
			}
		}
		return nil
	}
	return c, true
}

func (w *world) readProjection() (wire.Call, bool) {
	name := pick(w, readModels)
	if w.Chance(10) {
		name += "2"
		return w.read("/v1/projections/{name}", "/v1/projections/"+name, nil).Refused(404, "projection-not-found"), true
	}
	c := w.read("/v1/projections/{name}", "/v1/projections/"+name, nil).WantOK()
	c.Done = func(a wire.Answer) error {
		var told struct {
			Name        string
			Generations []struct{ Projection, State string }
		}
		if err := json.Unmarshal(a.Body, &told); err != nil {
			return err
		}
		if told.Name != name || len(told.Generations) == 0 || told.Generations[0].Projection != name {
			return fmt.Errorf("projection %q is %s", name, wire.Cut(a.Body))
		}
		return nil
	}
	return c, true
}
