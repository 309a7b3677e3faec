package delivery

import (
	"cmp"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/57528e99/recount/delivery/transform"
)

// Enrichment says what is looked up for each event before it is delivered, and where: Projection is set, or HTTP. It sees the event as it is delivered,
// and no other enrichment. A replay, and what comes again after a reset, is enriched anew.
type Enrichment struct {
	// Projection names one of the same database; what is found is the row with a key, with all of its columns.
	Projection string `json:"projection,omitempty"`
	// Key has the values of the key in the event. Required with Projection.
	Key EnrichKey `json:"key,omitempty"`
	// Wait is how long an attempt waits for the projection to have come to the event, at most 1 minute. Default: 0, the row is taken as it is.
	Wait Duration `json:"wait,omitzero"`
	// HTTP asks a server.
	HTTP *EnrichHTTP `json:"http,omitzero"`
	// Without says what becomes of an event for which there is nothing. Default: "fail".
	Without Without `json:"without"`
}

// EnrichKey are paths of the values of a key, in the order of its columns: in JSON "$.data.customer_id", or an array of such. They are those of
// transform.Config.Inputs. A value that is there must be text, a number, true or false.
type EnrichKey []string

// EnrichHTTP asks a server with GET, which answers with JSON. What it answered is remembered in the process, also that it has nothing (204, 404 or
// 410, no body or null).
type EnrichHTTP struct {
	// URL is http or https, in which {$.data.customer_id} stands for a value in the event: anywhere behind the host, escaped. Required.
	URL string `json:"url"`
	// Headers are sent with each request.
	Headers map[string]Secret `json:"headers,omitempty"`
	// Auth says how requests are authenticated. Default: not.
	Auth *HTTPAuth `json:"auth,omitzero"`
	// Timeout bounds a request, from 10 ms to 1 minute. Default: 2 s.
	Timeout Duration `json:"timeout"`
	// Cache says what is remembered.
	Cache EnrichCache `json:"cache"`
	// Breaker is how many requests in a row must fail before no more are made but probes, from 1 to 10,000. Default: 5.
	Breaker int `json:"breaker"`
}

// EnrichCache bounds what is remembered of answers.
type EnrichCache struct {
	// TTL is for how long, from 0 (nothing is) to 24 h. Default: 1 min.
	TTL *Duration `json:"ttl"`
	// Size is how many answers, the last that were used, from 1 to 100,000; all have at most 64 MiB. Default: 1,000.
	Size int `json:"size"`
}

// Without says what becomes of an event for which nothing is found: what is looked for is not there, or the event does not say what that is. A lookup
// that fails has found out nothing; only WithoutContinue goes on then, in all others the event fails, and is tried again.
type Without string

// The choices.
const (
	// WithoutFail lets the event fail: for good if what is looked for can be known not to come.
	WithoutFail Without = "fail"
	// WithoutDrop delivers nothing: the event counts as delivered.
	WithoutDrop Without = "drop"
	// WithoutContinue delivers the event without.
	WithoutContinue Without = "continue"
)

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (k *EnrichKey) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	value, err := d.ReadValue()
	if err != nil {
		return err
	}
	var one string
	var all []string
	switch {
	case json.Unmarshal(value, &one) == nil && value.Kind() == '"':
		*k = EnrichKey{one}
	case json.Unmarshal(value, &all) == nil && value.Kind() == '[':
		*k = all
	default:
		return &FieldError{"", `must be a path such as "$.data.customer_id", or an array of them`}
	}
	return nil
}

// MarshalJSONTo implements json.MarshalerTo.
func (k EnrichKey) MarshalJSONTo(e *jsontext.Encoder) error {
	if len(k) == 1 {
		return json.MarshalEncode(e, k[0])
	}
	return json.MarshalEncode(e, []string(k))
}

// MarshalJSON implements the Marshaler of encoding/json.
func (k EnrichKey) MarshalJSON() ([]byte, error) { return json.Marshal(k) }

// UnmarshalJSON implements json.Unmarshaler.
func (k *EnrichKey) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, k) }

const (
	maxEnrichments = 10
	maxEnrichWait  = time.Minute
	maxEnrichKey   = 32
)

