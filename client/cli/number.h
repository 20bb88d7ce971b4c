/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The whole of @text as a number of at most @max, in decimal or, after 0x, hexadecimal digits. */
bool number_parse(const char *text, uint64_t max, uint64_t *ret_number);
