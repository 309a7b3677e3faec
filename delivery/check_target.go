package delivery

import (
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// targetKind is a member of a TargetConfig.
type targetKind struct {
	name  string
	there bool
	check func(c *checker, at string)
}

// kinds are the members, in the order in which an error names them.
func (t *TargetConfig) kinds(batch Batch) []targetKind {
	return []targetKind{
		{"http", t.HTTP != nil, func(c *checker, at string) { c.http(at, t.HTTP, batch) }},
		{"webhook", t.Webhook != nil, func(c *checker, at string) { c.webhook(at, t.Webhook, batch) }},
		{"handler", t.Handler != nil, func(c *checker, at string) {
			c.required(at+"name", t.Handler.Name, "the name that the program registers it by")
		}},
		{"sql", t.SQL != nil, func(c *checker, at string) { c.function(at+"function", t.SQL.Function) }},
		{"append", t.Append != nil, func(c *checker, at string) { c.append(at, t.Append) }},
		{"email", t.Email != nil, func(c *checker, at string) { c.email(at, t.Email) }},
		{KindRecount, t.Recount != nil, func(c *checker, at string) { c.recount(at, t.Recount) }},
		{KindGather, t.Gather != nil, func(c *checker, at string) { c.gather(at, t.Gather) }},
		{"window", t.Window != nil, func(c *checker, at string) { c.window(at, t.Window) }},
		{"archive", t.Archive != nil, func(c *checker, at string) { c.archive(at, t.Archive) }},
		{"nats", t.NATS != nil, func(c *checker, at string) { c.nats(at, t.NATS) }},
		{"kafka", t.Kafka != nil, func(c *checker, at string) { c.kafka(at, t.Kafka) }},
		{"rabbitmq", t.RabbitMQ != nil, func(c *checker, at string) { c.rabbitMQ(at, t.RabbitMQ) }},
		{"pull", t.Pull != nil, func(c *checker, at string) {
			c.duration(at+"lease", &t.Pull.Lease, 30*time.Second, time.Second, maxLease)
			number(c, at+"per_key", &t.Pull.PerKey, 1, 1, 100)
		}},
	}
}

func (c *checker) target(t *TargetConfig, batch Batch) {
	kinds := t.kinds(batch)
	set := slices.Clone(kinds)
	if set = slices.DeleteFunc(set, func(k targetKind) bool { return !k.there }); len(set) == 1 {
		set[0].check(c, "/target/"+set[0].name+"/")
		return
	}
	last := len(kinds) - 1
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = strconv.Quote(k.name)
	}
	c.wrong("/target", "must have one of %s and %s", strings.Join(names[:last], ", "), names[last])
}

func (c *checker) required(pointer, v, what string) {
	if v == "" {
		c.wrong(pointer, "must be there: %s", what)
	}
	c.text(pointer, v, maxPath)
}

