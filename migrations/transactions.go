package migrations

import (
	"regexp"
	"strings"
)

var (
	// quoted is where text begins that is no statement: comments, literals, names in quotes. Of text in dollars it is the tag.
	quoted = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?\*/|\b[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(?:[A-Za-z_]\w*)?\$`)
	// ownTransaction is what a file cannot say that is run in one transaction with its version.
	ownTransaction = regexp.MustCompile(`(?i)(?:^|;)\s*(?:(?:(?:begin|commit|end|rollback|abort)(?:\s+(?:work|transaction))?|vacuum\b[^;]*)\s*(?:;|$)` +
		`|(?:start\s+transaction|savepoint|(?:create|drop)\s+database|alter\s+system)\b)` +
		`|\b(?:index|reindex|detach\s+partition)\b[^;]*\bconcurrently\b`)
	// bodies are those of SQL functions, and cases: they have an END of their own.
	bodies = regexp.MustCompile(`(?is)\b(?:begin\s+atomic|case)\b.*?\bend\b`)
)

// transactionIn returns what a file says that cannot be run in one transaction with others; empty: nothing.
func transactionIn(sql string) string {
	var b strings.Builder
	for {
		at := quoted.FindStringIndex(sql)
		if at == nil {
			break
		}
		b.WriteString(sql[:at[0]] + " ")
		tag := sql[at[0]:at[1]]
		sql = sql[at[1]:]
		if tag[0] == '$' {
			_, sql, _ = strings.Cut(sql, tag)
		}
	}
	b.WriteString(sql)
	return strings.Trim(ownTransaction.FindString(bodies.ReplaceAllString(b.String(), " ")), "; \t\r\n")
}
