#!/bin/sh
# Sends orders through a server that is killed on the way, as is the importer. Meanwhile all read models are
# rebuilt and verified over and over, one of these rebuilds is killed as well, and readers go on all the time.
# It checks what came out, and that no read failed or went back in time. Needs Linux, for the failpoints.
#   scripts/import-check.sh [FILE]     default: ../shared/data/online-retail-50k.csv.gz
# The first 50,000 rows of Online Retail are expected, with dates in RFC 3339. They are not part of this
# repository: without them it takes made-up orders.
set -eu
cd "$(dirname "$0")/.."

file=${1:-../shared/data/online-retail-50k.csv.gz}
views=orders,stock_levels,customer_history,sales_by_country,sales_by_sku

dir=$(mktemp -d)
chmod 755 "$dir" # root's server runs as another user
recount=$dir/recount
server=
importer=
reader=
rebuilder=
cleanup() {
	status=$?
	rm -f "$dir/rebuild"
	for pid in $importer $reader $rebuilder; do
		kill "$pid" 2>/dev/null || true
	done
	if [ -n "$server" ]; then
		kill "$server" 2>/dev/null || true
		wait "$server" 2>/dev/null || true
	fi
	[ "$status" = 0 ] || { echo "the server said:"; tail -n 20 "$dir/server.log"; } >&2
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

fail() {
	echo "$1" >&2
	[ $# = 1 ] || tail -n 20 "$2" >&2
	exit 1
}
[ "$(uname)" = Linux ] || fail "this check needs Linux: failpoints are there only"
step() { printf '%3ds  %s\n' "$(($(date +%s) - began))" "$1"; }
began=$(date +%s)

go build -o "$recount" ./cmd/recount
go build -tags failpoints -o "$dir/recount-failpoints" ./cmd/recount
go build -o "$dir/keep-reading" ./tests/readers/cmd/keep-reading
real=true
if [ ! -f "$file" ]; then
	[ $# = 0 ] || fail "there is no $file"
	echo "there is no $file (see README.md, The import): made-up orders take its place"
	real=false
	file=$dir/orders.csv
	go run ./shop/sample/cmd/make-orders -orders 2000 >"$file"
fi

# start runs the server and waits until it answers; its addresses go into $url and $database.
start() {
	: >"$dir/server.log"
	"$recount" dev --data "$dir/data" --listen "${1:-127.0.0.1:0}" 2>"$dir/server.log" &
	server=$!
	for _ in $(seq 600); do
		url=$(sed -n 's/^ *API *\(http[^ ]*\).*/\1/p' "$dir/server.log")
		if [ -n "$url" ]; then
			database=$(sed -n "s/^ *database *psql '\(.*\)'/\1/p" "$dir/server.log")
			return 0
		fi
		kill -0 "$server" || exit 1
		sleep 0.1
	done
	fail "the server does not become ready"
}

# position prints how far the log is: all read models have come as far when they have it.
position() {
	curl -fsS "$url/v1/projections" | grep -o '"position":[0-9]*' | cut -d: -f2 | sort -n | tail -n 1
}

# reach waits until the log is at least at a position.
reach() {
	while [ "$(position)" -lt "$1" ]; do
		kill -0 "$importer" || fail "the import ended before position $1"
		sleep 0.2
	done
}

import() { "$recount" import online-retail "$file" --server "$url" -o json; }

projections() { "$recount" projections "$@" --data "$dir/data"; }

# read_on lets readers go on until read_off, which checks that no read failed or went back in time.
read_on() {
	"$dir/keep-reading" -server "$url" -database "$database" -views "$views" >"$dir/reads" 2>&1 &
	reader=$!
}
read_off() {
	kill "$reader" 2>/dev/null || true
	wait "$reader" || fail "a read failed:" "$dir/reads"
	reader=
	step "$(awk '{ n += $1 } END { print n }' "$dir/reads") reads, none failed"
}

# rebuild_on rebuilds and verifies all read models over and over until rebuild_off.
rebuild_on() {
	touch "$dir/rebuild"
	while [ -e "$dir/rebuild" ]; do
		projections rebuild --all --verify --throttle 50000 || exit 1 # to leave something to the import
		echo "all are rebuilt"
	done >"$dir/rebuilds" 2>&1 &
	rebuilder=$!
}
rebuild_off() {
	rm "$dir/rebuild"
	wait "$rebuilder" || fail "a rebuild failed:" "$dir/rebuilds"
	rebuilder=
	times=$(grep -c "all are rebuilt" "$dir/rebuilds") || fail "nothing was rebuilt meanwhile"
	step "rebuilt all $times times"
}

# rebuilds prints the ids of the latest rebuilds of a projection, the last one first.
rebuilds() { projections show "$1" | sed -n 's/^\([0-9a-f-]*\) *rebuild .*/\1/p'; }

# kill_rebuild rebuilds all, kills that when some rows are in the tables, and lets it go on. A program with failpoints kills itself there, however fast the machine is. On a slow one the server
# may have gone on with it before this script does.
kill_rebuild() {
	known=$(for view in $(echo "$views" | tr , ' '); do rebuilds "$view"; done)
	status=0
	RECOUNT_FAILPOINTS='rebuild/recorded=kill@3' "$dir/recount-failpoints" projections rebuild --all --verify --workers 2 \
		--data "$dir/data" >"$dir/rebuilds" 2>&1 || status=$?
	[ "$status" = 137 ] || fail "the rebuild that was to be killed ended with exit code $status:" "$dir/rebuilds"
	view=$(sed -n 's/^rebuild: \([a-z_]*\): .*/\1/p' "$dir/rebuilds" | tail -n 1)
	operation=$(rebuilds "$view" | head -n 1)
	case $known in *"$operation"*) fail "the killed rebuild of $view left nothing to go on from" "$dir/rebuilds" ;; esac
	step "rebuild of all killed in the middle, $view among them"
	projections rebuild --all --verify >"$dir/rebuilds" 2>&1 || fail "the rebuild did not go on:" "$dir/rebuilds"
	projections show "$view" | grep -q "^$operation *rebuild *$view *done" || fail "it was another rebuild that went on"
	step "it went on, and all are rebuilt"
}

start
step "import with rebuilds, killed on the way"
import >/dev/null 2>&1 &
importer=$!
reach 1000
read_on
rebuild_on
reach 20000
kill -9 "$importer"
wait "$importer" 2>/dev/null || true
rebuild_off

step "import again, rebuild and server killed on the way"
import >"$dir/report.json" 2>"$dir/import.log" &
importer=$!
kill_rebuild
rebuild_on
reach 50000
rebuild_off
read_off
kill -9 "$server"
wait "$server" 2>/dev/null || true
start "${url#http://}"
read_on
rebuild_on
wait "$importer" || fail "the import failed:" "$dir/import.log"
importer=
rebuild_off
read_off
cat "$dir/report.json"

# What the file holds, counted by other means.
totals='orders=1869 gross_minor=95533893 refunds_minor=11472638 net_minor=84061255'
figure() { grep -o "\"$1\": *-*[0-9]*" "$dir/report.json" | grep -o '[-0-9]*$'; }
if [ "$real" = false ]; then
	totals=
	for name in orders gross_minor refunds_minor net_minor; do
		totals="$totals $name=$(figure "$name")"
	done
fi
sum() {
	curl -fsS "$url/v1/sales?by=day&limit=500" | grep -o "\"$1\":-*[0-9]*" | awk -F: '{ n += $2 } END { printf "%d\n", n }'
}
for want in $totals; do
	name=${want%=*}
	[ "$(figure "$name")" = "${want#*=}" ] || fail "the report lacks $want"
	got=$(sum "$name")
	[ "$got" = "${want#*=}" ] || fail "GET /v1/sales: $name are $got, want ${want#*=}"
done

step "compare the tables with fresh ones"
digests() { "$dir/keep-reading" -database "$database" -views "$views" -digest; }
digests >"$dir/rebuilt"
projections rebuild --all --verify >"$dir/rebuilds" 2>&1 || fail "a rebuild failed:" "$dir/rebuilds"
digests >"$dir/fresh"
cmp "$dir/rebuilt" "$dir/fresh" || fail "another rebuild makes other rows:" "$dir/fresh"

step "import once more"
before=$(position)
import >/dev/null 2>&1
after=$(position)
[ "$before" = "$after" ] || fail "another import moved the log from $before to $after"
step "ok: the same totals and tables after three kills, and a further import changes nothing (position $after)"
