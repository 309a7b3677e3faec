package cli

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery/webhook/verify"
)

func (prog *Program) webhooksVerify() *cobra.Command {
	var secrets []string
	var id, timestamp, signature string
	var old bool
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Say whether a webhook was signed with a secret: its body in a file, or on the standard input",
		Example: "  {program} webhooks verify body.json --secret whsec_… --id 5f2b… --timestamp 1767366245 --signature v1,K5oZ…\n" +
			"  {program} webhooks verify --any-time … < body.json",
		Args: ArgsBetween(0, 1),
	}
	secretFlag(cmd, &secrets)
	flags := cmd.Flags()
	flags.StringVar(&id, "id", "", "the header webhook-id")
	flags.StringVar(&timestamp, "timestamp", "", "the header webhook-timestamp")
	flags.StringVar(&signature, "signature", "", "the header webhook-signature")
	flags.BoolVar(&old, "any-time", false, "also if it was signed more than five minutes ago")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		v, err := verify.New(secrets...)
		if err != nil {
			return UsageError(cmd, "--secret: %v", err)
		}
		from := prog.Stdin
		if len(args) == 1 {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			from = f
		}
		body, err := io.ReadAll(io.LimitReader(from, webhookBodyLimit))
		if err != nil {
			return err
		}
		if seconds, err := strconv.ParseInt(timestamp, 10, 64); old && err == nil {
			v.Now = func() time.Time { return time.Unix(seconds, 0) }
		}
		err = v.Verify(http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {timestamp}, "Webhook-Signature": {signature}}, body)
		if err != nil {
			return &Failure{ExitCheckFailed, err, "give the body as it came, byte for byte, and the headers of the same request"}
		}
		fmt.Fprintln(prog.Stdout, "verified")
		return nil
	}
	return cmd
}
