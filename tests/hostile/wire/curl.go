package wire

import (
	"fmt"
	"strings"
)

// maxShown bounds what a failure shows of a body or a header.
const maxShown = 2000

// Curl returns the request as a line for a shell.
func (r Request) Curl(host string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "curl -i --path-as-is -X %s %s", quote(r.Method), quote("http://"+host+r.Target))
	for _, f := range r.Header {
		fmt.Fprintf(&b, " -H %s", quote(f.name+": "+f.value))
	}
	if r.Chunked {
		b.WriteString(" -H 'Transfer-Encoding: chunked'")
	}
	if len(r.Body) > 0 {
		fmt.Fprintf(&b, " --data-binary %s", quote(string(r.Body)))
	}
	return b.String()
}

// quote quotes text for bash: bytes that a terminal would not show are written
// in hexadecimal. What is very long is cut, saying so.
func quote(s string) string {
	cut := ""
	if len(s) > maxShown {
		cut = fmt.Sprintf(" `# and %d bytes more`", len(s)-maxShown)
		s = s[:maxShown]
	}
	plain := true
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\'' || c == '\\':
			plain = false
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20 || c > 0x7e:
			plain = false
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	if plain {
		return "'" + s + "'" + cut
	}
	return "$'" + b.String() + "'" + cut
}
