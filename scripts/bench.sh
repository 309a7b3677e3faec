#!/bin/sh
# Measures, and writes docs/benchmarks.md. Nothing else should run on the machine.
#
#   bench.sh          all that needs nothing but this module; a quarter of an hour
#   bench.sh compare  Recount beside other event stores, which it downloads; some minutes
#
# What was measured is kept in docs/benchmarks/reports.json, a report a line, so that each of the two
# leaves what the other has measured.
set -eu
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM
go build -o "$dir/recount" ./cmd/recount

measure() { "$dir/recount" bench "$@" -o json >>"$dir/reports.json"; }

# kept prints the reports that are there already: of comparisons, or with -v all others.
reports=docs/benchmarks/reports.json
kept() { if [ -f $reports ]; then grep "$@" '^{"bench":"compare",' $reports || [ $? = 1 ]; fi; }

case ${1-} in
"")
	measure append
	measure append --streams existing
	measure append --streams hot --callers 64
	measure append --callers 16 --batch 100
	measure append --callers 64 --duration 30s --snapshot --only recount,counter-row,unordered
	measure read
	measure load
	measure project
	measure rebuild
	measure deliver
	measure pull
	measure window
	measure archive
	measure match
	measure transform
	measure sagas --duration 5s --timers 100000
	measure http
	measure http --commands-only
	kept >>"$dir/reports.json"
	;;
compare)
	kept -v >"$dir/reports.json"
	measure compare
	;;
*)
	echo "usage: bench.sh [compare]" >&2
	exit 2
	;;
esac
"$dir/recount" bench report "$dir/reports.json" --to docs
mv "$dir/reports.json" $reports
echo "docs/benchmarks.md is written"
