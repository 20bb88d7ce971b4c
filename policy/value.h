/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Values as systemd.syntax(7) and systemd.time(7) write them. -EINVAL: not such a value; -ERANGE:
 * one, but too large to count. */

/* "yes", "true", "on", "1" and their opposites, in any case. */
int boolean_parse(const char *text, bool *ret_value);

/* "30s", "1min 30s", "500ms", "1.5h"; a number without a unit is seconds. */
int usec_parse(const char *text, uint64_t *ret_usec);

/* "200M", "1.5G", "4096"; K, M, G, T are powers of 1024, as are P and E. */
int bytes_parse(const char *text, uint64_t *ret_bytes);
