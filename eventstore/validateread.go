package eventstore

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// ValidateReadStream checks what every store demands of the options of
// ReadStream. The error is an *InvalidError.
func (o ReadOptions) ValidateReadStream() error {
	if !o.Filter.IsZero() {
		return invalid("filter", "must be empty: ReadStream yields every event of its stream")
	}
	if !o.After.IsZero() {
		return invalid("after", "must be empty: a token is a place in the log, not in a stream")
	}
	return o.validateElsewhere()
}

// ValidateReadAll is ValidateReadStream for ReadAll.
func (o ReadOptions) ValidateReadAll() error {
	for i, p := range o.Positions {
		if before := o.Positions[max(i-1, 0)]; p < 1 || i > 0 && p <= before {
			return invalid("positions", "must be from 1 on, each above the one before")
		}
	}
	if o.Positions != nil && (o.From != 0 || !o.After.IsZero() || o.Backwards || !o.Filter.IsZero()) {
		return invalid("positions", "must not be set together with from, after, backwards or filter")
	}
	return o.validateSizes()
}

// ValidateSubscribe is ValidateReadStream for Subscribe.
func (o ReadOptions) ValidateSubscribe() error {
	if o.Backwards {
		return invalid("backwards", "must not be set: a subscription goes on to what is new")
	}
	if o.Limit != 0 {
		return invalid("limit", "must not be set: a subscription ends when its caller stops")
	}
	return o.validateElsewhere()
}

// validateElsewhere is validateSizes for all but ReadAll.
func (o ReadOptions) validateElsewhere() error {
	if o.Positions != nil {
		return invalid("positions", "must not be set: it is for ReadAll")
	}
	return o.validateSizes()
}

func (o ReadOptions) validateSizes() error {
	if o.Limit < 0 {
		return invalid("limit", "must not be negative; 0 is no limit")
	}
	if o.PageSize < 0 {
		return invalid("page_size", "must not be negative; 0 is the default")
	}
	if o.PageBytes < 0 {
		return invalid("page_bytes", "must not be negative; 0 is the default")
	}
	return nil
}

// maxAge is what a time.Duration can hold, about 292 years.
const maxAge = Seconds(math.MaxInt64 / time.Second)

// Validate checks that m has no negative numbers and no age beyond 292 years.
// The error is an *InvalidError.
func (m StreamMetadata) Validate() error {
	for _, f := range []struct {
		name  string
		value int64
	}{{"$maxCount", m.MaxCount}, {"$maxAge", int64(m.MaxAge)}, {"$tb", m.TruncateBefore}} {
		if f.value < 0 {
			return invalid("metadata."+f.name, "must not be negative; 0 is no limit")
		}
	}
	if m.MaxAge > maxAge {
		return invalid("metadata.$maxAge", fmt.Sprintf("must be at most %d seconds", maxAge))
	}
	return nil
}

// ParseStreamMetadata reads the data of an event of TypeMetadata. Members that it
// does not know are for others and left alone. What could not have been set, by
// this program or another one, is ErrCorrupt; setting the stream's metadata anew
// mends it.
func ParseStreamMetadata(data []byte) (StreamMetadata, error) {
	var m StreamMetadata
	err := json.Unmarshal(data, &m)
	if err == nil {
		err = m.Validate()
	}
	if err != nil {
		// Not wrapped: it is no input of the caller's that is invalid.
		return StreamMetadata{}, fmt.Errorf("%w: stream metadata: %v; set it anew", ErrCorrupt, err)
	}
	return m, nil
}
