package logcheck

import (
	"fmt"
	"strings"
)

// Rule names a promise.
type Rule string

// The rules. A mutant is caught if a violation has the rule that it names.
const (
	// Of the log by itself.
	RuleGapless  Rule = "gapless positions"
	RuleVersions Rule = "versions 0, 1, 2 in each stream"
	RuleTimes    Rule = "time never runs backwards"
	RuleAppends  Rule = "appends are whole"
	RuleIDsOnce  Rule = "an id is stored once in its stream"

	// Of what clients were told.
	RuleAcked        Rule = "acknowledged is stored"
	RuleUnsent       Rule = "stored was sent"
	RuleRefused      Rule = "refused is not stored"
	RuleOneWinner    Rule = "one winner for each version"
	RuleRetries      Rule = "retries are stored once"
	RuleTogether     Rule = "several streams all or none"
	RuleReads        Rule = "reads are of the log"
	RuleErrors       Rule = "errors are of the contract"
	RuleLinearizable Rule = "linearizable"

	// Of what readers of the log were given.
	RuleOrdered   Rule = "delivered in order"
	RuleUnique    Rule = "delivered once"
	RuleComplete  Rule = "delivered completely"
	RuleContent   Rule = "delivered as stored"
	RuleAtomic    Rule = "an append is never split"
	RuleResumable Rule = "resumed where it ended"

	// Of what is made from the log.
	RuleRows       Rule = "rows are the fold of the log"
	RuleCheckpoint Rule = "a checkpoint counts the log"
	RuleConverged  Rule = "it comes back after a fault"
	RuleLeaks      Rule = "nothing is left behind"
)

// Violation says where a rule was broken.
type Violation struct {
	Rule Rule
	// Text names positions, streams and clients.
	Text string
}

func (v Violation) String() string { return string(v.Rule) + ": " + v.Text }

// Error returns the violations as one error, nil if there are none.
func Error(violations []Violation) error {
	if len(violations) == 0 {
		return nil
	}
	var b strings.Builder
	for i, v := range violations {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(v.String())
	}
	return fmt.Errorf("broken rules:\n%s", b.String())
}

// maxNamed is how many violations of a rule are named.
const maxNamed = 5

// findings collects the violations of one rule.
type findings struct {
	rule  Rule
	named []Violation
	more  int
}

func (f *findings) add(format string, args ...any) {
	if len(f.named) == maxNamed {
		f.more++
		return
	}
	f.named = append(f.named, Violation{f.rule, fmt.Sprintf(format, args...)})
}

func (f *findings) list() []Violation {
	if f.more == 0 {
		return f.named
	}
	return append(f.named, Violation{f.rule, fmt.Sprintf("and %d more", f.more)})
}
