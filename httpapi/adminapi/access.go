package adminapi

import (
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// mayForward says whether a caller may have events go to targets: who says where they go reads them, and what some targets append goes past
// the rules of commands.
func mayForward(caller httpapi.Caller, targets ...delivery.TargetConfig) error {
	if err := caller.May(security.Read, security.Resource{}); err != nil {
		return err
	}
	for _, t := range targets {
		if t.Append != nil || t.Gather != nil || t.Window != nil || t.SQL != nil {
			return caller.May(security.Append, security.Resource{})
		}
	}
	return nil
}
