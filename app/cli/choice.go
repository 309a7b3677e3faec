package cli

import (
	"fmt"
	"slices"
	"strings"
)

// Choice is a flag that takes one of a few words; the first is the default.
type Choice struct {
	value   string
	allowed []string
}

// String implements pflag.Value.
func (c *Choice) String() string { return c.value }

// Type implements pflag.Value. The help shows it.
func (c *Choice) Type() string { return strings.Join(c.allowed, "|") }

// Set implements pflag.Value.
func (c *Choice) Set(value string) error {
	if !slices.Contains(c.allowed, value) {
		return fmt.Errorf("must be one of %s", strings.Join(c.allowed, ", "))
	}
	c.value = value
	return nil
}

// NewChoice returns a flag that takes one of the words.
func NewChoice(words ...string) *Choice { return &Choice{words[0], words} }
