#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# daxtier doctor finds what stands in the way, and the command that it names mends it.
#
# lab: kernels=6.1,6.12,7.3 packages=jq timeout=300
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh
go_on

verdict() {
        daxtier doctor --json | jq -r ".checks[] | select(.check == \"$1\").verdict" | head -n 1
}

# finds CHECK VERDICT: doctor says so now.
finds() {
        local got
        got=$(verdict "$1")
        if [[ $got == "$2" ]]; then
                echo "ok: $1 is $2"
        else
                fail "$1: wanted $2, got $got:"$'\n'"$(daxtier doctor --json | jq ".checks[] | select(.check == \"$1\")")"
        fi
}

# mended CHECK VERDICT: what doctor names as the mend makes it VERDICT.
mended() {
        local mend
        mend=$(daxtier doctor --json | jq -r "[.checks[] | select(.check == \"$1\").mend][0]")
        echo "mending $1: $mend"
        bash -c "$mend" >/dev/null || fail "$1: the mend failed: $mend"
        finds "$1" "$2"
}

daxtier doctor

# The injector, which daxtierd starts
finds injector warn
mended injector ok
finds ptrace ok
finds cgroup2 ok
finds lockdown ok
got=$(runuser -u nobody -- daxtier doctor --json | jq -r '.checks[] | select(.check == "injector").verdict')
[[ $got == unknown ]] || fail "injector: nobody can tell, yet it is $got"

# Without a cheap node nothing can be placed.
finds cheap-tier fail
expect 2 "" daxtier doctor
mended cheap-tier ok
node=$(daxtier nodes --json | jq '.nodes[] | select(.tier == "cheap").node')
expect 0 "" daxtier doctor

# Settings
sysctl -q vm.overcommit_memory=2
finds overcommit warn
mended overcommit ok
sysctl -q kernel.numa_balancing=1
finds numa-balancing warn
mended numa-balancing ok
echo online >/sys/devices/system/memory/auto_online_blocks
finds auto-online info
echo offline >/sys/devices/system/memory/auto_online_blocks
finds auto-online ok
echo false >/sys/kernel/mm/numa/demotion_enabled
finds demotion info
mended demotion ok

# A filesystem mounted without dax
finds mount ok
umount /mnt/pmem
mount /dev/pmem0 /mnt/pmem
finds mount warn
mended mount ok

# A cpuset that leaves the cheap node out
finds cpuset ok
mkdir /sys/fs/cgroup/daxtier-test
echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control
echo 0 >/sys/fs/cgroup/daxtier-test/cpuset.mems
finds cpuset warn
mended cpuset ok
[[ $(cat /sys/fs/cgroup/daxtier-test/cpuset.mems) == "0,$node" || $(cat /sys/fs/cgroup/daxtier-test/cpuset.mems) == "0-$node" ]] ||
        fail "cpuset: $(cat /sys/fs/cgroup/daxtier-test/cpuset.mems)"
rmdir /sys/fs/cgroup/daxtier-test

# DAMON
stat=/sys/module/damon_stat/parameters/enabled
if [[ -e $stat ]]; then
        [[ $(cat $stat) == Y ]] || echo Y >$stat
        finds damon-busy warn
        mended damon-busy ok
else
        finds damon-busy ok
fi
if [[ -e /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds ]]; then
        daxtier doctor >/dev/null
        [[ $(cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds) == 0 ]] || fail "doctor left a kdamond behind"
        echo 1 >/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds
        finds damon-migrate unknown
        [[ $(cat /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds) == 1 ]] || fail "doctor took a stranger's kdamond away"
        echo 0 >/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds
fi

# Which engines there are: reclaim on each, which is little, DAMON where it can move and nobody else has it
reason() {
        daxtier doctor --json | jq -r ".checks[] | select(.check == \"$1\").reason"
}
# says CHECK WORDS: among other things.
says() {
        local got
        got=$(reason "$1")
        [[ $got == *"$2"* ]] || fail "$1: wanted \"$2\", got: $got"
}
case $(uname -r) in
6.1.*)
        finds relocation warn
        says relocation "built without DAMON"
        finds cold-memory warn
        says cold-memory "only served by reclaim"
        ;;
*)
        finds relocation ok
        says relocation ": damon-vaddr, damon-paddr, reclaim"
        finds cold-memory ok
        says cold-memory "by DAMON"
        ;;
esac
finds fast-max ok
if [[ -e /sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds ]]; then
        echo 1 >/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds
        echo 1 >/sys/kernel/mm/damon/admin/kdamonds/0/contexts/nr_contexts
        for check in relocation cold-memory; do
                finds $check warn
                says $check "somebody else has set up DAMON"
        done
        says relocation "only reclaim"
        says cold-memory "waits for DAMON"
        echo 0 >/sys/kernel/mm/damon/admin/kdamonds/nr_kdamonds
fi

# Features, as these kernels have them
case $(uname -r) in
6.1.*) expected='{"cachestat":"info","pagemap-scan":"info","uffd-wp-async":"info","damon":"warn","damon-migrate":"warn"}' ;;
*) expected='{"cachestat":"ok","pagemap-scan":"ok","uffd-wp-async":"ok","damon":"ok","damon-migrate":"ok"}' ;;
esac
expect_json "(.checks | map({(.check): .verdict}) | add) as \$found | $expected |
        to_entries | all(\$found[.key] == .value)" daxtier doctor --json
expect_json '.checks | map({(.check): .verdict}) | add | [.kmem, ."memory-hotplug", ."preferred-many",
        ."suspend-seccomp", ."perf-cgroup"] | all(. == "ok")' daxtier doctor --json
expect_json '[.checks[] | select(.verdict == "unknown")] | length > 0' runuser -u nobody -- daxtier doctor --json

exit "$failed"
