/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether @length bytes are UTF-8 (RFC 3629) without control characters other than tab: fit to be
 * shown, logged and put on D-Bus. */
bool utf8_is_text(const char *text, size_t length);
