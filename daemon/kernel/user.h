/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* The id of a user by name, or by number in decimal (which need not be known). -ENOENT: nobody has
 * that name now. May ask whatever nsswitch.conf(5) names: not for a busy loop. */
int user_find(const char *name, uint32_t *ret_uid);
