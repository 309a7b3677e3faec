package httpapi

import (
	"cmp"
	"net/http"

	"github.com/57528e99/recount/security"
)

// File is an answer that is more than JSON of a Go value: a document, or a page.
type File struct {
	ContentType string
	// Policy is the Content-Security-Policy. Default: nothing may be loaded.
	Policy string
	// Public is that of Route.
	Public bool
	// Read returns the content. Path returns a variable part of the path, decoded, by its name.
	Read func(path func(name string) string) ([]byte, error)
}

// AddFile registers a route that answers with a file. It takes no parameters.
func (a *API) AddFile(path string, f File) {
	r := Route{Method: http.MethodGet, Path: path, Public: f.Public, Access: Access{Action: security.Read}, Answers: []Answer{{Status: http.StatusOK, ContentType: f.ContentType}}}
	a.handle(r, func(x *exchange) error {
		vars, err := x.pathVars()
		if err != nil {
			return err
		}
		if err := newParams(x.r.URL.RawQuery).err(); err != nil {
			return err
		}
		body, err := f.Read(func(name string) string { return vars[name] })
		if err != nil {
			return err
		}
		x.w.Header().Set("Content-Security-Policy", cmp.Or(f.Policy, "default-src 'none'"))
		x.writeTagged(bodyTag(body), f.ContentType, body)
		return nil
	})
}
