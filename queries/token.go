package queries

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
)

// check returns why rows are not what a token demands: a *BehindError or a *LogChangedError.
func (r *Reader) check(ctx context.Context, sources []source, found []projections.Serving, token eventstore.Token) error {
	for i, s := range found {
		want := s.Target
		if !token.IsZero() {
			if err := r.checkLog(ctx, s.Checkpoint, token); err != nil {
				return fmt.Errorf("projection %s: %w", sources[i].projection, err)
			}
			want = max(want, token.Position)
		}
		// A token of a later incarnation of the log is ahead, whatever the positions.
		if s.Checkpoint.Position >= want && s.Checkpoint.Incarnation >= token.Incarnation {
			continue
		}
		behind := &BehindError{Projection: sources[i].projection, Position: s.Checkpoint.Position, Want: want}
		switch {
		case s.Failure != "":
			behind.Reason, behind.Failure, behind.stopped = "it has failed", s.Failure, true
		case s.Paused:
			behind.Reason, behind.stopped = "it is paused", true
		case s.Unreadable != "": // and may go on at any moment
			behind.Reason, behind.Failure = "the program that runs it cannot read an event that a newer one can", s.Unreadable
		}
		return behind
	}
	return nil
}

// checkLog returns an error if the token is of another log, or of a part of it that was lost.
func (r *Reader) checkLog(ctx context.Context, at, token eventstore.Token) error {
	switch {
	case token.Log != at.Log:
		return &eventstore.LogChangedError{Token: token, Head: at, LastCommon: -1}
	case token.Incarnation >= at.Incarnation:
		return nil
	case r.config.Log == nil:
		// Nobody can say up to where the two incarnations agree: nothing is promised.
		return &eventstore.LogChangedError{Token: token, Head: at}
	}
	return r.inLog(ctx, token)
}

// inLog returns an error if the log has no such place.
func (r *Reader) inLog(ctx context.Context, token eventstore.Token) error {
	for _, err := range r.config.Log.ReadAll(ctx, eventstore.ReadOptions{After: token, Limit: 1}) {
		if err != nil {
			return err
		}
	}
	return nil
}
