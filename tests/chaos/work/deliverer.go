package work

import (
	"context"
	"net/netip"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
	"github.com/57528e99/recount/internal/pgerr"
)

// App is the name under which deliverers deliver.
const App = "chaos"

// CountedName is the name of the handler whose effects are rows: see EffectTable.
const CountedName = "counted"

// EffectTable is where handlers that take the transaction leave their effects. Until chaos.knobs says that they are mended
// they refuse some events for good, and others now and then.
const EffectTable = `;
CREATE SEQUENCE chaos.effect_order;
CREATE TABLE chaos.effects (
    subscription text NOT NULL,
    message_id   uuid NOT NULL,
    times        integer NOT NULL DEFAULT 1,
    first        bigint NOT NULL DEFAULT nextval('chaos.effect_order'),
    PRIMARY KEY (subscription, message_id)
);
CREATE FUNCTION chaos.effect(of text, id uuid, amount bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (SELECT mended FROM chaos.knobs) THEN
        IF amount % 61 = 0 THEN
            RAISE EXCEPTION 'refused on purpose' USING ERRCODE = 'data_exception';
        ELSIF random() < 0.002 THEN
            RAISE EXCEPTION 'failed on purpose';
        ELSIF random() < 0.001 THEN
            RAISE EXCEPTION 'rolled back on purpose' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    INSERT INTO chaos.effects AS e (subscription, message_id) VALUES (of, id)
    ON CONFLICT (subscription, message_id) DO UPDATE SET times = e.times + 1;
END
$$;
CREATE FUNCTION chaos.called(event jsonb) RETURNS void LANGUAGE sql AS
    $$ SELECT chaos.effect('called', (event ->> 'message_id')::uuid, (event -> 'data' ->> 'amount')::bigint) $$;
`

// counted makes the effect of an event.
func counted(ctx context.Context, tx delivery.Tx, e Noted, at delivery.Event) error {
	_, err := tx.Exec(ctx, `SELECT chaos.effect($1, $2, $3)`, CountedName, at.MessageID, e.Amount)
	if pgerr.In(err, pgerr.ClassData) {
		return delivery.Permanent(err)
	}
	return err
}

// runDeliverer is a process that delivers what there are subscriptions for.
func runDeliverer(ctx context.Context, s Spec) error {
	codec, err := NewCodec()
	if err != nil {
		return err
	}
	pool, store, err := open(ctx, s)
	if err != nil {
		return ignoreEnd(ctx, err)
	}
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	config := delivery.Config{
		Pool: pool, App: App, Store: store, Codec: codec, Process: s.Name, Logger: zerolog.New(os.Stderr).With().Timestamp().Logger(),
		Handlers: []*delivery.Handler{delivery.HandleTx(CountedName, counted)},
		Targets: map[string]delivery.TargetFactory{
			delivery.KindHTTP: func(d delivery.Definition) (delivery.Target, error) { return webhook.New(d, loopback) },
		},
	}
	var runner *delivery.Runner
	for ctx.Err() == nil {
		if runner, err = delivery.NewRunner(config); err != nil {
			return err
		}
		// What it does goes on until Stop.
		if err = runner.Start(context.WithoutCancel(ctx)); err == nil {
			break
		}
		say("start to deliver: %v", err)
		runner = nil
		pause(ctx, 100*time.Millisecond)
	}
	<-ctx.Done()
	if runner != nil {
		stopping, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := runner.Stop(stopping); err != nil {
			say("stop to deliver: %v", err)
		}
	}
	return closeLog(pool, store)
}
