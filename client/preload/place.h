/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Puts the policy of the settings on the caller's private mapping of the file @fd, if it is one that
 * they select. Best effort: no failure is anybody's business, and errno stays. Safe in a signal
 * handler. */
void place_mapping(void *address, size_t length, int fd);