var functionSyntax = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]{0,62}(\.[A-Za-z_][A-Za-z0-9_$]{0,62})?$`)

func (c *checker) function(pointer, v string) {
	if !functionSyntax.MatchString(v) {
		c.wrong(pointer, "must be the name of a function, or schema.function: letters, digits, '_' and '$', each part at most 63 bytes")
	}
}

var placeholders = regexp.MustCompile(`\{[^{}]*\}`)

func (c *checker) append(at string, t *AppendTarget) {
	c.name(at+"stream", t.Stream, "the name of the stream to append to")
	for pointer, name := range map[string]string{"stream": t.Stream, "type": t.Type} {
		if strings.HasPrefix(name, "$") {
			c.wrong(at+pointer, "must not begin with '$': those belong to the store")
		}
	}
	c.text(at+"type", t.Type, 256)
	number(c, at+"max_hops", &t.MaxHops, 4, 1, 32)
}

func (c *checker) http(at string, t *HTTPTarget, batch Batch) {
	c.url(at+"url", t.URL)
	choice(c, at+"method", &t.Method, "POST", "PUT", "PATCH")
	choice(c, at+"format", &t.Format, FormatEvent, FormatCloudEvents, FormatCloudEventsBinary, FormatData)
	if t.Format == FormatCloudEventsBinary && batch.MaxEvents > 1 {
		c.wrong(at+"format", `must be "cloudevents" for batches, or batch.max_events 1: in binary mode a request has one event`)
	}
	c.headers(at+"headers", t.Headers)
	c.duration(at+"timeout", &t.Timeout, 10*time.Second, 100*time.Millisecond, 15*time.Minute)
	if !(t.RateLimit >= 0 && t.RateLimit <= 1e6) {
		c.wrong(at+"rate_limit", "must be from 0 (no limit) to 1000000 requests a second, it is %v", t.RateLimit)
	}
	if t.Auth != nil {
		c.auth(at+"auth", t.Auth)
	}
}

func (c *checker) url(pointer, text string) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		c.wrong(pointer, "must be there: where to send requests, such as https://example.com/events")
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		c.wrong(pointer, "must be an http or https URL with a host")
	case u.User != nil:
		c.wrong(pointer, `must have no user and password: give them as auth {"basic":{"user":…,"password":{"env":…}}}`)
	case u.Fragment != "":
		c.wrong(pointer, "must have no fragment (#…): it is never sent")
	default:
		for name := range u.Query() {
			if soundsSecret(name) {
				c.wrong(pointer, `must not have %q in its query: URLs are shown; send it in a header as {"env":…} or {"file":…}`, name)
			}
		}
	}
	c.text(pointer, text, maxValue)
}

// secretWords are parts of the names of what is secret.
var secretWords = regexp.MustCompile(`(?i)auth|token|secret|passw|pwd|cookie|credential|signature|api[-_]?key|access[-_]?key|private[-_]?key|^x-key$|^key$|^sig$`)

func soundsSecret(name string) bool { return secretWords.MatchString(name) }

// ownHeaders are set for each request.
var ownHeaders = regexp.MustCompile(`(?i)^(host|content-(type|length|encoding)|transfer-encoding|connection|te|trailer|upgrade|keep-alive|proxy-connection|` +
	`user-agent|x-event-id|x-delivery-attempt|idempotency-key|traceparent|tracestate|recount-.*|ce-.*|webhook-.*)$`)

var headerSyntax = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}$")

func (c *checker) headers(pointer string, headers map[string]Secret) {
	if len(headers) > maxHeaders {
		c.wrong(pointer, "must be at most %d", maxHeaders)
	}
	seen := make(map[string]string)
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		at := pointer + "/" + string(jsontext.Pointer("").AppendToken(name))[1:]
		v := headers[name]
		switch other, twice := seen[strings.ToLower(name)]; {
		case twice:
			c.wrong(at, "must be there once: it is %s as well", other)
		case !headerSyntax.MatchString(name):
			c.wrong(at, "must be the name of a header: letters, digits and '-', at most 100 bytes")
		case ownHeaders.MatchString(name):
			c.wrong(at, "must be left out: each request has its own")
		case soundsSecret(name):
			c.secret(at, v)
		default:
			c.value(at, v)
		}
		seen[strings.ToLower(name)] = name
	}
}

// secret checks what must not be given as text: it would come back in answers.
func (c *checker) secret(pointer string, s Secret) {
	switch {
	case s == (Secret{}):
		c.wrong(pointer, "must be there: %s", secretForms)
	case s.Value != "":
		c.wrong(pointer, "must not be text, which is shown to whoever may look: give %s", secretForms)
	default:
		c.value(pointer, s)
	}
}

var envSyntax = regexp.MustCompile(`^` + SecretPrefix + `[A-Za-z0-9_]{1,200}$`)

// value checks a text, or where one is found.
func (c *checker) value(pointer string, s Secret) {
	switch {
	case s.Env != "" && (s.File != "" || s.Value != ""), s.File != "" && s.Value != "":
		c.wrong(pointer, "must be text or %s", secretForms)
	case s.Env != "" && !envSyntax.MatchString(s.Env):
		c.wrong(pointer+"/env", "must be the name of an environment variable of the process that delivers: %s, then letters, digits and '_'", SecretPrefix)
	case s.File != "" && !path.IsAbs(s.File):
		c.wrong(pointer+"/file", "must be an absolute path on the machine that delivers")
	case strings.ContainsAny(s.Value, "\r\n"):
		c.wrong(pointer, "must be one line")
	}
	c.text(pointer, s.Value+s.File, maxValue)
}

func (c *checker) auth(pointer string, a *HTTPAuth) {
	set := 0
	for _, there := range []bool{a.APIKey != nil, a.Basic != nil, a.OAuth != nil} {
		if there {
			set++
		}
	}
	switch {
	case set != 1:
		c.wrong(pointer, `must have one of "api_key", "basic" and "oauth"`)
	case a.APIKey != nil:
		if a.APIKey.Header == "" {
			a.APIKey.Header = "Authorization"
		}
		if !headerSyntax.MatchString(a.APIKey.Header) || ownHeaders.MatchString(a.APIKey.Header) {
			c.wrong(pointer+"/api_key/header", "must be the name of a header that requests do not have of their own")
		}
		c.secret(pointer+"/api_key/value", a.APIKey.Value)
	case a.Basic != nil:
		c.required(pointer+"/basic/user", a.Basic.User, "the user")
		if strings.Contains(a.Basic.User, ":") {
			c.wrong(pointer+"/basic/user", "must not have a ':'")
		}
		c.secret(pointer+"/basic/password", a.Basic.Password)
	case a.OAuth != nil:
		c.url(pointer+"/oauth/token_url", a.OAuth.TokenURL)
		c.required(pointer+"/oauth/client_id", a.OAuth.ClientID, "the id of the client")
		c.secret(pointer+"/oauth/client_secret", a.OAuth.ClientSecret)
		for i, scope := range a.OAuth.Scopes {
			c.required(pointer+"/oauth/scopes/"+strconv.Itoa(i), scope, "a scope")
		}
	}
}

// needsPrepared is before what a member must be able to run that also prepares events for the target, or writes them in a format
// that programs of before do not know.
const needsPrepared = "prepared:"

// needsEnriched is the same for what looks something up for events.
const needsEnriched = "enriched:"

// needsAsking is the same for what asks servers for that.
const needsAsking = "asking:"

// needs is what a member must be able to run to deliver.
func (d *Definition) needs() string {
	for _, e := range d.Enrich {
		if e.HTTP != nil {
			return needsAsking + d.Target.needs()
		}
	}
	if d.Enrich != nil {
		return needsEnriched + d.Target.needs()
	}
	if d.Transform != nil || d.Target.HTTP != nil && d.Target.HTTP.Format == FormatData {
		return needsPrepared + d.Target.needs()
	}
	return d.Target.needs()
}

// needs is what a member must be able to run to deliver for the target.
func (t TargetConfig) needs() string {
	switch {
	case t.Handler != nil:
		return "handler:" + t.Handler.Name
	case t.Webhook != nil && t.Webhook.Secret != nil:
		return KindHTTP
	}
	for _, k := range t.kinds(Batch{}) {
		if k.there {
			return k.name
		}
	}
	return KindHTTP
}