var enrichedName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,63}$`)

func (c *checker) enrich(d *Definition) {
	if len(d.Enrich) == 0 {
		d.Enrich = nil
		return
	}
	to := d.Target
	http := to.Requests()
	switch {
	case to.Pull != nil:
		c.wrong("/enrich", "must not be there for what is pulled: callers get the event as it is")
	case to.HTTP == nil && to.Webhook == nil && to.Handler == nil && to.SQL == nil && to.Append == nil && to.Email == nil:
		c.wrong("/enrich", "must not be there for this target: it is for http, webhook, email, append, sql and handlers")
	case d.Transform == nil && (to.Append != nil || to.HTTP != nil && cmp.Or(http.Format, FormatEvent) != FormatEvent):
		c.wrong("/enrich", "must have a transform beside it, for this target gets the data alone, and nothing would be seen of what is found")
	}
	if len(d.Enrich) > maxEnrichments {
		c.wrong("/enrich", "must be at most %d, they are %d", maxEnrichments, len(d.Enrich))
	}
	d.Enrich = maps.Clone(d.Enrich) // the caller's stays as it is
	for _, name := range slices.Sorted(maps.Keys(d.Enrich)) {
		e := d.Enrich[name]
		at := "/enrich" + string(jsontext.Pointer("").AppendToken(name))
		if !enrichedName.MatchString(name) {
			c.wrong(at, "must have a name of letters, digits and '_', the first a letter, at most 64 bytes: what is found is enriched.NAME")
		}
		c.enrichment(at, &e)
		d.Enrich[name] = e
	}
}

func (c *checker) enrichment(at string, e *Enrichment) {
	choice(c, at+"/without", &e.Without, WithoutFail, WithoutDrop, WithoutContinue)
	switch {
	case (e.Projection != "") == (e.HTTP != nil):
		c.wrong(at, `must have one of "projection" and "http"`)
	case e.HTTP != nil:
		if e.Key != nil || e.Wait != 0 {
			c.wrong(at, `must have "key" and "wait" with a projection only: the url has what is asked for`)
		}
		e.HTTP = new(*e.HTTP)
		c.enrichHTTP(at+"/http", e.HTTP)
	default:
		c.text(at+"/projection", e.Projection, maxName)
		c.duration(at+"/wait", &e.Wait, 0, 0, maxEnrichWait)
		if len(e.Key) == 0 || len(e.Key) > maxEnrichKey {
			c.wrong(at+"/key", `must be there: the path of what the key is, such as "$.data.customer_id"; of a key of several columns an array of paths`)
		}
		if _, err := transform.NewPaths(e.Key...); err != nil {
			c.wrong(at+"/key", "%v", err)
		}
	}
}

func (c *checker) enrichHTTP(at string, h *EnrichHTTP) {
	t, err := parseURLTemplate(h.URL)
	if err != nil {
		c.wrong(at+"/url", "%v", err)
	} else {
		c.url(at+"/url", t.example())
	}
	c.text(at+"/url", h.URL, maxValue)
	c.headers(at+"/headers", h.Headers)
	if h.Auth != nil {
		auth := *h.Auth
		if auth.APIKey != nil {
			auth.APIKey = new(*auth.APIKey)
		}
		h.Auth = &auth
		c.auth(at+"/auth", h.Auth)
	}
	c.duration(at+"/timeout", &h.Timeout, 2*time.Second, 10*time.Millisecond, time.Minute)
	if h.Cache.TTL == nil {
		h.Cache.TTL = new(Duration(time.Minute))
	}
	if ttl := time.Duration(*h.Cache.TTL); ttl < 0 || ttl > 24*time.Hour {
		c.wrong(at+"/cache/ttl", "must be from 0s to 24h, it is %s", *h.Cache.TTL)
	}
	number(c, at+"/cache/size", &h.Cache.Size, 1000, 1, 100_000)
	number(c, at+"/breaker", &h.Breaker, 5, 1, 10_000)
}

// enrichTime is how long the lookups of an attempt of so many events may take. They are made one after another, and all wait for rows together.
func (d *Definition) enrichTime(events int) (all time.Duration) {
	for _, e := range d.Enrich {
		if all += time.Duration(e.Wait); e.HTTP != nil {
			all += time.Duration(max(events, 1)) * time.Duration(e.HTTP.Timeout)
		}
	}
	return all
}

// urlTemplate is a URL with the places of values behind its host.
type urlTemplate struct {
	// fixed is what stands before each value, and behind the last.
	fixed []string
	// query says which values are behind the first '?'.
	query []bool
	paths *transform.Paths
	// names are the paths.
	names []string
}

var (
	valueInURL = regexp.MustCompile(`\{([^{}]*)\}`)
	hostOfURL  = regexp.MustCompile(`^[a-zA-Z]+://[^/?#{}]+[/?]`)
)

func parseURLTemplate(text string) (t urlTemplate, err error) {
	from, query := 0, false
	for _, at := range valueInURL.FindAllStringSubmatchIndex(text, -1) {
		before := text[from:at[0]]
		query = query || strings.Contains(before, "?")
		t.fixed, t.query, t.names = append(t.fixed, before), append(t.query, query), append(t.names, text[at[2]:at[3]])
		from = at[1]
	}
	t.fixed = append(t.fixed, text[from:])
	if t.paths, err = transform.NewPaths(t.names...); err != nil {
		return t, err
	}
	switch {
	case len(t.names) > maxEnrichKey:
		return t, &FieldError{"", "must have at most " + strconv.Itoa(maxEnrichKey) + " values"}
	case len(t.names) > 0 && !hostOfURL.MatchString(t.fixed[0]):
		return t, &FieldError{"", "must have its values behind the host: an event must not say who is asked"}
	case strings.ContainsAny(strings.Join(t.fixed, ""), "{}"):
		return t, &FieldError{"", `must have { and } around the path of a value only, such as {$.data.customer_id}`}
	}
	return t, nil
}

// example is one that it could become.
func (t *urlTemplate) example() string { return strings.Join(t.fixed, "x") }

// fill returns the URL for values, as text. False: they would lead elsewhere, for one is empty, or they make the path one that goes up.
func (t *urlTemplate) fill(values []string) (*url.URL, bool) {
	var b strings.Builder
	for i, v := range values {
		b.WriteString(t.fixed[i])
		switch {
		case v == "":
			return nil, false
		case t.query[i]:
			b.WriteString(url.QueryEscape(v))
		default:
			b.WriteString(url.PathEscape(v))
		}
	}
	b.WriteString(t.fixed[len(values)])
	u, err := url.Parse(b.String())
	if err != nil {
		return nil, false
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		decoded, err := url.PathUnescape(segment)
		// Some servers and what is before them take an escaped slash for one.
		goesUp := slices.ContainsFunc(strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' }),
			func(part string) bool { return part == "." || part == ".." })
		if err != nil || len(values) > 0 && goesUp {
			return nil, false
		}
	}
	return u, true
}

// keyValue returns a value of an event as the text that a key or a URL has of it. False: it is not there, or is an object or an array.
func keyValue(v jsontext.Value) (string, bool) {
	switch v.Kind() {
	case '"':
		var text string
		err := json.Unmarshal(v, &text)
		return text, err == nil
	case '0', 't', 'f':
		return string(v), true
	}
	return "", false
}
