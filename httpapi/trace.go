package httpapi

import (
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
)

const maxCorrelationBytes = 255

var (
	requestIDPattern = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,128}$`)
	// traceparentPattern is version 00 of W3C Trace Context; later ones begin
	// alike.
	traceparentPattern = regexp.MustCompile(`^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$`)
)

// requestID takes the client's request id, or makes one: whoever has a strange
// one gets another, for it is only for finding a line in the log.
func requestID(h http.Header) string {
	if id := h.Get("X-Request-Id"); requestIDPattern.MatchString(id) {
		return id
	}
	return uuid.Must(uuid.NewV7()).String()
}

// traceID returns the trace id of a valid traceparent header, else "". W3C
// Trace Context says to ignore one that is not valid.
func traceID(h http.Header) string {
	values := h.Values("Traceparent")
	if len(values) != 1 || len(values[0]) > 255 || strings.HasPrefix(values[0], "ff") {
		return ""
	}
	m := traceparentPattern.FindStringSubmatch(values[0])
	if m == nil || strings.Trim(m[1], "0") == "" || strings.Trim(m[2], "0") == "" {
		return ""
	}
	return m[1]
}

// trace adds what ties the events of a command to its request and to others: correlation, cause
// and, if there is one, the trace context.
func (x *exchange) trace(o *commands.Options) (err error) {
	o.CausationID = x.requestID
	if o.CorrelationID, err = x.correlationID(); err != nil || x.traceID == "" {
		return err
	}
	o.TraceParent, o.TraceState = x.r.Header.Get("Traceparent"), strings.Join(x.r.Header.Values("Tracestate"), ",")
	if len(o.TraceState) > 512 || !isPrintableASCII(o.TraceState) {
		o.TraceState = ""
	}
	return nil
}

// correlationID returns what ties the events of one business transaction
// together: what the client says it is, else its trace, else this request. It
// ends up in the log for ever, so a strange one is refused.
func (x *exchange) correlationID() (string, error) {
	id, err := x.singleHeader("X-Correlation-Id")
	switch {
	case err != nil:
		return "", err
	case id == "" && x.traceID != "":
		return x.traceID, nil
	case id == "":
		return x.requestID, nil
	case len(id) > maxCorrelationBytes || !isPrintableASCII(id):
		return "", InvalidHeader("X-Correlation-Id", "must have 1 to 255 printable ASCII characters")
	}
	return id, nil
}

// singleHeader returns the value of a header that may be given once; "" if it
// is not.
func (x *exchange) singleHeader(name string) (string, error) {
	values := x.r.Header.Values(name)
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", InvalidHeader(name, "must be given once")
	case values[0] == "":
		return "", InvalidHeader(name, "must not be empty; leave it out")
	}
	return values[0], nil
}

// InvalidHeader is the problem of a header of the request that is wrong. Detail says what it must be.
func InvalidHeader(name, detail string) *Problem {
	return kindInvalidHeader.Problem("The header "+name+" "+detail+".").withHeader(name, detail)
}

func isPrintableASCII(s string) bool {
	for _, b := range []byte(s) {
		if b < 0x20 || b > 0x7e {
			return false
		}
	}
	return true
}
