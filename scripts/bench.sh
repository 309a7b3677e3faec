#!/bin/sh
# Measures all there is to measure, which takes some ten minutes, and writes docs/benchmarks.md. Nothing else
# should run on the machine.
set -eu
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
go build -o "$dir/recount" ./cmd/recount

measure() { "$dir/recount" bench "$@" -o json >>"$dir/reports.json"; }

measure append
measure append --streams existing
measure append --streams hot --callers 64
measure append --callers 16 --batch 100
measure append --callers 64 --duration 30s --snapshot --only recount,counter-row,unordered
measure read
measure load
measure project
measure rebuild
measure http
"$dir/recount" bench report "$dir/reports.json" --to docs
echo "docs/benchmarks.md is written"
