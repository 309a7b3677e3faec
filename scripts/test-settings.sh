#!/bin/sh
# Tests what talks to PostgreSQL once more under other settings of sessions (RECOUNT_TEST_SETTINGS, see
# internal/pgtest): a statement that works under those of today's server may not under a role's, a
# pooler's or another execution mode of the driver. Usage: test-settings.sh [ARGUMENTS OF GO TEST]
set -eu
cd "$(dirname "$0")/.."

# What takes long and is not about statements, and what makes modes and poolers of its own.
skip='Fuzz|HostileClient|TestTheTestOf|TestADatabaseThatIsGone|TestASwitchEndsUnder|TestReadsGoOnDuringSwitches|TestALeaseIsRenewed'
skip="$skip|TestALockedTable|TestRebuiltRowsAre|TestARebuildGoesOnAfterAKill|TestARebuildHoldsNoMore|TestLargeRows|TestPagesOfLargeRows"
skip="$skip|TestCommitThatIsGivenUp|TestPagesAreBounded|TestPagingStays|TestStoreBe|TestStoreWithout|InEvery|TestEveryWay"
skip="$skip|TestAHandlerThatDoesNotReturn|TestAProcess|TestOthersGoOn|TestProcessesShare|TestAFrozen|UnderKills|TestDefinitionsChangeUnderLoad"
skip="$skip|TestFault|TestTooMany|TestWhatAProcess|TestOneTarget|TestAReset"

# Go test runs this with each package's program, which is linked once for all settings.
exec go test -vet=off -tags failpoints -short -skip "$skip" -exec "sh $PWD/scripts/under-settings.sh" "$@" \
	./eventstore/pgstore ./projections ./shop ./delivery ./queries ./snapshots ./migrations ./internal/pgsession
