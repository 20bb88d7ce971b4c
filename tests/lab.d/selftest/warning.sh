#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
echo 'WARNING: CPU: 0 PID: 1 at a test of the lab' >/dev/kmsg
