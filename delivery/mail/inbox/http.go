package inbox

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
)

// Path is where Around shows the mails.
const Path = "/dev/inbox"

// Around shows the mails at Path and Path/{id}, as JSON, or as a page to who asks for HTML, and leaves the rest to next.
func (b *Inbox) Around(next http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		respond(w, r, http.StatusOK, struct {
			Items []Mail `json:"items"`
		}{b.Mails()}, list)
	})
	mux.HandleFunc("GET "+Path+"/{id}", func(w http.ResponseWriter, r *http.Request) {
		m, ok := b.Mail(r.PathValue("id"))
		if !ok {
			respond(w, r, http.StatusNotFound, map[string]any{"title": "There is no such mail: it never came, or is not kept any more", "status": http.StatusNotFound}, missing)
			return
		}
		respond(w, r, http.StatusOK, m, one)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Path || strings.HasPrefix(r.URL.Path, Path+"/") {
			mux.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func respond(w http.ResponseWriter, r *http.Request, status int, value any, page *template.Template) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept")
	h.Set("X-Content-Type-Options", "nosniff")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		_ = encoder.Encode(value)
		return
	}
	// What is in a mail is anybody's: it runs nothing, and loads nothing.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'; img-src data:")
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_ = page.Execute(w, value)
}

const head = `<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Inbox</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}table{border-collapse:collapse;width:100%}
td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}pre{white-space:pre-wrap;background:#f6f6f6;padding:1rem}
iframe{width:100%;height:24rem;border:1px solid #ddd}</style>
`

var (
	list = template.Must(template.New("list").Parse(head + `<h1>Inbox</h1>
{{if .Items}}<table><tr><th>Came<th>To<th>Subject<th>Copies{{range .Items}}
<tr><td>{{.ReceivedAt.Format "15:04:05"}}<td>{{.To}}<td><a href="` + Path + `/{{.ID}}">{{or .Subject "(no subject)"}}</a><td>{{.Copies}}{{end}}
</table>{{else}}<p>No mail has come yet.{{end}}
`))
	one = template.Must(template.New("one").Parse(head + `<p><a href="` + Path + `">Inbox</a>
<h1>{{.Subject}}</h1>
<table><tr><th>From<td>{{.From}}<tr><th>To<td>{{.To}}<tr><th>Date<td>{{.Date.Format "2006-01-02 15:04:05 UTC"}}<tr><th>Message-ID<td>{{.MessageID}}<tr><th>Came<td>{{.Copies}} times</table>
{{if .Text}}<h2>Text</h2><pre>{{.Text}}</pre>{{end}}
{{if .HTML}}<h2>HTML</h2><iframe sandbox srcdoc="{{.HTML}}"></iframe>{{end}}
`))
	missing = template.Must(template.New("missing").Parse(head + `<p><a href="` + Path + `">Inbox</a><h1>{{.title}}</h1>
`))
)
