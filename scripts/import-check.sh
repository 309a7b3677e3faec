#!/bin/sh
# Sends the real orders of Online Retail through a server that is killed on the way, as is the importer, and
# checks what comes out. The file is not part of this repository:
#   scripts/import-check.sh [FILE]     default: ../shared/data/online-retail-50k.csv.gz
# The first 50,000 rows of the data set are expected, with dates in RFC 3339.
set -eu
cd "$(dirname "$0")/.."

file=${1:-../shared/data/online-retail-50k.csv.gz}
if [ ! -f "$file" ]; then
	echo "skipped: there is no $file (see README.md, The import)"
	exit 0
fi

dir=$(mktemp -d)
chmod 755 "$dir" # root's server runs as another user
recount=$dir/recount
server=
importer=
cleanup() {
	status=$?
	[ -z "$importer" ] || kill "$importer" 2>/dev/null || true
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	[ "$status" = 0 ] || { echo "the server said:"; tail -n 20 "$dir/server.log"; } >&2
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

go build -o "$recount" ./cmd/recount

# start runs the server and waits until it answers; its address goes into $url.
start() {
	: >"$dir/server.log"
	"$recount" dev --data "$dir/data" --listen "${1:-127.0.0.1:0}" 2>"$dir/server.log" &
	server=$!
	for _ in $(seq 600); do
		url=$(sed -n 's/^ *API *\(http[^ ]*\).*/\1/p' "$dir/server.log")
		[ -z "$url" ] || return 0
		kill -0 "$server" || exit 1
		sleep 0.1
	done
	echo "the server does not become ready" >&2
	exit 1
}

# position prints how far the log is: all read models have come as far when they have it.
position() {
	curl -fsS "$url/v1/projections" | grep -o '"position":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1
}

# reach waits until the log is at least at a position.
reach() {
	while [ "$(position)" -lt "$1" ]; do
		kill -0 "$importer" || { echo "the import ended before position $1" >&2; exit 1; }
		sleep 0.2
	done
}

import() { "$recount" import online-retail "$file" --server "$url" -o json; }

start
echo "import, killed on the way"
import >/dev/null 2>&1 &
importer=$!
reach 20000
kill -9 "$importer"
wait "$importer" 2>/dev/null || true

echo "import again, server killed on the way"
import >"$dir/report.json" 2>"$dir/import.log" &
importer=$!
reach 50000
kill -9 "$server"
wait "$server" 2>/dev/null || true
start "${url#http://}"
wait "$importer" || { cat "$dir/import.log" >&2; exit 1; }
importer=
cat "$dir/report.json"

# What the file holds, counted by other means.
for want in '"orders": *1869' '"gross_minor": *95533893' '"refunds_minor": *11472638' '"net_minor": *84061255'; do
	grep -q "$want" "$dir/report.json" || { echo "the report lacks $want" >&2; exit 1; }
done
sum() {
	curl -fsS "$url/v1/sales?by=day&limit=500" | grep -o "\"$1\":-*[0-9]*" | awk -F: '{ n += $2 } END { printf "%d\n", n }'
}
for want in orders=1869 gross_minor=95533893 refunds_minor=11472638 net_minor=84061255; do
	got=$(sum "${want%=*}")
	[ "$got" = "${want#*=}" ] || { echo "GET /v1/sales: ${want%=*} are $got, want ${want#*=}" >&2; exit 1; }
done

echo "import once more"
before=$(position)
import >/dev/null 2>&1
after=$(position)
[ "$before" = "$after" ] || { echo "another import moved the log from $before to $after" >&2; exit 1; }
echo "ok: the same totals after two kills, and a further import changes nothing (position $after)"
