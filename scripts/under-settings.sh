#!/bin/sh
# Runs the tests of a package under each of the settings that they are about, for scripts/test-settings.sh:
# under-settings.sh PROGRAM [ARGUMENTS].
set -eu

# Behind a pooler the mode is exec. Once it has let somebody in, a session is the same whether it refused the settings or ignored them.
refuses=exec ignores=
if command -v pgbouncer >/dev/null; then
	refuses=pooler-refuses ignores=pooler-ignores
fi
case ${1##*/} in
pgsession.test | migrations.test) all=unkind ;;
delivery.test) all=simple_protocol ;;
pgstore.test | shop.test) all="unkind simple_protocol" ;;
projections.test) all="unkind simple_protocol $refuses" ;;
queries.test | snapshots.test) all="unkind simple_protocol $refuses $ignores" ;;
*)
	echo "under-settings.sh: nothing says under which settings ${1##*/} is run" >&2
	exit 2
	;;
esac

status=0
for settings in $all; do
	echo "== RECOUNT_TEST_SETTINGS=$settings"
	RECOUNT_TEST_SETTINGS=$settings "$@" || status=1
done
exit $status
