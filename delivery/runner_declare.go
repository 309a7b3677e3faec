package delivery

import "context"

// declare makes the subscriptions that the program declares, and changes those that it declares otherwise than before.
func (r *Runner) declare(ctx context.Context) error {
	admin := &Admin{records: r.records, log: r.config.Store}
	for i := range r.config.Subscriptions {
		s := &r.config.Subscriptions[i]
		c, err := admin.Put(ctx, s.definition(r.config.Codec), PutOptions{Actor: r.process, Declared: true, merge: s.Merge})
		if err != nil {
			return err
		}
		if c.Done != Unchanged || len(c.Effects) > 0 {
			r.config.Logger.Info().Str("subscription", c.Subscription).Str("done", string(c.Done)).Int64("revision", c.Revision).
				Strs("effects", c.Effects).Msg("declared a subscription")
		}
	}
	return nil
}
