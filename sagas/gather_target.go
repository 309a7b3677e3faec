package sagas

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/internal/failpoint"
)

// gatherTarget tells groups of their parts.
type gatherTarget struct {
	*Engine
	name   string
	config *delivery.GatherTarget
}

// GatherTarget returns the target of a subscription that goes to delivery.GatherTarget. The Engine must have the saga of Gather.
//
// Events that come again change nothing, nor do those that come when the group is complete or has timed out: these are messages "duplicate" and "late" of
// the instance, up to 100 of them. An event that is of no group, or whose data are so large that the result could not have those of all parts, is
// refused for good.
func (e *Engine) GatherTarget(d delivery.Definition) (delivery.Target, error) {
	switch {
	case d.Target.Gather == nil:
		return nil, errors.New("sagas: the subscription has another target")
	case len(e.sagas[GatherName]) == 0:
		return nil, fmt.Errorf("sagas: the program has no saga %q", GatherName)
	}
	return &gatherTarget{e, d.Name, d.Target.Gather}, nil
}

// Deliver implements delivery.Target.
func (t *gatherTarget) Deliver(ctx context.Context, d *delivery.Delivery) error {
	return delivery.OneByOne(ctx, d, func(e *delivery.Event) error {
		became, err := t.tell(ctx, e)
		if err == nil && len(d.Events) == 1 && became != gatherPart {
			d.Exchange.Answer = fmt.Sprintf("it changes nothing: it is a %s one of its group", became)
		}
		if errors.As(err, new(*NoVersionError)) {
			return delivery.Elsewhere(err, forVersion)
		}
		return err
	})
}

// resultRoom is how many bytes the data of a result may have: those of an event but for its metadata.
const resultRoom = 1<<20 - 32<<10

func (t *gatherTarget) tell(ctx context.Context, e *delivery.Event) (became string, _ error) {
	value, part, err := t.config.Group(e.RecordedEvent)
	if err != nil {
		return "", delivery.Permanent(err)
	}
	data, size := t.config.DataOf(e.RecordedEvent), t.config.Expect.Size()
	if err := (Gathered{Subscription: t.name, Correlate: value, Expected: size}).fits(part, data); err != nil {
		return "", delivery.Permanent(err)
	}
	id := delivery.GroupID(t.name, value)
	in := gathered{message: e.MessageID, part: part, data: data, became: &became, begin: gathering{
		ID: id, Subscription: t.name, Correlate: value, Parts: t.config.Expect.Parts, Count: size, Timeout: time.Duration(t.config.Timeout),
		Type:   t.config.Result.Type,
		Stream: strings.NewReplacer("{subscription}", t.name, "{id}", strings.TrimPrefix(id, t.name+":")).Replace(t.config.Result.Stream),
	}}
	ctx = failpoint.About(ctx, id, e.Type)
	if err := failpoint.FailIn(ctx, failpoint.SagaTold); err != nil {
		return "", err
	}
	o := because(e.RecordedEvent, GatherName)
	o.Via = "subscription " + t.name
	if err := t.advance(ctx, GatherName, id, in, o); err != nil {
		return "", err
	}
	return became, failpoint.FailIn(ctx, failpoint.SagaRecorded)
}
