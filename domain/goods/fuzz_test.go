package goods_test

import (
	"encoding/json"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/57528e99/recount/domain/goods"
)

func FuzzIDsNeedNoEscaping(f *testing.F) {
	for _, seed := range []string{"42", "r-9", "a.b_c:d~e-f", "..", "a/b", "é", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if goods.CheckID("/id", id) != nil {
			return
		}
		if got := url.PathEscape(id); got != id {
			t.Errorf("id %q is %q in a URL", id, got)
		}
		keepsItsPlace(t, id)
	})
}

func FuzzSKUsSurviveURLAndJSON(f *testing.F) {
	for _, seed := range []string{"MUG-1A", "GIFT WRAP", "..", "a/b", "%2F", "grün", "\ufffd", "a\u00a0b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sku string) {
		if goods.CheckSKU("/sku", sku) != nil {
			return
		}
		keepsItsPlace(t, sku)
		data, err := json.Marshal(sku)
		var back string
		if err != nil || json.Unmarshal(data, &back) != nil || back != sku {
			t.Errorf("SKU %q comes back from %s as %q", sku, data, back)
		}
	})
}

// keepsItsPlace checks that a name stays one segment of a URL's path when the
// path is decoded and cleaned, as routers do.
func keepsItsPlace(t *testing.T, name string) {
	t.Helper()
	u, err := url.Parse("http://shop/v1/things/" + url.PathEscape(name))
	if err != nil {
		t.Fatalf("%q does not fit into a URL: %v", name, err)
	}
	if got := path.Clean(u.Path); got != "/v1/things/"+name || strings.Count(got, "/") != 3 {
		t.Errorf("the path of %q is cleaned to %q", name, got)
	}
}
