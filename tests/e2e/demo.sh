#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The demo, which fails unless every copy is where it belongs and every byte is right.
#
# lab: kernels=6.1,6.12,7.3 packages=emacs-nox,python3-numpy timeout=400
exec "$(dirname "$(readlink -f "$0")")/demo/run.sh"
