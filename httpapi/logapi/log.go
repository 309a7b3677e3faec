package logapi

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

const (
	// defaultScan is among how many events of the log a page is looked for, unless the client says otherwise.
	defaultScan, maxScan = 100_000, 10_000_000
	// maxNames is how many types or categories a filter may have.
	maxNames = 100
	// scanTime is how long a page is looked for: less than a request may take.
	scanTime = 10 * time.Second
)

// logQuery says which events of the log to read: those behind a position that a filter picks.
type logQuery struct {
	after int64
	limit int
	scan  int64
	pick
}

// pick picks events.
type pick struct {
	// filter is what the store picks.
	filter eventstore.Filter
	// matcher has the pattern that those match besides; nil: there is none.
	matcher *pattern.Matcher[struct{}]
}

func logQueryOf(p *httpapi.Params) (q logQuery) {
	if p.Scan("after", &q.after); q.after < 0 {
		p.Fail("after", "must be a position of the log, from 0 on")
	}
	q.limit = p.Limit(defaultLimit, maxLimit)
	q.scan = p.Int("scan", defaultScan, 1, maxScan)
	q.pick = pickOf(p)
	return q
}

func pickOf(p *httpapi.Params) (k pick) {
	k.filter.Types, k.filter.Categories = namesOf(p, "types"), namesOf(p, "categories")
	text := p.LongText("filter")
	if text == "" {
		return k
	}
	compiled, err := pattern.Compile([]byte(text))
	if err != nil {
		p.Fail("filter", "must be a pattern: "+err.Error())
		return k
	}
	k.matcher = new(pattern.Matcher[struct{}])
	k.matcher.Add(struct{}{}, compiled)
	if len(k.filter.Types) == 0 {
		k.filter.Types = compiled.Types()
	}
	if len(k.filter.Categories) == 0 {
		k.filter.Categories = compiled.Categories()
	}
	return k
}

// namesOf reads names with commas between them.
func namesOf(p *httpapi.Params, name string) (names []string) {
	text := p.LongText(name)
	if text == "" {
		return nil
	}
	names = strings.Split(text, ",")
	if len(names) > maxNames || slices.Contains(names, "") {
		p.Fail(name, fmt.Sprintf("must be 1 to %d names with a comma between them", maxNames))
	}
	return names
}

// takes reports whether an event that the store picked matches the pattern, too.
func (k pick) takes(e *eventstore.RecordedEvent) bool {
	if k.matcher == nil {
		return true
	}
	event := delivery.PatternEvent(e)
	return len(k.matcher.Match(&event, nil)) > 0
}

// describedLog is a page of the log. Next is the position to go on behind if there is more of the log, Through is the last that was
// looked at, and Head where the log ended.
type describedLog struct {
	Items   []described    `json:"items"`
	Next    httpapi.Cursor `json:"next"`
	Through int64          `json:"through"`
	Head    int64          `json:"head"`
}

type logPage struct {
	list
	through, head int64
}

// AppendJSON implements httpapi.Raw.
func (p logPage) AppendJSON(to []byte) []byte {
	to = p.appendTo(to)
	if p.through < p.head {
		to = fmt.Appendf(to, `,"next":"%d"`, p.through)
	} else {
		to = append(to, `,"next":null`...)
	}
	return append(appendNumber(appendNumber(to, "through", p.through), "head", p.head), '}')
}

// readLog answers with a page, or a stream, as the client accepts.
func (r *routes) readLog(ctx context.Context, in httpapi.ReadRequest[logQuery]) (any, error) {
	q := in.Params
	q.filter.StreamPrefixes = in.Caller.Scope.StreamPrefixes()
	if err := r.reaches(ctx, in.Token); err != nil {
		return nil, err
	}
	kind := wantsStream(in.Header.Get("Accept"))
	if kind == ofEvents {
		if last := in.Header.Get("Last-Event-ID"); last != "" {
			var err error
			if q.after, err = strconv.ParseInt(last, 10, 64); err != nil || q.after < 0 {
				return nil, httpapi.InvalidHeader("Last-Event-ID", "must be the id of an event of this route: a position of the log")
			}
		}
	}
	head, err := r.Log.Head(ctx)
	switch {
	case err != nil:
		return nil, err
	case q.after > head.Position: // it is of another log, or of a part that a restore has lost
		return nil, in.Invalid("after", fmt.Sprintf("must not be beyond the end of the log, position %d", head.Position))
	case kind == ofEvents:
		f, leave, err := r.tail.join(head.Position)
		if err != nil {
			return nil, err
		}
		return events{stream{r, q, nil, q.after + 1}, f, leave}, nil
	case kind == ofLines:
		return lines{stream{r, q, nil, q.after + 1}, head.Position}, nil
	}
	return r.readPage(ctx, q, head.Position)
}

func (r *routes) readPage(ctx context.Context, q logQuery, head int64) (p logPage, err error) {
	p.head, p.through = head, q.after
	until := p.through + q.scan
	late := time.Now().Add(scanTime)
	bytes := 0
	if p.through == p.head {
		return p, nil
	}
	// A subscription tells how far a filter has come where it picks nothing.
	o := eventstore.ReadOptions{From: p.through + 1, Filter: q.filter, PageSize: q.limit, PageBytes: pageBytes}
	for b, err := range r.Log.Subscribe(ctx, o) {
		if err != nil {
			return p, err
		}
		for i := range b.Events {
			e := &b.Events[i]
			if e.Position > p.head {
				break
			}
			if !q.takes(e) {
				continue
			}
			if bytes += e.Size(); len(p.list) == q.limit || len(p.list) > 0 && bytes > pageBytes {
				return p, nil
			}
			p.list, p.through = append(p.list, *e), e.Position
		}
		p.through = min(b.Next-1, p.head)
		if p.through >= p.head || p.through >= until || len(p.list) == q.limit || time.Now().After(late) {
			break
		}
	}
	return p, nil
}
