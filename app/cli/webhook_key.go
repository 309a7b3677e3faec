package cli

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/57528e99/recount/delivery/webhook"
)

// webhookKeyVariable has the key of webhooks itself: on a command line everybody could read it.
const webhookKeyVariable = "{PROGRAM}_WEBHOOK_KEY"

// webhookKey returns what the secrets of webhooks are derived from: of the environment, or of a file; nil: there is none.
func (prog *Program) webhookKey(file string) (*webhook.MasterKey, error) {
	text, place := prog.getenv(webhookKeyVariable)
	switch {
	case text != "" && file != "":
		return nil, &Failure{ExitUsage, fmt.Errorf("the key of webhooks is given twice: in %s and by --webhook-key-file", place), "give one"}
	case text == "" && file == "":
		return nil, nil
	case file != "":
		place = file
		var err error
		if text, err = readKey(file); err != nil {
			return nil, &Failure{ExitUsage, fmt.Errorf("read the key of webhooks: %w", err), ""}
		}
	}
	key, err := webhook.NewMasterKey(text)
	if err != nil {
		return nil, &Failure{ExitUsage, fmt.Errorf("%s: %w", place, err), "openssl rand -base64 32 makes one"}
	}
	return key, nil
}

func readKey(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 4096))
	return strings.TrimSpace(string(text)), err
}

// devWebhookKey returns the key of dev: that of the environment, or one that is kept beside the data for the next time.
func (prog *Program) devWebhookKey(d dev) (*webhook.MasterKey, error) {
	if text, _ := prog.getenv(webhookKeyVariable); text != "" {
		return prog.webhookKey("")
	}
	random := make([]byte, 32)
	_, _ = rand.Read(random) // it never fails
	text := base64.StdEncoding.EncodeToString(random)
	if d.fresh {
		return webhook.NewMasterKey(text)
	}
	file := filepath.Join(d.dataDir, "webhook.key")
	err := os.MkdirAll(d.dataDir, 0o700)
	if err == nil {
		err = writeNew(file, text+"\n")
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("keep a key for webhooks: %w", err)
	}
	return prog.webhookKey(file)
}

// writeNew writes a file for the owner alone. That it is there is an error.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
