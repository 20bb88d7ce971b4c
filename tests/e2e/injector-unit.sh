#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.12 packages=python3 timeout=300
#
# The injector as systemd runs it: started by its socket, for root alone, locked in memory, out of the
# OOM killer's reach and under no seccomp filter of its own; whoever is killed or stopped around it, no
# target notices.

cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/lib.sh
source ./lib.sh

FOLDER=$(mktemp -d)
readonly FOLDER SOCKET=/run/daxtierd/injector SERVICE=daxtierd-injector.service

injector_stop() {
        systemctl stop daxtierd-injector.socket "$SERVICE"
        systemctl reset-failed daxtierd-injector.socket "$SERVICE" 2>/dev/null || :
}

leave() {
        injector_stop || :
        guest_restore
        rm -r "$FOLDER"
}
trap leave EXIT

# target_start NAME: sets TARGETS[NAME] to "PID:ADDRESS", and two pipes to talk to it.
declare -A TARGETS OUT
target_start() {
        local name=$1 line
        head -c 4M /dev/urandom >"/mnt/pmem/$name"
        mkfifo "$FOLDER/$name.in" "$FOLDER/$name.out"
        python3 injector-target.py "/mnt/pmem/$name" <>"$FOLDER/$name.in" >"$FOLDER/$name.out" &
        exec {out}<"$FOLDER/$name.out"
        read -r -t 60 line <&"$out" || fail "target $name did not start"
        TARGETS[$name]=$line
        OUT[$name]=$out
}

# target_check NAME: it lives, has what it should have, and goes on waiting.
target_check() {
        local line
        printf x >"$FOLDER/$1.in"
        read -r -t 60 line <&"${OUT[$1]}" || fail "target $1 is gone"
        expect_equal "what target $1 has" ok "$line"
}

# place NAME: one request by the injector, to the cheap node.
place() {
        python3 injector-client.py place "${TARGETS[$1]%:*}" "${TARGETS[$1]#*:}" "$(node)"
}

# place_thread NAME NODE: the same for the policy of its thread.
place_thread() {
        python3 injector-client.py thread "${TARGETS[$1]%:*}" "${TARGETS[$1]%:*}" "$2"
}

# thread_policy NAME: as the kernel prints it for memory without one.
thread_policy() {
        awk '{ print $2; exit }' "/proc/${TARGETS[$1]%:*}/task/${TARGETS[$1]%:*}/numa_maps"
}

# pages NAME NODE: how many copies of its file the target has there.
pages() {
        awk -v file="file=/mnt/pmem/$1" -v key="N$2=" '$0 ~ file { for (i = 1; i <= NF; i++)
                if (index($i, key) == 1) n += substr($i, length(key) + 1) } END { print n + 0 }' \
                "/proc/${TARGETS[$1]%:*}/numa_maps"
}

service_property() {
        systemctl show --value --property "$1" "$SERVICE"
}

is_up() {
        systemctl is-active --quiet "$SERVICE"
}

storm_start() {
        python3 injector-client.py storm "$(node)" "${TARGETS[@]}" >"$FOLDER/storm" &
        STORM=$!
}

storm_is_on() {
        find "/proc/$STORM/fd" -lname 'socket:*' 2>/dev/null | grep -q .
}

# storm_end: sets REPLY to how many requests were done meanwhile.
storm_end() {
        kill "$STORM"
        wait "$STORM" || fail "the storm ended by itself"
        echo "storm: $(cat "$FOLDER/storm")"
        REPLY=$(sed -n 's/.*done=\([0-9]*\).*/\1/p' "$FOLDER/storm")
}

# Installed is not started, and the service starts what it needs.
injector_stop
[[ ! -e $SOCKET ]] || fail "$SOCKET is there before anything was started"
expect_equal "the socket at boot" static "$(systemctl is-enabled daxtierd-injector.socket)"
service_start
systemctl is-active --quiet daxtierd-injector.socket || fail "starting daxtierd does not start the socket"
expect_equal "mode and owner of $SOCKET" '600 root' "$(stat -c '%a %U' "$SOCKET")"
runuser -u nobody -- python3 injector-client.py version 2>/dev/null && fail "nobody may ask the injector"

