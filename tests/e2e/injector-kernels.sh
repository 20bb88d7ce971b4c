#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# lab: kernels=6.1,6.12,7.3 packages=libcriterion3 timeout=600
#
# The unit tests of the injector on this kernel, with the installed one; less the ten thousand calls of
# inject-stress, which take minutes under emulation: the unit tests run them, and `tests/lab bench`.

set -euo pipefail

unit=/usr/local/lib/daxtierd-unit
export INJECTOR=/usr/libexec/daxtierd/daxtierd-injector
export INJECT_TARGET=$unit/inject-target INJECT_TARGET_STATIC=$unit/inject-target-static
export INJECT_TARGET_32=$unit/inject-target-32
[[ -x $INJECT_TARGET_32 ]] || INJECT_TARGET_32=

for name in inject-parts inject inject-refuse inject-thread threadpolicy injector; do
        echo "$name:"
        "$unit/test-$name"
done
