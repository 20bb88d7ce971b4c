#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
echo before
exec sleep 600
