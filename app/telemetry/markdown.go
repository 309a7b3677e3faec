package telemetry

import (
	"fmt"
	"strings"
)

// Markdown returns tables of all metrics, as docs/metrics.md has them.
func Markdown() string {
	var b strings.Builder
	for _, s := range catalogue {
		fmt.Fprintf(&b, "## %s\n\n| Metric | Type | Labels | Meaning |\n|---|---|---|---|\n", s.title)
		for _, m := range s.metrics {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, quoted(m.labels), m.help)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func quoted(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return "`" + strings.Join(labels, "`, `") + "`"
}
