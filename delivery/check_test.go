package delivery

import (
	"strings"
	"testing"
)

func TestParsedDefinitionIsFilledIn(t *testing.T) {
	t.Parallel()
	d, err := ParseDefinition([]byte(`{"target":{"http":{"url":"https://example.com"}},"start":{"position":7},"key":{"path":"/data/a~1b"}}`), "mail")
	if err != nil {
		t.Fatal(err)
	}
	text, err := d.JSON()
	const want = `{"name":"mail","paused":false,"source":{"log":{}},"start":{"position":7},"key":{"path":"/data/a~1b"},"partitions":4,"max_in_flight":16,` +
		`"max_parked":10000,"batch":{"max_events":1,"max_bytes":1048576,"wait":"0s"},` +
		`"target":{"http":{"url":"https://example.com","method":"POST","format":"event","timeout":"10s"}},` +
		`"retry":{"max_attempts":16,"max_age":"24h","first":"1s","factor":2,"cap":"10m"},"after_dead":"continue","bisect":true,` +
		`"breaker":{"keys":20},"dead_letters":{"retention":"336h"},"log_attempts":"failures","replays":"refuse"}`
	if err != nil || string(text) != want {
		t.Errorf("it is\n%s, %v, want\n%s", text, err, want)
	}
	again, err := ParseDefinition(text, "mail")
	if text2, _ := again.JSON(); err != nil || string(text2) != want {
		t.Errorf("read again it is\n%s, %v", text2, err)
	}
}

