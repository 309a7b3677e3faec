package onlineretail

import (
	"strings"
	"testing"
)

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	const server = "http://127.0.0.1:8080"
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, "the address of the server must be like http://127.0.0.1:8080"},
		{Config{Server: "127.0.0.1:8080"}, "the address of the server"},
		{Config{Server: "ftp://127.0.0.1"}, "the address of the server"},
		{Config{Server: server + "/?a=b"}, "nothing behind its path"},
		{Config{Server: server, Concurrency: -1}, "Concurrency must be from 1 to 1024"},
		{Config{Server: server, KeyPrefix: `"`}, "KeyPrefix must be"},
		{Config{Server: server, Currency: "gbp"}, "Currency must be"},
		{Config{Server: server, RetryFor: -1}, "must not be negative"},
	} {
		if _, err := Import(t.Context(), c.config, &Book{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Import with %+v = %v, want %s", c.config, err, c.want)
		}
		if _, err := Verify(t.Context(), c.config, &Book{}, ""); err == nil {
			t.Errorf("Verify with %+v: no error", c.config)
		}
	}
	c := Config{Server: server + "/shop/"}
	if err := c.setDefaults(); err != nil || c.Server != server+"/shop" || c.Client == nil {
		t.Errorf("setDefaults = %+v, %v", c, err)
	}
	if report, err := Import(t.Context(), c, &Book{}); err != nil || report.Total != 0 {
		t.Errorf("Import of an empty book = %+v, %v; want nothing done", report, err)
	}
}
