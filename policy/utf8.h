/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Whether @length bytes are UTF-8 (RFC 3629) without control characters other than tab: fit to be
 * shown, logged and put on D-Bus. */
bool utf8_is_text(const char *text, size_t length);

/* A copy with U+FFFD for every byte that is of no well-formed character; control characters stay.
 * What names of files need, which may be any bytes, where a text is asked for. NULL: out of memory.
 * The caller frees. */
char *utf8_clean(const char *text);
