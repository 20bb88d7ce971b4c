#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=gcc,jq,libc6-dev timeout=200
#
# What a container adds: a seccomp filter that kills whoever calls mbind(), namespaces of its own, a
# static program. Its copies are placed all the same, and the filter is in force before and after.

# shellcheck disable=SC2317 # item calls these functions
cd "$(dirname "$0")" || exit
# shellcheck source=tests/e2e/policy-lib.sh
source ./policy-lib.sh

# in_filter PROGRAM
in_filter() {
        target_start a /daxtest/cheap/a "$1" "$FILE"
        ask a seccomp filtered
        target_place a
        expect_listed a '.state == "placed"'
        expect_equal "seccomp mode" "Seccomp: 2" "$(grep Seccomp: "/proc/${PID[a]}/status" | tr -s '\t' ' ')"
        # Its own call is its end by SIGSYS.
        tell a "own 0"
        target_end a $((128 + 31))
}

dynamic_in_filter() {
        in_filter "$TARGET"
}

static_in_filter() {
        in_filter "$TARGET_STATIC"
}

in_namespaces() {
        target_start a /daxtest/cheap/a "$TARGET_STATIC" "$FILE"
        ask a unshare unshared
        PID[a]=${REPLY#unshared }
        local namespace
        for namespace in user pid mnt cgroup; do
                [[ $(readlink "/proc/self/ns/$namespace") != "$(readlink "/proc/${PID[a]}/ns/$namespace")" ]] ||
                        fail "$namespace is no namespace of its own"
        done
        expect_equal "its own process id" 1 "$(awk '/^NSpid:/ { print $NF }' "/proc/${PID[a]}/status")"
        target_place a
        expect_listed a '.state == "placed" and .cgroup == "/daxtest/cheap/a"'
        ask a exit "child 0"
        target_end a
}

# All of it at once.
container() {
        target_start a /daxtest/cheap/a "$TARGET_STATIC" "$FILE"
        ask a unshare unshared
        PID[a]=${REPLY#unshared }
        ask a seccomp filtered
        ask a fork forked
        PID[a]=${REPLY#forked }
        target_place a
        ask a "threads 4" started
        ask a join joined
        ask a check ok
        # The first process of a pid namespace gets no signals but SIGKILL; this one is its child.
        ask a "own 0" "child $((31))"
        ask a exit "child 0"
        target_end a
}

policy 50-cheap '/daxtest/cheap/**'
policies_start
item "a dynamic program whose filter kills on mbind()" dynamic_in_filter
item "a static program whose filter kills on mbind()" static_in_filter
item "user, pid, mount and cgroup namespaces" in_namespaces
item "namespaces, filter, static and with threads" container
policies_end
