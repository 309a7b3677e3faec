#!/bin/sh
# Runs every fuzz target for a while, one after the other: scripts/fuzz.sh [TIME [PACKAGE...]], default 10s
# each; 10000x is that many inputs. What one finds is in testdata/fuzz of its package.
#
# Every decoder and parser belongs to a target. The names mostly say which; besides,
#   - eventstore FuzzStreamNames: names of streams, types, receipts, which pass the same checks; categories
#   - httpapi FuzzHeaders: If-Match, Idempotency-Key, Prefer, traceparent; FuzzParams: all query parameters;
#     FuzzTarget: variables of paths; FuzzDecode: bodies
#   - queries FuzzParseCursor: the cursors of all lists; shop FuzzQueries: as_of and what each list takes
#   - shop FuzzEvents: every event of the shop, and the states it leads to; commands: metadata, snapshots
#   - shop/onlineretail FuzzRead: the file of an import, compressed or not, with its prices and times
#   - eventstore FuzzParseStreamMetadata, eventstore/pgstore FuzzReceiptResult: what the database has
#   - internal/pgembed: what a server leaves in its data directory; tests/pgproxy: PostgreSQL's protocol
#   - eventstore/logcheck: recorded histories; tests/bench: reports; internal/failpoint: the environment of tests
#   - projections: keys of repairs; eventstore: digests of checkpoints; internal/rowmap: the names that go into SQL
#   - delivery/pattern FuzzMatch: patterns, and the JSON of events that they are matched with
#   - delivery/transform: templates and their paths, expressions, and events as both read them
#   - sagas FuzzParse: definitions as text, and their diagrams
#   - cmd/recount: command lines, the environment, addresses, and what is printed of texts of others
set -eu
cd "$(dirname "$0")/.."
time=${1:-10s}
[ $# = 0 ] || shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Outside of the pipe, where a package that is not there, or has no target, ends the script.
files=$(grep -l --include='*_test.go' -r '^func Fuzz' ${*:-.}) || {
	echo "no fuzz targets in ${*:-.}, or a package is not there" >&2
	exit 1
}
cached=$(go env GOCACHE)/fuzz/$(go list -m)
echo "$files" | xargs -n1 dirname | sed 's|^\./||' | sort -u | while read -r package; do
	go test -c -vet=off -fuzz . -o "$work/fuzz.test" "./$package" </dev/null
	grep -ho '^func Fuzz[A-Za-z0-9_]*' "$package"/*_test.go | sed 's/func //' | sort | while read -r target; do
		echo "$package $target"
		(cd "$package" && "$work/fuzz.test" -test.run '^$' -test.fuzz "^$target\$" -test.fuzztime "$time" -test.parallel 2 -test.timeout 0 \
			-test.fuzzcachedir "$cached/$package" -test.paniconexit0) >"$work/said" 2>&1 </dev/null || {
			cat "$work/said"
			exit 1
		}
	done
done
