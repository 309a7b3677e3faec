package shop_test

import (
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/security"
	"github.com/57528e99/recount/security/tokens"
)

// TestOperatorsForwardWhatTheyMayRead: the role operate is no way around the roles read and append.
func TestOperatorsForwardWhatTheyMayRead(t *testing.T) {
	t.Parallel()
	x := guarded(t, logtest.New(t))
	of := func(name string, roles ...security.Action) string {
		header, _ := tokenOf(t, x, tokens.New{Name: name, Roles: append(roles, security.Operate)})
		return header
	}
	operator, reader, writer := of("operator"), of("reader", security.Read), of("writer", security.Read, security.Append)
	const pulled, appending, webhook = `{"target":{"pull":{}}}`, `{"target":{"append":{"stream":"copy-{id}"}}}`, `{"id":"w","url":"https://shop.example/hook"}`
	for _, c := range []struct {
		method, path, body, takes string // the roles beside operate
	}{
		{"PUT", "/v1/subscriptions/a?dry_run", pulled, "read"},
		{"POST", "/v1/subscriptions?dry_run", `{"subscriptions":[{"name":"a","target":{"pull":{}}}]}`, "read"},
		{"POST", "/v1/subscriptions/none/pull", ``, "read"},
		{"POST", "/v1/subscriptions/none/replay", pulled, "read"},
		{"POST", "/v1/webhooks", webhook, "read"},
		{"PATCH", "/v1/webhooks/none", `{"url":"https://shop.example/hook"}`, "read"},
		{"PUT", "/v1/subscriptions/a?dry_run", appending, "append"},
		{"POST", "/v1/subscriptions?dry_run", `{"subscriptions":[{"name":"a","target":{"pull":{}}},{"name":"b","target":{"sql":{"function":"f"}}}]}`, "append"},
		{"POST", "/v1/subscriptions/none/replay", appending, "append"},
		{"POST", "/v1/subscriptions/none/dead/resubmit", `{"position":1}`, "append"},
		{"POST", "/v1/subscriptions/none/dead/discard", `{"all":true}`, ""},
		{"DELETE", "/v1/subscriptions/none", ``, ""},
	} {
		for header, roles := range map[string]string{operator: "", reader: "read", writer: "read append"} {
			w := x.Request(c.method, c.path, c.body, header)
			if may := strings.Contains(roles, c.takes); may == (w.Code == 403) || w.Code == 401 || w.Code == 500 {
				t.Errorf("%s %s %s with operate %s = %d %s", c.method, c.path, c.body, roles, w.Code, w.Body)
			}
		}
	}
}
