#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
echo c >/proc/sysrq-trigger
sleep 60
