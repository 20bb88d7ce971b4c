#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The measurements, one after the other: lines of "name value unit baseline ratio".
set -euo pipefail

cd "$(dirname "$(readlink -f "$0")")"
echo "name value unit baseline ratio"
./fault-cost
./preload-cost
