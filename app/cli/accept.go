package cli

import (
	"encoding/json"
	"fmt"
	"os"

	jsonv2 "github.com/go-json-experiment/json"
	"go.yaml.in/yaml/v4"

	"github.com/57528e99/recount/delivery"
)

// readGrants reads a file with what others may forward; none, if it is not named.
func readGrants(name string) ([]delivery.Grant, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var value any
	if err = yaml.Unmarshal(text, &value); err == nil {
		text, err = json.Marshal(value)
	}
	var file struct {
		Accept []delivery.Grant `json:"accept"`
	}
	if err == nil {
		err = jsonv2.Unmarshal(text, &file, jsonv2.RejectUnknownMembers(true))
	}
	if err == nil {
		_, err = delivery.NewAcceptor(nil, file.Accept...)
	}
	if err != nil {
		return nil, &Failure{ExitUsage, fmt.Errorf("%s: %w", name, err), "docs/recipes/cross-account.md has an example"}
	}
	return file.Accept, nil
}
