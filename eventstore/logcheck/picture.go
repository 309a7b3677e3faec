package logcheck

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// drawing is how long the search for what to draw may take.
const drawing = 5 * time.Second

// draw draws a chunk that has no order, with the longest orders of a part of it
// that there are, and says where. What begun is of an earlier chunk is beside it.
func (c *checker) draw(version int64, begun point, points []point, path string) string {
	operations := operationsOf(version, points)
	toLanes(operations)
	model := c.model(version)
	_, info := porcupine.CheckOperationsVerbose(model, operations, drawing)
	if begun.start > math.MinInt64 {
		info.AddAnnotations([]porcupine.Annotation{{Tag: "before", Start: begun.start, End: begun.end, Description: c.name(&begun)}})
	}
	if err := porcupine.VisualizePath(model, info, path); err != nil {
		return fmt.Sprintf("; draw it: %s", err)
	}
	return "; drawn in " + path
}

// toLanes gives operations the lowest numbers of clients for which no client does
// two things at once: a recorded client may.
func toLanes(operations []porcupine.Operation) {
	slices.SortStableFunc(operations, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	var ends []int64 // of the last operation in each lane
	for i := range operations {
		o := &operations[i]
		if o.ClientId = slices.IndexFunc(ends, func(end int64) bool { return end < o.Call }); o.ClientId < 0 {
			o.ClientId = len(ends)
			ends = append(ends, 0)
		}
		ends[o.ClientId] = o.Return
	}
}
