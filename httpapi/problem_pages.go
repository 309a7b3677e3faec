package httpapi

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

const (
	jsonType    = "application/json"
	htmlType    = "text/html; charset=utf-8"
	textType    = "text/plain; charset=utf-8"
	problemType = "application/problem+json"
	problemPath = "/problems/"
)

// collectKinds builds the registry of problems: the API's own and the domain's.
func (a *API) collectKinds() error {
	for _, k := range kinds {
		a.kinds[k.Code] = k
	}
	for _, d := range a.config.Problems {
		if err := d.Kind.check(); err != nil {
			return fmt.Errorf("httpapi: %w", err)
		}
		if d.Err == nil {
			return fmt.Errorf("httpapi: problem %s: Err must be set", d.Kind.Code)
		}
		// Several errors may be one kind of problem.
		if k, ok := a.kinds[d.Kind.Code]; ok && k != d.Kind {
			return fmt.Errorf("httpapi: problem code %s has two meanings", d.Kind.Code)
		}
		a.kinds[d.Kind.Code] = d.Kind
	}
	return nil
}

// Kinds returns every kind of problem that the API can answer with, by code.
func (a *API) Kinds() []Kind {
	list := make([]Kind, 0, len(a.kinds))
	for _, k := range a.kinds {
		list = append(list, k)
	}
	slices.SortFunc(list, func(x, y Kind) int { return strings.Compare(x.Code, y.Code) })
	return list
}

var pages = template.Must(template.New("").Parse(`
{{- define "problem" -}}
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>{{.Title}}</title>
<h1>{{.Title}}</h1>
<p><code>{{.Code}}</code>, status {{.Status}}</p>
<h2>What it means</h2>
<p>{{.Meaning}}</p>
<h2>What to do</h2>
<p>{{.Fix}}</p>
<p><a href="/problems">All problems</a></p>
</html>
{{end}}
{{- define "list" -}}
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<title>Problems</title>
<h1>Problems</h1>
<ul>
{{range .}}<li><a href="/problems/{{.Code}}">{{.Code}}</a> ({{.Status}}): {{.Title}}
{{end}}</ul>
</html>
{{end}}`))

func (a *API) problemList(x *exchange) error {
	return x.writePage("list", a.Kinds())
}

func (a *API) problemPage(x *exchange) error {
	vars, err := x.pathVars()
	if err != nil {
		return err
	}
	kind, ok := a.kinds[vars["code"]]
	if !ok {
		return kindNotFound.Problem("There is no kind of problem of this code.").
			withHint("GET /problems lists all of them.")
	}
	return x.writePage("problem", kind)
}

func (x *exchange) writePage(name string, data any) error {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("render page %s: %w", name, err)
	}
	x.w.Header().Set("Content-Security-Policy", "default-src 'none'")
	x.write(http.StatusOK, htmlType, b.Bytes())
	return nil
}