func TestMistakesInADefinitionAreNamed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"x":1}`:                   "/x is not known; check the spelling",
		`[]`:                        "must not be a JSON",
		`{`:                         "is not JSON",
		`{"source":{"rows":{}}}`:    `/source/rows is not known: there are {"log":{}} or {"changes":`,
		`{"source":{"changes":{}}}`: "/source/changes/projection must be there",
		`{"source":{"changes":{"projection":"orders"}},"target":{"append":{"stream":"x"}}}`: `/target must not be "append"`,
		`{"source":{"log":{"a":1}}}`:                                  "/source/log must be {}",
		`{"start":7}`:                                                 `/start must be "beginning", "end", {"position":7}`,
		`{"start":"now"}`:                                             `/start must be "beginning", "end", {"position":7}`,
		`{"start":{"position":1,"a":2}}`:                              `/start must be "beginning", "end", {"position":7}`,
		`{"start":{"position":1,"after_event":"x"}}`:                  `/start must be one of "beginning"`,
		`{"filter":{"data":{"a":1}}}`:                                 "/filter/data/a ",
		`{"key":{"path":"data/x"}}`:                                   "/key/path must be a JSON pointer",
		`{"key":{"path":"/payload/x"}}`:                               "/key/path must begin with a member of an event: /position",
		`{"partitions":3}`:                                            "/partitions must be a power of two, it is 3",
		`{"partitions":512}`:                                          "/partitions must be from 1 to 256, it is 512",
		`{"batch":{"wait":"1s"}}`:                                     `/batch/wait must be "0s" while max_events is 1`,
		`{"batch":{"wait":"soon"}}`:                                   `/batch/wait must be a duration such as "10s"`,
		`{"retry":{"cap":"1ms"}}`:                                     "/retry/cap must be from 1s to 24h, it is 1ms",
		`{"target":{}}`:                                               `/target must have one of "http", "webhook", "handler", "sql", "append", "email", "recount", "gather", "window", "archive", "nats", "kafka", "rabbitmq" and "pull"`,
		`{"target":{"sql":{"function":"a b"}}}`:                       "/target/sql/function must be the name of a function",
		`{"target":{"append":{"stream":"{x}"}}}`:                      "/target/append/stream must not have {x}",
		`{"target":{"http":{"url":"ftp://x"}}}`:                       "/target/http/url must be an http or https URL",
		`{"target":{"http":{"url":"https://me:pw@example.com"}}}`:     "/target/http/url must have no user and password",
		`{"target":{"http":{"url":"https://example.com?api_key=1"}}}`: `/target/http/url must not have "api_key" in its query`,
		`{"target":{"http":{"url":"https://example.com","headers":{"Authorization":"Bearer x"}}}}`:                       `/target/http/headers/Authorization must not be text, which is shown to whoever may look: give {"env":"RECOUNT_SECRET_NAME"}`,
		`{"target":{"http":{"url":"https://example.com","headers":{"Content-Type":"x"}}}}`:                               "/target/http/headers/Content-Type must be left out",
		`{"target":{"http":{"url":"https://example.com","auth":{"basic":{"user":"u","password":"p"}}}}}`:                 "/target/http/auth/basic/password must not be text",
		`{"target":{"http":{"url":"https://example.com","auth":{"api_key":{"value":{"env":"RECOUNT_DATABASE_URL"}}}}}}`:  "/target/http/auth/api_key/value/env must be the name of an environment variable of the process that delivers: RECOUNT_SECRET_",
		`{"target":{"http":{"url":"https://example.com","auth":{"api_key":{"value":{"file":"relative"}}}}}}`:             "/target/http/auth/api_key/value/file must be an absolute path",
		`{"target":{"webhook":{"url":"https://example.com"}}}`:                                                           "/target/webhook/keys must be 1 to 8, it is 0: POST /v1/webhooks makes",
		`{"target":{"webhook":{"url":"https://example.com","secret":"whsec_AAAA"}}}`:                                     "/target/webhook/secret must not be text",
		`{"target":{"webhook":{"url":"https://example.com","keys":[{"id":"k.y"}]}}}`:                                     "/target/webhook/keys/0/id must be the id of a key",
		`{"target":{"webhook":{"url":"https://example.com","auth":{}}}}`:                                                 "/target/webhook/auth must be left out",
		`{"batch":{"max_events":2},"target":{"webhook":{"url":"x"}}}`:                                                    "/batch/max_events must be 1",
		`{"target":{"nats":{"servers":["http://x"],"subject":"a.>"}}}`:                                                   "/target/nats/servers/0 must be an address such as nats://host:port",
		`{"target":{"nats":{"servers":["nats://x"],"subject":"{data}"}}}`:                                                "/target/nats/subject must not have {data}",
		`{"target":{"nats":{"servers":["nats://x"],"subject":"a","token":"t"}}}`:                                         "/target/nats/token must not be text",
		`{"target":{"kafka":{"brokers":["x"],"topic":"a b"}}}`:                                                           "/target/kafka/brokers/0 must be host:port",
		`{"target":{"kafka":{"brokers":["x:1"],"topic":"a","sasl":{"user":"u","password":{"env":"RECOUNT_SECRET_X"}}}}}`: `/target/kafka/sasl/mechanism must not be "plain" without tls`,
		`{"target":{"rabbitmq":{"url":"amqp://u:p@x","routing_key":"a"}}}`:                                               "/target/rabbitmq/url must have no user and password",
		`{"target":{"rabbitmq":{"url":"amqp://x","tls":{},"routing_key":"a"}}}`:                                          "/target/rabbitmq/url must be amqps with tls",
		`{"name":"Mail"}`:  "/name must be",
		`{"name":"other"}`: `/name must be "mail", or be left out`,

		`{"target":{"nats":{"servers":["tls://x","nats://x"],"subject":"a","user":"u","password":{"env":"RECOUNT_SECRET_X"}}}}`: "/target/nats/servers/1 must be tls, or of this machine",
		`{"target":{"nats":{"servers":["nats://10.0.0.1"],"subject":"a","token":{"env":"RECOUNT_SECRET_X"}}}}`:                  "/target/nats/servers/0 must be tls, or of this machine",
		`{"target":{"rabbitmq":{"url":"amqp://x","routing_key":"a","user":"u","password":{"env":"RECOUNT_SECRET_X"}}}}`:         "/target/rabbitmq/url must be amqps, or of this machine",
	} {
		_, err := ParseDefinition([]byte(text), "mail")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}