# One request starts it.
target_start one
target_start two
systemctl stop "$SERVICE" 2>/dev/null
! is_up || fail "the injector does not stop"
expect_equal "a request" "step=0 error=0 result=0 thread=${TARGETS[one]%:*}" "$(place one)"
is_up || fail "a connection does not start the injector"
target_check one
expect_equal "copies of the target that was placed, on the node" 1024 "$(pages one "$(node)")"
target_check two
expect_equal "copies of the other, on the node" 0 "$(pages two "$(node)")"
# The policy of a thread is for what no mapping's own policy is about.
target_start three
expect_equal "a request for a thread" "step=0 error=0 result=0 thread=${TARGETS[three]%:*}" \
        "$(place_thread three "$(node)")"
expect_equal "its policy" "prefer:$(node)" "$(thread_policy three)"
target_check three
expect_equal "copies of the target whose thread has a policy, on the node" 1024 "$(pages three "$(node)")"
expect_equal "a request for no policy" "step=0 error=0 result=0 thread=${TARGETS[three]%:*}" \
        "$(place_thread three -)"
expect_equal "its policy afterwards" default "$(thread_policy three)"
expect_equal "a request of another version" 'step=1 error=-71 result=0 thread=0' \
        "$(python3 injector-client.py version)"

# What it is.
group=/sys/fs/cgroup/system.slice/$SERVICE
workers=0
while read -r pid; do
        expect_equal "Seccomp of $pid" 0 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")"
        expect_equal "oom_score_adj of $pid" -1000 "$(cat "/proc/$pid/oom_score_adj")"
        expect_equal "nice of $pid" -20 "$(awk '{ print $19 }' "/proc/$pid/stat")"
        if [[ $pid != "$(service_property MainPID)" ]]; then
                (($(awk '/^VmLck:/ { print $2 }' "/proc/$pid/status") > 0)) || fail "worker $pid has no memory locked"
                workers=$((workers + 1))
        fi
done <"$group/cgroup.procs"
expect_equal "workers" 4 "$workers"
expect_equal "swap for the injector" 0 "$(cat "$group/memory.swap.max")"
# The daemon's own mount namespace and its folder lead to the same socket.
nsenter --mount --target "$(main_pid)" python3 - version <injector-client.py >/dev/null ||
        fail "the daemon cannot reach the injector"

# Clients that are killed in the middle.
main=$(service_property MainPID)
for ((i = 0; i < 10; i++)); do
        storm_start
        await 60 "the storm begins" storm_is_on
        kill -KILL "$STORM"
        wait "$STORM" || :
done
expect_equal "the injector's main process after its clients were killed" "$main" "$(service_property MainPID)"
place one >/dev/null

# Stopped in the middle, and started again by the next request.
storm_start
for ((i = 0; i < 10; i++)); do
        await 60 "a request starts the injector" is_up
        before=$(service_property MainPID)
        systemctl stop "$SERVICE" 2>/dev/null
        expect_equal "how the injector ended" success "$(service_property Result)"
        [[ ! -e /proc/$before ]] || fail "the injector is still there"
        systemctl reset-failed "$SERVICE" daxtierd-injector.socket 2>/dev/null || :
done
await 60 "a request starts the injector" is_up
# An upgrade, and the daemon's own end.
systemctl try-restart "$SERVICE" daxtierd
is_up || fail "the injector is not back after an upgrade"
main=$(service_property MainPID)
kill -KILL "$(main_pid)"
systemctl stop daxtierd
systemctl is-active --quiet daxtierd-injector.socket || fail "the socket does not outlive the daemon"
[[ -S $SOCKET ]] || fail "$SOCKET is gone with the daemon"
expect_equal "the injector's main process after the daemon's end" "$main" "$(service_property MainPID)"
storm_end
((REPLY > 0)) || fail "not one request was done in the storm"

for name in one two three; do
        [[ $(cat "/proc/${TARGETS[$name]%:*}/stat") != *') Z '* ]] || fail "target $name was harmed"
        expect_equal "who traces target $name" 0 "$(awk '/^TracerPid:/ { print $2 }' "/proc/${TARGETS[$name]%:*}/status")"
done
expect_equal "a request after all this" "step=0 error=0 result=0 thread=${TARGETS[two]%:*}" "$(place two)"
for name in one two three; do
        target_check "$name"
done

# Gone with its socket.
injector_stop
[[ ! -e $SOCKET ]] || fail "$SOCKET is left behind"
