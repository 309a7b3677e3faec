package apptest

// Deliver hands what was written since the last call, or since the beginning, to the Go handlers of the
// App's subscriptions, in order, and returns the first error of one: the next call begins with that
// event again. Handlers that take a transaction need PostgreSQL. There subscriptions are delivered
// all the time, and Deliver waits until that is done.
func (x *Test) Deliver() error {
	x.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.Service.App.Subscriptions() {
		name := s.Name
		if s.Handler != nil && name == "" {
			name = s.Handler.Name()
		}
		ctx := x.Service.Logger.WithContext(x.t.Context())
		next, err := s.Rehearse(ctx, x.Service.Commands.Codec(), x.Service.Log, x.delivered[name])
		x.delivered[name] = next
		if err != nil {
			return err
		}
	}
	return nil
}
