package migrations

import "embed"

// files holds NNNN_name.up.sql and NNNN_name.down.sql, numbered from 1 without gaps.
//
//go:embed *.sql
var files embed.FS
