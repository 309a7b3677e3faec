package hostile

import (
	"encoding/json"
	"fmt"
)

var readModels = []string{"orders", "stock_levels", "customer_history", "sales_by_country", "sales_by_sku"}

// unread is a projection that no answer waits for: only that may be paused.
const unread = "snapshots_stock"

// steer returns the generator of a request to pause or resume a projection.
func steer(what string) func(*world) (call, bool) {
	return func(w *world) (call, bool) {
		if w.chance(10) {
			return command("/v1/projections/{name}/"+what, "/v1/projections/"+unread+"2/"+what, nil).refused(404, "projection-not-found"), true
		}
		return w.steered(what), true
	}
}

func (w *world) steered(what string) call {
	c := command("/v1/projections/{name}/"+what, "/v1/projections/"+unread+"/"+what, nil).wantOK()
	c.done = func(a answer) error {
		want := struct {
			Name   string `json:"name"`
			Paused bool   `json:"paused"`
		}{unread, what == "pause"}
		return same(a, want)
	}
	return c
}

// skip asks to leave an event out of a projection that has not stopped: none may be.
func (w *world) skip() (call, bool) {
	body := members("position", 1+w.rng.Int64N(1000), "reason", "nobody wants it")
	return command("/v1/projections/{name}/skip", "/v1/projections/"+pick(w, readModels)+"/skip", body).refused(409, "projection-not-failed"), true
}

func (w *world) readProjections() (call, bool) {
	c := w.read("/v1/projections", "/v1/projections", nil).wantOK()
	c.done = func(a answer) error {
		var page struct {
			Items []struct{ Projection, State string }
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			return err
		}
		if len(page.Items) == 0 {
			return fmt.Errorf("there are no projections in %s", cut(a.body))
		}
		for _, p := range page.Items {
			if p.State == "failed" || p.State == "" {
				return fmt.Errorf("projection %q is %q in %s", p.Projection, p.State, cut(a.body))
			}
		}
		return nil
	}
	return c, true
}

func (w *world) readProjection() (call, bool) {
	name := pick(w, readModels)
	if w.chance(10) {
		name += "2"
		return w.read("/v1/projections/{name}", "/v1/projections/"+name, nil).refused(404, "projection-not-found"), true
	}
	c := w.read("/v1/projections/{name}", "/v1/projections/"+name, nil).wantOK()
	c.done = func(a answer) error {
		var told struct {
			Name        string
			Generations []struct{ Projection, State string }
		}
		if err := json.Unmarshal(a.body, &told); err != nil {
			return err
		}
		if told.Name != name || len(told.Generations) == 0 || told.Generations[0].Projection != name {
			return fmt.Errorf("projection %q is %s", name, cut(a.body))
		}
		return nil
	}
	return c, true
}
