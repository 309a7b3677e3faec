package readers

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"

	httpclient "github.com/57528e99/recount/httpapi/client"
)

// listed is what the lists that are read have in common.
type listed struct {
	Items []struct {
		ID string `json:"id"`
		// Orders is how many there are in a row of sales.
		Orders int64 `json:"orders"`
	} `json:"items"`
}

// overHTTP reads lists, and orders by their key.
func overHTTP(server string) []reader {
	var mu sync.Mutex
	var known []string // orders that were in a list: they must be found from then on
	seen := make(map[string]bool)
	orders := reader{"GET /v1/orders", func(ctx context.Context) (map[string]int64, error) {
		var list listed
		if _, err := get(ctx, server+"/v1/orders?limit=100", &list); err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		for _, item := range list.Items {
			if !seen[item.ID] {
				seen[item.ID] = true
				known = append(known, item.ID)
			}
		}
		return map[string]int64{"orders": int64(len(list.Items))}, nil
	}}
	next := 0
	order := reader{"GET /v1/orders/{id}", func(ctx context.Context) (map[string]int64, error) {
		mu.Lock()
		next++
		if len(known) == 0 {
			mu.Unlock()
			return nil, nil
		}
		// Coprime steps go round all of them.
		id := known[next*7919%len(known)]
		mu.Unlock()
		header, err := get(ctx, server+"/v1/orders/"+url.PathEscape(id), nil)
		if err != nil {
			return nil, err
		}
		version, err := strconv.ParseInt(strings.Trim(header.Get("ETag"), `"`), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("order %s: its ETag is no version: %w", id, err)
		}
		return map[string]int64{"the version of order " + id: version}, nil
	}}
	return []reader{orders, order, salesBy(server, "day"), salesBy(server, "country")}
}

// salesBy reads sales, whose orders can only become more while none is cancelled.
func salesBy(server, by string) reader {
	path := "/v1/sales?by=" + by + "&limit=500"
	return reader{"GET " + path, func(ctx context.Context) (map[string]int64, error) {
		var list listed
		if _, err := get(ctx, server+path, &list); err != nil {
			return nil, err
		}
		sum := int64(0)
		for _, item := range list.Items {
			sum += item.Orders
		}
		return map[string]int64{"orders": sum}, nil
	}}
}

// get reads one document. An answer that is no success is an error.
func get(ctx context.Context, address string, into any) (http.Header, error) {
	a, err := httpclient.Get(ctx, http.DefaultClient, address)
	if err != nil || into == nil {
		return a.Header, err
	}
	return a.Header, json.Unmarshal(a.Body, into)
}
